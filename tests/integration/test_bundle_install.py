"""Installing: whole or not at all, whatever happens in between."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsq_edge_runtime.bundle import archive as bundle_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.install import Installed, install, rollback
from fsq_edge_runtime.bundle.selftest import SelfTestResult
from fsq_edge_runtime.errors import BundleError, MissingInputError, UnavailableError, UsageError
from tests.factories.bundles import random_bundle

REPOSITORY = Path(__file__).parents[2]


def passing(bundle: Bundle, backend: str) -> SelfTestResult:
    return SelfTestResult(backend, 1, True, 0.0, 1.0, 1.0, passed=True, reason="")


def put(path: Path, root: Path) -> Installed:
    return install(path, root, selftest=passing)


@pytest.fixture
def bundles(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{seed}.fsqb" for seed in range(3)]
    for seed, path in enumerate(paths):
        random_bundle(seed=seed).save(path)
    return paths


def in_use(root: Path) -> dict[str, bytes]:
    return Bundle.open(root).files


def test_current_and_previous_and_nothing_else_are_kept(bundles: list[Path], tmp_path: Path) -> None:
    root = tmp_path / "dest"
    names = [put(path, root).version for path in bundles]
    assert sorted(path.name for path in (root / "versions").iterdir()) == sorted(names[1:])
    assert (root / "current").readlink() == Path("versions") / names[2]
    assert (root / "previous").readlink() == Path("versions") / names[1]
    assert in_use(root) == Bundle.open(bundles[2]).files


def test_rollback_and_back_again(bundles: list[Path], tmp_path: Path) -> None:
    root = tmp_path / "dest"
    for path in bundles[:2]:
        put(path, root)
    rollback(root)
    assert in_use(root) == Bundle.open(bundles[0]).files
    rollback(root)
    assert in_use(root) == Bundle.open(bundles[1]).files


def test_nothing_to_roll_back_to(bundles: list[Path], tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no installation"):
        rollback(tmp_path / "dest")
    put(bundles[0], tmp_path / "dest")
    with pytest.raises(MissingInputError, match="no previous bundle"):
        rollback(tmp_path / "dest")


def test_rollback_refuses_a_damaged_previous_bundle(bundles: list[Path], tmp_path: Path) -> None:
    root = tmp_path / "dest"
    for path in bundles[:2]:
        put(path, root)
    (root / "previous" / "head.npz").write_bytes(b"rot")
    with pytest.raises(BundleError, match=r"head\.npz"):
        rollback(root)
    assert in_use(root) == Bundle.open(bundles[1]).files


def test_the_same_bundle_again_writes_nothing_unless_the_disk_lost_it(bundles: list[Path], tmp_path: Path) -> None:
    root = tmp_path / "dest"
    first = put(bundles[0], root)
    assert put(bundles[0], root).already
    (root / "current" / "head.npz").write_bytes(b"rot")
    again = put(bundles[0], root)
    assert (again.already, again.version) == (False, first.version + ".1")
    assert in_use(root) == Bundle.open(bundles[0]).files


def test_the_self_test_runs_on_the_backend_and_decides(bundles: list[Path], tmp_path: Path) -> None:
    done = install(bundles[0], tmp_path / "dest", backend="onnx")
    assert done.selftest is not None
    assert (done.selftest.backend, done.selftest.code_agreement, done.selftest.windows) == ("onnx", 1.0, 8)

    def failing(bundle: Bundle, backend: str) -> SelfTestResult:
        return SelfTestResult("hailo", 8, False, 1.0, 0.1, 0.2, passed=False, reason="20% of the labels agree")

    with pytest.raises(BundleError, match="self-test failed on hailo: 20% of the labels agree"):
        install(bundles[1], tmp_path / "dest", selftest=failing)
    assert in_use(tmp_path / "dest") == Bundle.open(bundles[0]).files


def test_a_graph_that_answers_differently_is_not_installed(tmp_path: Path) -> None:
    """The encoder of another model: every hash holds, only the self-test can tell."""
    from fsq_edge_runtime.bundle.edit import with_files

    swapped = with_files(
        random_bundle(seed=0), {("encoder", None): ("encoder.onnx", random_bundle(seed=1).read("encoder"))}
    )
    swapped.save(tmp_path / "swapped.fsqb")
    with pytest.raises(BundleError, match="codes or t differ from the reference"):
        install(tmp_path / "swapped.fsqb", tmp_path / "dest", backend="onnx")
    assert not (tmp_path / "dest").exists()


@pytest.fixture
def quick_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a kill does not lose what was written, so waiting for a disk is idle."""
    if os.access("/dev/shm", os.W_OK):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            yield Path(folder)
    else:
        yield tmp_path


