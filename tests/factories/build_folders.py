"""A BUILD folder made of random parts: what export and calibrate would write, without training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fsq_edge_calibration import audit_set, build_calibration_set, describe_windows
from fsq_edge_compile.build_folder import BuildFolder, ExportRecord, Labels, Reference
from fsq_edge_runtime.bundle import Bundle
from fsq_edge_runtime.preprocess import Preprocessor
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
    if encoder is not None:
        (folder / "encoder.onnx").write_bytes(encoder)
    raw = windows_of(bundle, windows)
    labels = np.arange(windows) % LABELS
    subjects = np.array([str(index % 3) for index in range(windows)])
    calibration = build_calibration_set(raw, labels, subjects, config, size=windows, method="random")
    calibration.save(folder / "calibration.npz")
    training = describe_windows(raw, config, labels=labels, subjects=subjects)
    (folder / "calibration.json").write_text(audit_set(calibration, training, config).to_json())
    t = np.zeros((windows, bundle.tail.codebook.dimensions), np.float32)
    (folder / "reference.npz").write_bytes(Reference(raw, labels, subjects, t).to_bytes())
    (folder / "labels.json").write_text(Labels(classes=bundle.classes).to_json())
    (folder / "export.json").write_text(ExportRecord(name=name).to_json())
    return BuildFolder(folder)


def windows_of(bundle: Bundle, count: int) -> np.ndarray:
    """Raw windows (count, C, T) of smooth motion."""
    config = bundle.preprocess
    samples = motion(config.window_samples * count, len(config.channels), seed=5)
    return samples.reshape(count, config.window_samples, -1).transpose(0, 2, 1).copy()


def frames_nhwc(bundle: Bundle, count: int) -> np.ndarray:
    """Frames (count, H, W, C') of the same windows."""
    return Preprocessor(bundle.preprocess).frames(windows_of(bundle, count)).transpose(0, 2, 3, 1)


def read_json(path: Path) -> dict[str, object]:
    value: dict[str, object] = json.loads(path.read_text())
    return value
