"""What ``bundle install`` and the other writers may and may not touch: folders, links, pipes, modes, leftovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fsq_edge.cli.main import run
from fsq_edge_runtime import files as ground_floor
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.install import MARK, install, rollback
from fsq_edge_runtime.bundle.selftest import SelfTestResult
from fsq_edge_runtime.bundle.signature import sign_bundle
from fsq_edge_runtime.errors import BundleError, UsageError
from fsq_edge_runtime.files import new_folder, write_file
from tests.factories.bundles import random_bundle
from tests.factories.golden_bundle import KEY, public_key


def passing(bundle: Bundle, backend: str) -> SelfTestResult:
    return SelfTestResult(backend, 1, True, 0.0, 1.0, 1.0, passed=True, reason="")


@pytest.fixture
def dog(tmp_path: Path) -> Path:
    path = tmp_path / "dog.fsqb"
    random_bundle().save(path)
    return path


def tree(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_a_version_managers_folder_is_refused_untouched(dog: Path, tmp_path: Path) -> None:
    """A Python version manager keeps its interpreters in versions/NAME, beside files and links of its own."""
    root = tmp_path / "pyenv"
    for version in ("3.11.7", "myenv-0123456789ab"):
        (root / "versions" / version / "bin").mkdir(parents=True)
        (root / "versions" / version / "bin" / "python").write_text("#!/bin/sh\n")
    before = tree(root)
    assert run(["bundle", "install", str(dog), str(root), "--backend", "onnx"]) == 64
    (root / "current").symlink_to("versions/3.11.7")
    assert run(["bundle", "install", str(dog), str(root), "--backend", "onnx"]) == 64
    assert run(["bundle", "rollback", str(root)]) == 66
    assert tree(root) == {**before, "current": "versions/3.11.7"}


def test_what_is_not_ours_in_an_install_folder_stays(dog: Path, tmp_path: Path) -> None:
    root = tmp_path / "dest"
    (root / "lost+found").mkdir(parents=True)  # the root of a file system
    install(dog, root, selftest=passing)
    strays = [
        root / "versions" / "notes.txt",
        root / "versions" / "myenv" / "x",
        root / ".staging-mine",
        root / "README",
    ]
    for stray in strays:
        stray.parent.mkdir(exist_ok=True)
        stray.write_text("mine")
    (root / "versions" / "dog-0123456789ab").symlink_to(tmp_path)
    for seed in range(1, 4):
        random_bundle(seed=seed).save(dog)
        install(dog, root, selftest=passing)
    assert [stray.read_text() for stray in strays] == ["mine"] * 4
    ours = [path for path in (root / "versions").iterdir() if path.name.startswith("random-")]
    assert len(ours) == 2, "the old versions are removed"
    assert dog.exists()


def test_an_install_folder_made_before_there_was_a_mark_is_known(dog: Path, tmp_path: Path) -> None:
    root = tmp_path / "dest"
    install(dog, root, selftest=passing)
    (root / MARK).unlink()
    random_bundle(seed=1).save(dog)
    install(dog, root, selftest=passing)
    assert (root / MARK).is_file()
    (root / MARK).unlink()
    rollback(root)
    assert Bundle.open(root).files == random_bundle().files


def test_the_lock_follows_no_link_empties_nothing_and_waits_for_no_pipe(dog: Path, tmp_path: Path) -> None:
    victim = tmp_path / "shadow"
    victim.write_text("secrets")
    for number, plant in enumerate((lambda path: path.symlink_to(victim), os.mkfifo, Path.mkdir)):
        root = tmp_path / str(number)
        root.mkdir()
        plant(root / ".lock")
        with pytest.raises(BundleError, match="not a regular file"):
            install(dog, root, selftest=passing)
        assert [path.name for path in root.iterdir()] == [".lock"]
    root = tmp_path / "hard"
    root.mkdir()
    os.link(victim, root / ".lock")
    install(dog, root, selftest=passing)
    assert victim.read_text() == "secrets"


def test_a_mark_that_is_a_link_is_none(dog: Path, tmp_path: Path) -> None:
    (tmp_path / "dest" / "versions").mkdir(parents=True)
    (tmp_path / "dest" / MARK).symlink_to(dog)
    with pytest.raises(UsageError, match="not an install folder"):
        install(dog, tmp_path / "dest", selftest=passing)


@pytest.fixture
def umask() -> object:
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_a_service_user_reads_what_root_installs_under_a_tight_umask(dog: Path, tmp_path: Path, umask: object) -> None:
    root = tmp_path / "opt" / "dog"
    install(dog, root, selftest=passing)
    for path in (root.parent, root, root / "versions", *(root / "current").resolve().rglob("*")):
        assert path.stat().st_mode & 0o005, f"{path} cannot be read by others"


def test_other_outputs_follow_the_umask_and_keep_the_mode_of_what_they_replace(tmp_path: Path, umask: object) -> None:
    write_file(tmp_path / "a", b"1")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    os.umask(0o027)
    write_file(tmp_path / "b", b"1")
    write_file(tmp_path / "a", b"2")
    with new_folder(tmp_path / "c"):
        pass
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in "abc"]
    assert modes == [0o600, 0o640, 0o750]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_writer_leaves_no_temporary_file(tmp_path: Path, number: int) -> None:
    (tmp_path / "out").write_text("old")
    (tmp_path / ".out.new").write_text("left by an earlier kill between naming and renaming")
    script = (
        "import sys, time; from pathlib import Path; from fsq_edge_runtime.files import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); print('half', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "out")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"half\n"
    child.send_signal(number)
    child.wait(10)
    child.stdout.close()
    assert (tmp_path / "out").read_text() == "old"
    write_file(tmp_path / "out", b"new")
    assert tree(tmp_path) == {"out": b"new"}


def test_where_files_without_a_name_do_not_exist_writing_is_whole_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, flags: int, mode: int = 0o777, **rest: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return real(path, flags, mode, **rest)

    real = os.open
    monkeypatch.setattr(ground_floor.os, "open", refuse)
    write_file(tmp_path / "a", b"1")
    write_file(tmp_path / "a", b"2")
    with pytest.raises(TypeError), ground_floor.whole_file(tmp_path / "a") as file:
        file.write("not bytes")  # type: ignore[arg-type]  # that is the fault
    assert tree(tmp_path) == {"a": b"2"}


def test_two_writers_of_one_file_both_end_well(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from fsq_edge_runtime.files import write_file\n"
        "for _ in range(200): write_file(Path(sys.argv[1]), sys.argv[2].encode() * 1000)"
    )
    children = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "out"), word]) for word in "ab"]
    assert [child.wait(60) for child in children] == [0, 0]
    assert set(tree(tmp_path)) == {"out"}
    assert (tmp_path / "out").read_bytes() in (b"a" * 1000, b"b" * 1000)


def test_rollback_asks_for_the_signature_where_a_key_is_given(dog: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form

    root, public = tmp_path / "dest", tmp_path / "key.pub"
    public.write_bytes(public_key())
    install(dog, root, selftest=passing)
    private = KEY.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    sign_bundle(random_bundle(seed=1), private).save(dog)
    install(dog, root, selftest=passing)
    assert run(["bundle", "rollback", str(root), "--key", str(public)]) == 65
    assert Bundle.open(root).has("signature")
    assert run(["bundle", "rollback", str(root)]) == 0
    assert run(["bundle", "rollback", str(root), "--key", str(public)]) == 0


def test_the_zip_has_one_order_of_files(dog: Path, tmp_path: Path) -> None:
    from tests.attacks.test_bundle_attacks import forged

    bundle = Bundle.open(dog)
    first, *others = bundle.files.items()
    dog.write_bytes(forged(dict([first, *reversed(others)])))
    with pytest.raises(BundleError, match="order"):
        Bundle.open(dog)
    dog.write_bytes(forged(dict([first, *others])))
    assert Bundle.open(dog).files == bundle.files
