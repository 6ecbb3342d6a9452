"""Bundles with every hash right that ask for the moon, or that could be verified and never run: all refused at open."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fsq_edge.cli.main import run
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.reference import selftest_bytes
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.npz import read_arrays
from fsq_edge_runtime.stream.head import DecisionHead
from fsq_edge_runtime.tail import FsqTail
from tests.attacks.test_bundle_attacks import forged, forged_manifest
from tests.factories.bundles import LEVELS, random_bundle, random_tail

ROOT = Path(__file__).parents[2]
N = helper.make_node


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle()


def changed(bundle: Bundle, path: str, **values: Any) -> dict[str, bytes]:
    """The bundle's files with fields of one JSON part set, whatever our models think of them, and every hash right."""
    part = json.loads(bundle.files[path])
    part.update(values)
    files = forged_manifest(bundle, **{path: json.dumps(part).encode()})
    if path == "preprocess.json":
        manifest = json.loads(files["manifest.json"])
        canonical = json.dumps(part, sort_keys=True, separators=(",", ":"))
        manifest["preprocess_sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
        files["manifest.json"] = json.dumps(manifest).encode()
    return files


def verdict(files: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Throw files at verify, install and run; return the one line that verify ends in."""
    path = tmp_path / "evil.fsqb"
    path.write_bytes(forged(files))
    np.savez(tmp_path / "walk.npz", samples=np.random.default_rng(0).normal(0, 1, (400, 6)).astype(np.float32))
    capsys.readouterr()
    assert run(["bundle", "verify", str(path)]) == 65
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) <= 2
    assert run(["bundle", "install", str(path), str(tmp_path / "dest"), "--backend", "onnx"]) == 65
    assert not (tmp_path / "dest").exists()
    assert run(["run", str(path), "--source", f"npz:{tmp_path / 'walk.npz'}", "--sink", f"jsonl:{os.devnull}"]) in (
        0,
        65,
    )
    return error


# Numbers


@pytest.mark.parametrize(
    ("path", "values", "message"),
    [
        ("decision.json", {"temperature": 1e-40}, "temperature"),
        ("decision.json", {"dwell_ms": 1.7e308}, "dwell_ms"),
        ("decision.json", {"smoothing": "median", "smoothing_ms": 6e5}, None),
        ("preprocess.json", {"mean": [1e200] * 12}, "mean"),
        ("preprocess.json", {"std": [1e-200] * 12}, "std"),
        ("preprocess.json", {"std": [5e-324] * 12}, "std"),
        ("preprocess.json", {"sample_rate_hz": 1e-300}, "sample_rate_hz"),
        ("preprocess.json", {"max_gap_ms": 1.7e308}, "max_gap_ms"),
        ("preprocess.json", {"clip_sigma": 1e300}, "clip_sigma"),
        ("preprocess.json", {"window_samples": 65536}, "encoder.onnx maps"),
        ("fingerprint.json", {"counts": [1, 2], "windows": 3}, "fingerprint"),
        ("fingerprint.json", {"windows": 99}, "fingerprint"),
    ],
)
def test_numbers_that_verify_and_then_fail(
    path: str, values: dict[str, Any], message: str | None, bundle: Bundle, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    files = changed(bundle, path, **values)
    if message is None:  # 600 s of 1 s hops are few; the span is refused where hops are short
        assert Bundle.from_files(files).decision.smoothing == "median"
        files = changed(Bundle.from_files(files), "preprocess.json", sample_rate_hz=1e4, hop_samples=1)
        message = "median"
    assert message in verdict(files, tmp_path, capsys)


@pytest.mark.parametrize(
    "values",
    [
        {"deadline_ms": 1.7e308},
        {"stuck_ms": 1e300},
        {"clock_jump_s": 1e300},
        {"source_rate_hz": 1e-300},
        {"source_rate_hz": 1e6},
        {"source_rate_hz": 1.0},
        {"full_scale": {"acc_x": 1e-300}},
        {"full_scale": {"nose": 1.0}},
        {"range_limits": {"g": 0.0}},
    ],
)
def test_stream_policies_that_no_session_takes(
    values: dict[str, Any], bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fsq_edge_runtime.bundle.edit import with_files

    base = with_files(bundle, {("stream", None): ("stream.json", bundle.stream.to_json().encode())})
    assert "stream.json" in verdict(changed(base, "stream.json", **values), tmp_path, capsys)


def test_a_head_whose_softmax_is_no_number(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = random_tail().table.astype(np.float64)
    for warmth, logits in ((1e-40, table), (1.0, table * 1e38), (np.nan, table), (1.0, table * np.nan)):
        buffer = io.BytesIO()
        np.savez(buffer, levels=np.asarray(LEVELS), table=logits, temperature=np.float64(warmth))
        assert "head" in verdict(forged_manifest(bundle, **{"head.npz": buffer.getvalue()}), tmp_path, capsys)


def test_a_t_beyond_its_range_is_the_outermost_digit_and_a_nan_is_lost() -> None:
    head = DecisionHead(FsqTail(LEVELS, random_tail().table), 1.0)
    t = np.asarray([[5, -5, 1], [np.inf, -np.inf, 0.2], [1, -1, 1], [np.nan, 0, 0], [0.1, 0.2, 0.3]], np.float32)
    codes, near = head.codes(t)
    assert codes.tolist() == [head.code(row) for row in t]
    assert codes[0] == codes[2]
    assert codes[3] == -1
    assert 3 not in near


# JSON


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":' * 400 + "1" + "}" * 400, "nested deeper"),
        ("[" * 900 + "]" * 900, "nested deeper"),
        ("NaN", "not a number of JSON"),
        ("1e999", "larger than any"),
        ('"\\ud800"', "control characters"),
    ],
)
def test_json_that_passes_one_parser_and_breaks_the_next(
    text: str, message: str, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = bundle.files["manifest.json"].decode().replace('"provenance": {}', f'"provenance": {{"x": {text}}}')
    assert text in manifest
    assert message in verdict({**bundle.files, "manifest.json": manifest.encode()}, tmp_path, capsys)


# npz


def npy(header: bytes, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    "member",
    [
        b"",
        b"\x93NUMPY",
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", version=b"\x09\x00"),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)"),
        npy(b"{'descr': ('<f4', -1), 'fortran_order': False, 'shape': (2,), }"),
        npy(b"{'descr': [('a',)], 'fortran_order': False, 'shape': (2,), }"),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -2), }", bytes(16)),
        npy(b"{'descr': 'V0', 'fortran_order': False, 'shape': (1000000000000,), }"),
        npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n"),
        npy(b"{'descr': '<f4', 'fortran_order': 3, 'shape': True, }"),
        npy(b"{1: 2}"),
        npy(b"(" * 3000),
        npy(b"\x00\xff\xfe"),
        npy(b"-" * 9000 + b"1"),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 5000 + b",), }"),
    ],
)
def test_every_fault_of_a_member_is_one_error(
    member: bytes, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("levels", "table", "temperature", "windows", "t", "codes", "labels"):
            archive.writestr(f"{name}.npy", member)
    with pytest.raises(ValueError, match=r"."):
        read_arrays(buffer.getvalue(), ("levels",))
    for path in ("head.npz", "selftest.npz"):
        assert path in verdict(forged_manifest(bundle, **{path: buffer.getvalue()}), tmp_path, capsys)


def test_evidence_that_is_garbage(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fsq_edge_runtime.bundle.edit import with_files

    test = bundle.selftest
    many = [np.repeat(array, 100, axis=0) for array in (test.windows, test.t, test.codes, test.labels)]
    for data in (
        selftest_bytes(test.windows, test.t, test.codes + 10_000, test.labels),
        selftest_bytes(test.windows, test.t * np.float32(np.nan), test.codes, test.labels),
        selftest_bytes(*many),
    ):
        assert "selftest.npz" in verdict(forged_manifest(bundle, **{"selftest.npz": data}), tmp_path, capsys)
    for role, path in (("calibration", "calibration.json"), ("events", "events.json"), ("signature", "signature.json")):
        for garbage in (b"garbage", b"{}", b"[" * 500, b'{"found": {"clip_sigma": 1e400}}'):
            with_garbage = with_files(bundle, {(role, None): (path, garbage)})  # type: ignore[dict-item]  # a role
            assert path in verdict(with_garbage.files, tmp_path, capsys)


# Graphs


def model(nodes: list[onnx.NodeProto], tensors: dict[str, Any], frame: list[int] | None = None) -> bytes:
    """A graph from the bundle's frame to t; the nodes end in a tensor of one float, `one`."""
    value = helper.make_tensor_value_info
    tail = [N("Expand", ["one", "three"], ["t"])]
    constants = {"three": [1, 3], "axes": [0, 1], "flat": [-1], **tensors}
    graph = helper.make_graph(
        [*nodes, *tail],
        "g",
        [value("input", TensorProto.FLOAT, frame or [1, 12, 2, 50])],
        [value("t", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(np.asarray(array, getattr(array, "dtype", np.int64)), name)
         for name, array in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def doubling(count: int) -> list[onnx.NodeProto]:
    joins = [N("Concat", [f"s{i}", f"s{i}"], [f"s{i + 1}"], axis=0) for i in range(count)]
    return [
        N("Shape", ["input"], ["s0"]),
        *joins,
        N("Cast", [f"s{count}"], ["f"], to=1),
        N("ReduceMax", ["f"], ["one"]),
    ]


def summed(*nodes: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Nodes that end in `k`, and the largest of its values."""
    return [*nodes, N("ReduceMax", ["k"], ["one"])]


HUNGRY = {
    "a constant of six gigabytes": (summed(N("ConstantOfShape", ["c"], ["k"])), {"c": [40_000, 40_000]}),
    "a product of two constants": (
        summed(N("ConstantOfShape", ["c"], ["a"]), N("MatMul", ["a", "a"], ["k"])), {"c": [4096, 4096]}
    ),
    "a shape that doubles 64 times": (doubling(64), {}),
    "a shape that doubles 16 times": (doubling(16), {}),
    "a tile": (summed(N("Tile", ["input", "r"], ["k"])), {"r": [1, 1, 1 << 20, 1 << 20]}),
    "a padding": (summed(N("Pad", ["input", "r"], ["k"])), {"r": [0, 0, 1 << 40, 0, 0, 0, 0, 1 << 40]}),
    "a convolution's padding": (
        summed(N("Conv", ["input", "w"], ["k"], pads=[1 << 40] * 4)), {"w": np.zeros((3, 12, 1, 1), np.float32)}
    ),
    "a resize": (summed(N("Resize", ["input", "", "", "z"], ["k"])), {"z": [1, 12, 1 << 20, 1 << 20]}),
    "a row times a column": (
        summed(N("Reshape", ["input", "r"], ["a"]), N("Reshape", ["input", "c"], ["b"]), N("Mul", ["a", "b"], ["d"]),
               N("MatMul", ["d", "d"], ["e"]), N("MatMul", ["e", "e"], ["f"]), N("MatMul", ["f", "f"], ["k"])),
        {"r": [1, 1200], "c": [1200, 1]},
    ),
    "a sum over every index": (
        summed(N("Reshape", ["input", "flat"], ["a"]), N("Einsum", ["a"] * 4, ["k"], equation="i,j,k,l->")), {}
    ),
    "a size known only when it runs": (
        summed(N("NonZero", ["input"], ["z"]), N("Cast", ["z"], ["k"], to=1)), {}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HUNGRY)
def test_a_graph_that_asks_for_the_moon(
    name: str, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes, tensors = HUNGRY[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = verdict(forged_manifest(bundle, **{"encoder.onnx": model(nodes, tensors)}), tmp_path, capsys)
    assert "encoder.onnx" in error
    assert ("joins more than" in error) == ("doubles" in name), error
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


@pytest.mark.parametrize("frame", [[1, 12, 1, 100], [1, 6, 2, 50], [1, 12, 2, 1 << 31], [1, 12, 2, 0], [2, 12, 2, 50]])
def test_a_graph_for_other_windows_or_without_z_copies(
    frame: list[int], bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = model(summed(N("Identity", ["input"], ["k"])), {}, frame)
    assert "encoder.onnx maps" in verdict(forged_manifest(bundle, **{"encoder.onnx": encoder}), tmp_path, capsys)


def test_a_constant_that_promises_more_than_the_file_holds(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    liar = onnx.load_from_string(bundle.read("encoder"))
    liar.graph.initializer[0].dims[:] = [1 << 20, 1 << 20]
    files = forged_manifest(bundle, **{"encoder.onnx": liar.SerializeToString()})
    assert "promises more values" in verdict(files, tmp_path, capsys)


def test_a_self_test_is_stopped_at_its_limits(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsq_edge_runtime.bundle import limited_selftest
    from fsq_edge_runtime.bundle.limited_selftest import Limits

    assert limited_selftest.run_limited_selftest(bundle, "onnx").passed
    for limits in (Limits(20 << 20, 8, 60.0), Limits(768 << 20, 8, 0.01)):
        monkeypatch.setattr(limited_selftest, "PROCESSOR", limits)
        with pytest.raises(DataError, match="self-test was stopped"):
            limited_selftest.run_limited_selftest(bundle, "onnx")


def test_a_child_that_never_ends_is_ended_by_the_processor_time(tmp_path: Path) -> None:
    from fsq_edge_runtime.bundle.limited_selftest import ChildError, Limits, run_limited

    (tmp_path / "endless.py").write_text("while True: pass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(ChildError, match="processor time"):
            run_limited("endless", (), b"", Limits(256 << 20, 1, 30.0))
