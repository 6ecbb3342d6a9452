"""How long verifying and installing a bundle takes. Run: ``python -m fsq_edge_benchmarks.suites.bundle``."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge_benchmarks.bench.latency import percentile
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.bundle.bundle import Bundle, Fingerprint, make_bundle, selftest_bytes
from fsq_edge_runtime.bundle.edit import add_hef
from fsq_edge_runtime.bundle.install import install, verify_parts
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig, Preprocessor
from fsq_edge_runtime.tail import FsqTail
from fsq_edge_runtime.testing import TensorSpec, hef_bytes

BUNDLE_BYTES: Final = 5_000_000
LEVELS: Final = (8, 6, 5)
CLASSES: Final = ("rest", "walk", "trot")


def run(quick: bool = False) -> dict[str, Any]:
    """Time ``bundle verify`` on a bundle of 5 MB, alternating with bare hashing, and ``bundle install``.

    Args:
        quick: 11 readings instead of 100.

    Returns:
        ``verify_ms_p50``; ``sha256_ms_p50`` of the same bytes and their ``ratio``; ``install_ms_p50`` (self-test and
        waiting for the disk included); ``bundle_bytes``.
    """
    rounds = 11 if quick else 100
    verifying, hashing, installing = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.fsqb" for index in range(2)]
        for index, path in enumerate(paths):
            sample_bundle(BUNDLE_BYTES, index).save(path)
        for index in range(rounds):
            path = paths[index % 2]
            started = time.perf_counter_ns()
            verify_parts(Bundle.open(path))
            verified = time.perf_counter_ns()
            hashlib.sha256(path.read_bytes()).digest()
            hashed = time.perf_counter_ns()
            install(path, Path(folder) / "dest", backend="onnx")
            installing.append(time.perf_counter_ns() - hashed)
            verifying.append(verified - started)
            hashing.append(hashed - verified)
        size = paths[0].stat().st_size
    verify_us, hash_us, install_us = (percentile(values, 50) or 0.0 for values in (verifying, hashing, installing))
    return {
        "bundle_bytes": size,
        "verify_ms_p50": verify_us / 1e3,
        "sha256_ms_p50": hash_us / 1e3,
        "ratio": verify_us / hash_us,
        "install_ms_p50": install_us / 1e3,
        "samples": rounds,
    }


def sample_bundle(size: int, seed: int = 0) -> Bundle:
    """Return a bundle of a random untrained network with a synthetic HEF that fills it up to about ``size`` bytes."""
    draw = np.random.default_rng(seed)
    channels = tuple(ChannelSpec(name=name, unit="g") for name in ("acc_x", "acc_y", "acc_z"))
    config = PreprocessConfig(channels=channels, sample_rate_hz=50.0, mean=(0.0,) * 6, std=(1.0,) * 6)
    tail = FsqTail(LEVELS, draw.normal(size=(240, len(CLASSES))).astype(np.float32))
    encoder = _encoder(config.frame_shape, draw)
    windows = draw.normal(size=(8, 3, config.window_samples)).astype(np.float32)
    t = OnnxBackend(encoder).infer_batch(Preprocessor(config).frames(windows))
    codes = tail.index(t)
    counts = np.bincount(codes, minlength=240)
    fingerprint = Fingerprint(counts=tuple(int(count) for count in counts), windows=len(codes))
    bundle = make_bundle(
        "sample",
        CLASSES,
        {
            ("preprocess", None): ("preprocess.json", config.to_json().encode()),
            ("encoder", None): ("encoder.onnx", encoder),
            ("head", None): ("head.npz", tail.to_bytes()),
            ("decision", None): ("decision.json", DecisionSettings().to_json().encode()),
            ("fingerprint", None): ("fingerprint.json", fingerprint.to_json().encode()),
            ("selftest", None): ("selftest.npz", selftest_bytes(windows, t, codes, tail.logits(t).argmax(axis=1))),
        },
    )
    source = TensorSpec("input_layer1", (2, 50, 6), -5.0, 5.0, original_names=("pool",))
    sink = TensorSpec("fc1", (3,), -1.0, 1.0, original_names=("tanh",))
    hef = hef_bytes(arch="hailo8l", inputs=[source], outputs=[sink], payload=draw.bytes(size))
    added = add_hef(bundle, hef).bundle
    return bundle if added is None else added


def _encoder(frame_shape: tuple[int, int, int], draw: np.random.Generator) -> bytes:
    """A pool, a projection and a Tanh."""
    from onnx import TensorProto, helper, numpy_helper

    weights = draw.normal(0, 3, (len(LEVELS), frame_shape[0])).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["input"], ["g"], "pool"),
            helper.make_node("Flatten", ["g"], ["f"], "flatten"),
            helper.make_node("Gemm", ["f", "w"], ["z"], "projection", transB=1),
            helper.make_node("Tanh", ["z"], ["t"], "tanh"),
        ],
        "encoder",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, *frame_shape])],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, [1, len(LEVELS)])],
        [numpy_helper.from_array(weights, "w")],
    )
    model: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return model


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
