"""A BUILD folder whose every part belongs to one hand-made network, so that the parity ladder holds on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_calibration import audit_set, build_calibration_set, describe_windows
from fsq_edge_compile.build_folder import BuildFolder, ExportRecord, Labels, Reference
from fsq_edge_compile.int8.probe import ActivationProbe
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.bundle.fingerprint import Fingerprint
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.tail import FsqCodebook, FsqTail
from tests.factories.device_graph import make_device_graph
from tests.factories.motion import MotionWindows, make_motion

LEVELS = (8, 6, 5)
CLASSES = ("stand", "walk", "trot", "turn")


def spread(encoder: bytes, frames: np.ndarray) -> bytes:
    """Return the graph with its projection on the widest directions of its features, as if it were trained."""
    model = onnx.load_from_string(encoder)
    features = np.concatenate([row["flat"] for row in ActivationProbe(model, ["flat"]).observe(frames)])
    mean = features.mean(axis=0)
    directions = np.linalg.svd(features - mean, full_matrices=False)[2][: len(LEVELS)]
    weight = directions / ((features - mean) @ directions.T).std(axis=0)[:, None]
    for entry in model.graph.initializer:
        if entry.name == "projection.weight":
            entry.CopyFrom(numpy_helper.from_array(weight.astype(np.float32), entry.name))
        if entry.name == "projection.bias":
            entry.CopyFrom(numpy_helper.from_array((-weight @ mean).astype(np.float32), entry.name))
    return model.SerializeToString()


def full_graph(encoder: bytes, tail: FsqTail) -> bytes:
    """Return model.onnx: the device graph, the rounding and the table, outputs ``logits`` and ``index``."""
    model = onnx.load_from_string(encoder)
    book, graph = tail.codebook, model.graph
    constants = {
        "half": book.half,
        "off": book.offset,
        "middle": np.asarray([level // 2 for level in book.levels], np.float32),
        "basis": book.basis.astype(np.float32),
        "axis": np.asarray([1], np.int64),
        "table": tail.table,
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.node.extend(
        [
            helper.make_node("Mul", ["t", "half"], ["scaled"]),
            helper.make_node("Sub", ["scaled", "off"], ["bounded"]),
            helper.make_node("Round", ["bounded"], ["rounded"]),
            helper.make_node("Add", ["rounded", "middle"], ["digits"]),
            helper.make_node("Mul", ["digits", "basis"], ["weighted"]),
            helper.make_node("ReduceSum", ["weighted", "axis"], ["sum"], keepdims=0),
            helper.make_node("Cast", ["sum"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "index"], ["logits"]),
        ]
    )
    del graph.output[:]
    graph.output.extend(
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, tail.table.shape[1]]),
            helper.make_tensor_value_info("index", TensorProto.INT64, [1]),
        ]
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def parity_build(folder: Path, *, calibrated: bool = True) -> BuildFolder:
    """Write a whole BUILD folder, up to ``calibrate``; subjects s0 to s2 train, s3 validates, s4 is held out."""
    motion = make_motion(1200, seed=7)
    frames = Preprocessor(motion.preprocess).frames(motion.windows)
    encoder = spread(make_device_graph(seed=3), frames)
    t = OnnxBackend(encoder).infer_batch(frames)
    sides = {name: np.flatnonzero(np.isin(motion.subjects, who)) for name, who in _SIDES.items()}
    tail = _head(t[sides["train"]], motion.labels[sides["train"]])
    counts = np.bincount(tail.index(t[sides["train"]]), minlength=tail.codebook.n_codes)
    fingerprint = Fingerprint(counts=tuple(int(count) for count in counts), windows=len(sides["train"]))
    decision = DecisionSettings(enter=0.5, leave=0.3, unknown_below=0.3, smoothing="ema", smoothing_ms=1500.0)
    contents = {
        "encoder.onnx": encoder,
        "model.onnx": full_graph(encoder, tail),
        "head.npz": tail.to_bytes(),
        "preprocess.json": motion.preprocess.to_json().encode(),
        "labels.json": Labels(classes=CLASSES).to_json().encode(),
        "decision.json": decision.to_json().encode(),
        "fingerprint.json": fingerprint.to_json().encode(),
        "export.json": ExportRecord(name="dog").to_json().encode(),
        "reference.npz": _reference(motion, t, sides["test"]).to_bytes(),
        "validation.npz": _reference(motion, t, sides["val"]).to_bytes(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    if calibrated:
        calibrate(folder, motion, sides["train"], tail.index(t[sides["train"]]))
    return BuildFolder(folder)


def calibrate(folder: Path, motion: MotionWindows, rows: np.ndarray, codes: np.ndarray) -> None:
    """Write calibration.npz and calibration.json."""
    windows, config = motion.windows[rows], motion.preprocess
    columns = motion.labels[rows], motion.subjects[rows]
    known = {"codes": codes, "classes": CLASSES}
    chosen = build_calibration_set(windows, *columns, config, size=256, **known)
    training = describe_windows(windows, config, *columns, **known)
    chosen.save(folder / "calibration.npz")
    (folder / "calibration.json").write_text(audit_set(chosen, training, motion.preprocess).to_json())


_SIDES = {"train": ["s0", "s1", "s2"], "val": ["s3"], "test": ["s4"]}


def _head(t: np.ndarray, labels: np.ndarray) -> FsqTail:
    """Return a head that says of each code how often each class had it."""
    book = FsqCodebook(LEVELS)
    seen = np.zeros((book.n_codes, len(CLASSES)))
    np.add.at(seen, (book.index(book.digits(t)), labels), 1.0)
    return FsqTail(LEVELS, np.log(seen + 0.5).astype(np.float32))


def _reference(motion: MotionWindows, t: np.ndarray, rows: np.ndarray) -> Reference:
    return Reference(motion.windows[rows], motion.labels[rows], motion.subjects[rows], t[rows])
