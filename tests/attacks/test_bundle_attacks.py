"""Each attack of docs/threat-model.md that a bundle can carry, done and refused.

The attacker here can write any file, knows the format, and makes every hash right. He has no signing key.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fsq_edge.cli.main import run
from fsq_edge_runtime.bundle.archive import MANIFEST, decode_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import with_files
from fsq_edge_runtime.bundle.install import install, verify_parts
from fsq_edge_runtime.bundle.manifest import Role
from fsq_edge_runtime.bundle.selftest import SelfTestResult
from fsq_edge_runtime.bundle.signature import check_signature, sign_bundle
from fsq_edge_runtime.errors import BundleError, DataError, FsqEdgeError
from fsq_edge_runtime.npz import read_arrays
from fsq_edge_runtime.testing.hef_writer import hef_bytes
from tests.factories.bundles import random_bundle


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle()


def forged(files: dict[str, bytes], **entry: Any) -> bytes:
    """A zip with a right comment, made without any of our checks; ``entry`` sets fields of the last file's entry."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o100644 << 16
            if name == list(files)[-1]:
                for field, value in entry.items():
                    setattr(info, field, value)
            archive.writestr(info, data)
    return commented(buffer.getvalue()[:-2])


def commented(body: bytes) -> bytes:
    body += (64).to_bytes(2, "little")
    return body + hashlib.sha256(body).hexdigest().encode()


def forged_manifest(bundle: Bundle, **changes: bytes) -> dict[str, bytes]:
    """The bundle's files with some replaced and every hash in the manifest made right again."""
    files = {**bundle.files, **changes}
    manifest = json.loads(files[MANIFEST])
    for entry in manifest["files"]:
        data = files[entry["path"]]
        entry["bytes"], entry["sha256"] = len(data), hashlib.sha256(data).hexdigest()
    files[MANIFEST] = json.dumps(manifest).encode()
    return files


def refused(data: bytes, tmp_path: Path) -> str:
    """Throw a file at `bundle verify` and `bundle install`; return the one line both end in."""
    path = tmp_path / "evil.fsqb"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        Bundle.open(path)
    assert run(["bundle", "install", str(path), str(tmp_path / "dest"), "--backend", "onnx"]) == 65
    assert not (tmp_path / "dest").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["evil.fsqb"]
    assert len(caught.value.message.splitlines()) == 1
    return caught.value.message


# The container


@pytest.mark.parametrize(
    "name",
    ["../evil", "../../etc/cron.d/evil", "/etc/passwd", "a/../../evil", "C:\\evil", "a\\..\\evil", ".ssh/keys", "a//b"],
)
def test_a_path_that_leaves_the_folder(bundle: Bundle, name: str, tmp_path: Path) -> None:
    assert "unsafe name" in refused(forged({**bundle.files, name: b"evil"}), tmp_path)


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o060666, 0o010666, 0o104755])
def test_an_entry_that_is_a_link_a_device_or_setuid(bundle: Bundle, mode: int, tmp_path: Path) -> None:
    files = {**bundle.files, "extra": b"/etc/passwd"}
    assert "canonical" in refused(forged(files, external_attr=mode << 16), tmp_path)


def test_a_file_where_another_needs_a_folder(bundle: Bundle, tmp_path: Path) -> None:
    assert "unsafe name" in refused(forged({**bundle.files, "hef": b"", "hef/hailo8.hef": b""}), tmp_path)