def test_killed_at_every_step_leaves_the_old_or_the_new_bundle(quick_disk: Path) -> None:
    """SIGKILL at each system call of a first installation, a replacement and a rollback."""
    roots = [REPOSITORY, *(REPOSITORY / name for name in ("runtime", "compile", "calibration", "benchmarks"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, roots))}
    command = [sys.executable, "-m", "tests.programs.kill_install", str(quick_disk)]
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)
    assert steps["first"] > 40
    assert steps["replace"] > 40
    assert steps["rollback"] > 5


def test_everything_is_on_the_disk_before_it_is_linked(
    bundles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut: every file and folder of the new version is synced before the rename that makes it current."""
    events: list[str] = []
    root = tmp_path / "dest"
    put(bundles[0], root)
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        events.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real_fsync(descriptor)

    def replace(source: object, target: object, **options: int) -> None:
        events.append(f"link {Path(str(target)).name}")
        real_replace(source, target, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    version = put(bundles[1], root).version
    linked = events.index("link current")
    synced = {Path(path).name for path in events[:linked]}
    wanted = {path.name for path in (root / "versions" / version).rglob("*")}
    assert wanted <= synced
    assert events[linked - 1] == str(root), "the link to the previous bundle is on the disk first"
    assert str(root / "versions") in events[:linked]
    assert events[linked + 1] == str(root)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB: room for two bundles of 36 kB in their blocks of 4 KiB, not for a third."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system needs the right to mount one: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full(bundles: list[Path], small_disk: Path) -> None:
    root = small_disk / "dest"
    put(bundles[0], root)
    put(bundles[1], root)
    with pytest.raises(UnavailableError, match="No space left on device") as caught:
        put(bundles[2], root)
    assert "the bundle in use was left as it is" in caught.value.hint
    assert in_use(root) == Bundle.open(bundles[1]).files
    assert not list((root / "versions").glob(".*"))


def test_no_space_at_any_write(bundles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with an injected error at each file in turn: needs no rights, reaches every write."""
    root = tmp_path / "dest"
    put(bundles[0], root)
    real = bundle_archive.write_synced
    room = 0

    def write_synced(path: Path, data: bytes) -> None:
        nonlocal room
        room -= 1
        if room < 0:
            path.write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, data)

    monkeypatch.setattr(bundle_archive, "write_synced", write_synced)
    for files in range(len(Bundle.open(bundles[1]).files) + 1):
        room = files
        with pytest.raises(UnavailableError, match="No space left on device"):
            put(bundles[1], root)
        assert in_use(root) == Bundle.open(bundles[0]).files
        assert len(list((root / "versions").iterdir())) == 1
    room = 1000
    assert put(bundles[1], root).previous


def test_only_one_installation_at_a_time(bundles: list[Path], tmp_path: Path) -> None:
    root = tmp_path / "dest"
    put(bundles[0], root)
    with (root / ".lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UnavailableError, match="another installation"):
            put(bundles[1], root)
        with pytest.raises(UnavailableError, match="another installation"):
            rollback(root)


def test_a_folder_with_other_things_is_not_touched(bundles: list[Path], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="holds other things"):
        put(bundles[0], tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_foreign_links_are_refused(bundles: list[Path], tmp_path: Path) -> None:
    root = tmp_path / "dest"
    put(bundles[0], root)
    for target in ("/etc", "../elsewhere", "versions/..", "versions/a/b"):
        (root / "current").unlink()
        (root / "current").symlink_to(target)
        with pytest.raises(BundleError, match="not a link to an installed bundle"):
            put(bundles[1], root)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "versions").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="not an install folder"):
        put(bundles[1], tmp_path / "trap")
    (tmp_path / "trap" / ".fsq-edge-install").touch()
    with pytest.raises(BundleError, match="is a link"):
        put(bundles[1], tmp_path / "trap")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_link_is_not_replaced_by_a_folder(bundles: list[Path], tmp_path: Path) -> None:
    root = tmp_path / "dest"
    put(bundles[0], root)
    with pytest.raises(BundleError, match="exists already"):
        Bundle.open(bundles[1]).save(root / "current", replace=True)
    assert (root / "current").is_symlink()


def test_self_test_vectors_of_another_shape_are_refused(tmp_path: Path) -> None:
    from fsq_edge_runtime.bundle.edit import with_files
    from fsq_edge_runtime.bundle.reference import selftest_bytes

    bundle = random_bundle()
    test = bundle.selftest
    for data in (
        selftest_bytes(test.windows, test.t[:, :2], test.codes, test.labels),
        selftest_bytes(test.windows[:, :, :50], test.t, test.codes, test.labels),
        selftest_bytes(test.windows, test.t, test.codes[:, None], test.labels),
    ):
        with_files(bundle, {("selftest", None): ("selftest.npz", data)}).save(tmp_path / "dog.fsqb")
        with pytest.raises(BundleError, match=r"selftest\.npz has the shapes"):
            install(tmp_path / "dog.fsqb", tmp_path / "dest", backend="onnx")
