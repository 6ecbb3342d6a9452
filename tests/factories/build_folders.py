"""A BUILD folder made of random parts: what export and calibrate would write, without training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_calibration import audit_set, build_calibration_set, describe_windows
from fsq_edge_compile.build_folder import BuildFolder, ExportRecord, Labels, Reference
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.tail import FsqTail
from tests.factories.bundles import motion, random_bundle

LABELS = 7


def random_build(folder: Path, *, windows: int = 128, encoder: bytes | None = None, name: str = "dog 1") -> BuildFolder:
    """Write a BUILD folder around :func:`random_bundle`; ``encoder`` replaces the device graph."""
    bundle = random_bundle()
    config = bundle.preprocess
    folder.mkdir(parents=True, exist_ok=True)
    for role, path in (("encoder", "encoder.onnx"), ("head", "head.npz"), ("preprocess", "preprocess.json")):
        (folder / path).write_bytes(bundle.read(role))
    for role, path in (("decision", "decision.json"), ("fingerprint", "fingerprint.json")):
        (folder / path).write_bytes(bundle.read(role))
    (folder / "model.onnx").write_bytes(full_graph(bundle.read("encoder"), bundle.tail))
    if encoder is not None:
        (folder / "encoder.onnx").write_bytes(encoder)
    raw = windows_of(bundle, windows)
    labels = np.arange(windows) % LABELS
    subjects = np.array([str(index % 3) for index in range(windows)])
    calibration = build_calibration_set(raw, labels, subjects, config, size=windows, method="random")
    calibration.save(folder / "calibration.npz")
    training = describe_windows(raw, config, labels=labels, subjects=subjects)
    (folder / "calibration.json").write_text(audit_set(calibration, training, config).to_json())
    t = OnnxBackend(bundle.read("encoder")).infer_batch(Preprocessor(config).frames(raw))
    truth = bundle.tail.logits(t).argmax(axis=1)  # a teacher that is always right
    (folder / "reference.npz").write_bytes(Reference(raw, truth, subjects, t).to_bytes())
    (folder / "labels.json").write_text(Labels(classes=bundle.classes).to_json())
    (folder / "export.json").write_text(ExportRecord(name=name).to_json())
    return BuildFolder(folder)


def full_graph(encoder: bytes, tail: FsqTail) -> bytes:
    """model.onnx: the device graph, rounding and the logits table in one, as export writes it."""
    model = onnx.load_from_string(encoder)
    book = tail.codebook
    constants = {
        "half": book.half,
        "offset": book.offset,
        "middle": np.asarray([level // 2 for level in book.levels], np.float32),
        "basis": book.basis.astype(np.float32)[:, None],
        "table": tail.table,
        "last": np.asarray([-1], np.int64),
    }
    steps = [
        ("Mul", ["t", "half"], "scaled"),
        ("Sub", ["scaled", "offset"], "bounded"),
        ("Round", ["bounded"], "signed"),
        ("Add", ["signed", "middle"], "digits"),
        ("MatMul", ["digits", "basis"], "place"),
        ("Reshape", ["place", "last"], "flat"),
    ]
    nodes = [helper.make_node(operator, inputs, [out], f"/tail/{out}") for operator, inputs, out in steps]
    nodes.append(helper.make_node("Cast", ["flat"], ["index"], "/tail/index", to=TensorProto.INT64))
    nodes.append(helper.make_node("Gather", ["table", "index"], ["logits"], "/tail/logits", axis=0))
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, tail.table.shape[1]]))
    model.graph.output.append(helper.make_tensor_value_info("index", TensorProto.INT64, [1]))
    onnx.checker.check_model(model, full_check=True)
    serialised: bytes = model.SerializeToString()
    return serialised


def windows_of(bundle: Bundle, count: int) -> np.ndarray:
    """Raw windows (count, C, T) of smooth motion."""
    config = bundle.preprocess
    samples = motion(config.window_samples * count, len(config.channels), seed=5)
    return samples.reshape(count, config.window_samples, -1).transpose(0, 2, 1).copy()


def frames_nhwc(bundle: Bundle, count: int) -> np.ndarray:
    """Frames (count, H, W, C') of the same windows."""
    return Preprocessor(bundle.preprocess).frames(windows_of(bundle, count)).transpose(0, 2, 3, 1)