def test_a_compressed_entry_that_unpacks_to_a_gigabyte(bundle: Bundle, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", bytes(50_000_000))
    assert "compressed" in refused(commented(buffer.getvalue()[:-2]), tmp_path)


def test_entries_that_share_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    """An overlap bomb: 200 entries of the directory point at one stored file."""
    name, data = b"manifest.json", bytes(100_000)
    sizes = zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little") * 2
    local = b"PK\x03\x04\x14\0\0\0\0\0\0\0\x21\0" + sizes + len(name).to_bytes(2, "little") + b"\0\0" + name + data
    central = b"PK\x01\x02\x14\x03\x14\0\0\0\0\0\0\0\x21\0" + sizes + len(name).to_bytes(2, "little") + bytes(16) + name
    directory = central * 200
    end = b"PK\x05\x06\0\0\0\0" + (200).to_bytes(2, "little") * 2
    end += len(directory).to_bytes(4, "little") + len(local).to_bytes(4, "little")
    assert "canonical" in refused(commented(local + directory + end), tmp_path)


def test_a_directory_with_a_million_entries(bundle: Bundle, tmp_path: Path) -> None:
    """It is compared with the one that the files call for, not read."""
    good = forged(bundle.files)
    begin = int.from_bytes(good[-70:-66], "little")
    flood = (b"PK\x01\x02" + bytes(42)) * 1_000_000
    assert "its directory is another" in refused(commented(good[:begin] + flood + good[begin:-66]), tmp_path)


def test_bytes_before_after_and_between(bundle: Bundle, tmp_path: Path) -> None:
    good = forged(bundle.files)
    assert decode_archive(good) == bundle.files
    for data in (good + b"#!/bin/sh\n", b"\x7fELF" + good, good[:-66] + b"slack" + good[-66:]):
        refused(data, tmp_path)
    body = good[:-66]
    assert "canonical" in refused(commented(body[:30] + b"x" + body[30:]), tmp_path)


def test_two_files_of_one_name(bundle: Bundle, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in bundle.files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(zipfile.ZipInfo("head.npz", (1980, 1, 1, 0, 0, 0)), b"evil")
    assert "canonical" in refused(commented(buffer.getvalue()[:-2]), tmp_path)


def test_a_file_that_the_manifest_does_not_name(bundle: Bundle, tmp_path: Path) -> None:
    assert "extra ['evil']" in refused(forged({**bundle.files, "evil": b"x"}), tmp_path)


def test_a_pipe_a_link_and_a_device_in_a_folder(bundle: Bundle, tmp_path: Path) -> None:
    for number, plant in enumerate(
        (
            lambda path: os.mkfifo(path),
            lambda path: path.symlink_to("/etc/passwd"),
            lambda path: path.symlink_to("/etc"),
            lambda path: os.mknod(path, 0o020666, os.makedev(1, 5)),
        )
    ):
        folder = tmp_path / str(number)
        bundle.save(folder)
        try:
            plant(folder / "extra")
        except PermissionError:  # making a device needs rights, the others do not
            continue
        with pytest.raises(BundleError, match="link or a special file"):
            Bundle.open(folder)


# The parts


def test_an_npz_that_unpacks_to_ten_gigabytes(bundle: Bundle, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("levels", "table", "temperature"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY" + bytes(30_000_000))
    for path in ("head.npz", "selftest.npz"):
        files = forged_manifest(bundle, **{path: buffer.getvalue()})
        with pytest.raises(DataError, match=r"compressed|missing"):
            Bundle.from_files(files).selftest  # noqa: B018 - read when it is asked for
    assert "compressed" in refused(forged(forged_manifest(bundle, **{"head.npz": buffer.getvalue()})), tmp_path)


def test_an_array_that_promises_more_than_it_has() -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (10**13,)})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("table.npy", buffer.getvalue())
    with pytest.raises(ValueError, match="does not have the bytes"):
        read_arrays(packed.getvalue(), ("table",))


class Sentinel:
    """Unpickling this runs a command."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch pwned",)


def test_a_pickle_in_an_npz_is_never_loaded(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    np.savez(buffer, levels=np.array([Sentinel()], dtype=object), table=np.zeros(1), temperature=np.float64(1))
    assert "head.npz" in refused(forged(forged_manifest(bundle, **{"head.npz": buffer.getvalue()})), tmp_path)
    assert not (tmp_path / "pwned").exists()


def device_graph(bundle: Bundle) -> onnx.ModelProto:
    return onnx.load_from_string(bundle.read("encoder"))


def external_weights(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")


def endless_loop(model: onnx.ModelProto) -> None:
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["still"]), helper.make_node("Identity", ["a"], ["b"])],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("a", TensorProto.FLOAT, [1, 3])],
        [value("still", TensorProto.BOOL, []), value("b", TensorProto.FLOAT, [1, 3])],
    )
    model.graph.node[-1].output[0] = "once"
    model.graph.node.append(helper.make_node("Loop", ["", "", "once"], ["t"], "loop", body=body))


def foreign_operator(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "com.evil"


def function_of_its_own(model: onnx.ModelProto) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    model.functions.append(helper.make_function("com.evil", "f", ["x"], ["y"], [node], [helper.make_opsetid("", 17)]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external_weights, "weights outside the file"),
        (endless_loop, "Loop with a graph inside"),
        (foreign_operator, "com.evil"),
        (function_of_its_own, "functions of its own"),
    ],
)
@pytest.mark.parametrize("role", ["encoder", "encoder-int8"])
def test_a_graph_that_reads_files_or_never_ends(
    role: Role, change: Any, message: str, bundle: Bundle, tmp_path: Path
) -> None:
    model = device_graph(bundle)
    change(model)
    with pytest.raises(DataError, match=message):
        with_files(bundle, {(role, None): ("graph.onnx", model.SerializeToString())})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 200_000, "not valid JSON"),
        (b'{"schema_version": 1, "schema_version": 1}', "occurs twice"),
        (b'{"schema_version": ' + b"9" * 100_000 + b"}", "not valid JSON"),
        (b"[" + b"0," * 9_000_000 + b"0]", "is more than"),
        (b'{"schema_version": 99}', "schema version 99, this release reads version 1"),
        (b"\xff\xfe", "not valid JSON"),
    ],
)
def test_json_made_to_hurt(text: bytes, message: str, bundle: Bundle, tmp_path: Path) -> None:
    assert message in refused(forged({**bundle.files, MANIFEST: text}), tmp_path)


def test_labels_and_channels_that_talk_to_the_terminal(bundle: Bundle, tmp_path: Path) -> None:
    for field, text in (("classes", "\x1b]0;owned\x07"), ("classes", "safe\u202egnp.exe"), ("name", "a\nb")):
        manifest = json.loads(bundle.files[MANIFEST])
        manifest[field] = [text, *manifest["classes"][1:]] if field == "classes" else text
        refused(forged({**bundle.files, MANIFEST: json.dumps(manifest).encode()}), tmp_path)
    preprocess = json.loads(bundle.read("preprocess"))
    preprocess["channels"][0]["name"] = "\x1b[2J"
    files = forged_manifest(bundle, **{"preprocess.json": json.dumps(preprocess).encode()})
    assert "control characters" in refused(forged(files), tmp_path)


# Hostile HEFs inside a bundle


@pytest.mark.parametrize(
    ("hef", "message"),
    [
        (b"", "too short"),
        (hef_bytes(arch="hailo8l", layout="classic"), "no partial network groups"),
        (hef_bytes(arch="hailo8"), "was compiled for hailo8"),
        (hef_bytes(arch="hailo8l")[:-1], "cut off"),
    ],
)
def test_a_hef_that_would_crash_hailort_never_reaches_it(
    hef: bytes, message: str, bundle: Bundle, tmp_path: Path
) -> None:
    evil = with_files(bundle, {("hef", "hailo8l"): ("hef/hailo8l.hef", hef)})
    with pytest.raises(BundleError, match=message):
        verify_parts(evil)
    evil.save(tmp_path / "evil.fsqb")
    assert run(["bundle", "verify", str(tmp_path / "evil.fsqb")]) == 65
    assert run(["bundle", "install", str(tmp_path / "evil.fsqb"), str(tmp_path / "dest")]) == 65


# Another model in the place of the right one: only a signature, or the self-test, can tell


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    return private, key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)


def test_a_file_is_replaced_and_every_hash_made_right(bundle: Bundle, keys: tuple[bytes, bytes]) -> None:
    signed = sign_bundle(bundle, keys[0])
    check_signature(signed, keys[1])
    evil = Bundle.from_files(forged_manifest(signed, **{"head.npz": random_bundle(seed=9).read("head")}))
    with pytest.raises(BundleError, match="changed after it was signed"):
        check_signature(evil, keys[1])


def test_a_signature_is_removed_moved_or_made_with_another_key(
    bundle: Bundle, keys: tuple[bytes, bytes], tmp_path: Path
) -> None:
    signed = sign_bundle(bundle, keys[0])
    with pytest.raises(BundleError, match="not signed"):
        check_signature(with_files(signed, {("signature", None): None}), keys[1])
    moved = with_files(random_bundle(seed=4), {("signature", None): ("signature.json", signed.read("signature"))})
    with pytest.raises(BundleError, match="not made with this key"):
        check_signature(moved, keys[1])
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    other = Ed25519PrivateKey.generate()
    pem = other.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    with pytest.raises(BundleError, match="not made with this key"):
        check_signature(sign_bundle(bundle, pem), keys[1])
    (tmp_path / "key.pub").write_bytes(keys[1])
    bundle.save(tmp_path / "bare.fsqb")
    words = [
        "bundle",
        "install",
        str(tmp_path / "bare.fsqb"),
        str(tmp_path / "dest"),
        "--key",
        str(tmp_path / "key.pub"),
    ]
    assert run(words) == 65
    assert not (tmp_path / "dest").exists()


@pytest.mark.parametrize("field", ["forced", "check", "provenance", "name", "classes", "schema_version"])
def test_the_record_of_a_signed_bundle_is_rewritten(field: str, bundle: Bundle, keys: tuple[bytes, bytes]) -> None:
    signed = sign_bundle(with_files(bundle, {}, forced=["a gate was forced"]), keys[0])
    manifest = json.loads(signed.files[MANIFEST])
    manifest[field] = {
        "forced": [],
        "check": {"hailo8": "full"},
        "provenance": {"accuracy": 1.0},
        "name": "other",
        "classes": manifest["classes"][::-1],
        "schema_version": 2,
    }[field]
    with pytest.raises(FsqEdgeError):
        check_signature(Bundle.from_files({**signed.files, MANIFEST: json.dumps(manifest).encode()}), keys[1])


def test_the_source_changes_while_it_is_installed(bundle: Bundle, tmp_path: Path) -> None:
    """The file is read once: what was verified is what is written, whatever becomes of the source."""
    source = tmp_path / "dog.fsqb"
    bundle.save(source)

    def swap(opened: Bundle, backend: str) -> SelfTestResult:
        source.write_bytes(b"something else entirely")
        return SelfTestResult(backend, 1, True, 0.0, 1.0, 1.0, passed=True, reason="")

    install(source, tmp_path / "dest", selftest=swap)
    assert Bundle.open(tmp_path / "dest").files == bundle.files


def test_names_in_a_network_do_not_become_shell_commands(tmp_path: Path) -> None:
    """compile.sh of a plan quotes what comes from the ONNX file; a hailo of our own records its arguments."""
    from tests.factories.build_folders import random_build

    model = device_graph(random_bundle())
    model.graph.node[-1].name = "tanh$(touch pwned);`touch pwned`' \"&"
    build = random_build(tmp_path / "build", windows=64, encoder=model.SerializeToString(), name="$(touch pwned)")
    plan = tmp_path / "plan"
    assert run(["compile", str(build.path), "--arch", "hailo8", "--plan", str(plan), "--quiet"]) == 0
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "hailo").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> "{tmp_path}/arguments"\n')
    (tools / "uname").write_text("#!/bin/sh\necho x86_64\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    subprocess.run(["bash", "compile.sh"], cwd=plan, env=environment, check=True, capture_output=True)
    assert model.graph.node[-1].name in (tmp_path / "arguments").read_text().splitlines()
    assert not list(tmp_path.rglob("pwned"))
