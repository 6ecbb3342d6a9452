"""Small random bundles: a real device graph, a real head, no training."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_compile.packing.batching import symbolic_batch
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import make_bundle
from fsq_edge_runtime.bundle.fingerprint import Fingerprint
from fsq_edge_runtime.bundle.manifest import Role
from fsq_edge_runtime.bundle.reference import selftest_bytes
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.feature_statistics import FeatureStatistics
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig, Preprocessor
from fsq_edge_runtime.tail import FsqCodebook, FsqTail

LEVELS = (8, 6, 5)
IMU = (("acc_x", "g"), ("acc_y", "g"), ("acc_z", "g"), ("gyr_x", "rad/s"), ("gyr_y", "rad/s"), ("gyr_z", "rad/s"))


def preprocess_config(channels: tuple[tuple[str, str], ...] = IMU, **changes: object) -> PreprocessConfig:
    graph = len(channels) * (2 if changes.get("window_zscore", True) else 1)
    values: dict[str, object] = {
        "channels": tuple(ChannelSpec(name=name, unit=unit) for name, unit in channels),
        "sample_rate_hz": 50.0,
        "mean": tuple(0.1 * index for index in range(graph)),
        "std": tuple(1.0 + 0.05 * index for index in range(graph)),
    }
    return PreprocessConfig(**{**values, **changes})


def device_graph(
    frame_shape: tuple[int, int, int], *, hidden: int = 16, seed: int = 0, features: bool = False
) -> bytes:
    """Conv (1, 5), Relu, GlobalAveragePool, Flatten, Gemm, Tanh with random weights spread over the code book."""
    draw = np.random.default_rng(seed)
    channels = frame_shape[0]
    weights = {
        "w": draw.normal(0, 1 / np.sqrt(channels * 5), (hidden, channels, 1, 5)),
        "b": draw.normal(0, 0.1, hidden),
        "p": draw.normal(0, 4 / np.sqrt(hidden), (len(LEVELS), hidden)),
        "c": draw.normal(0, 0.3, len(LEVELS)),
    }
    pooled = "features" if features else "f"
    outputs = [helper.make_tensor_value_info("t", TensorProto.FLOAT, [1, len(LEVELS)])]
    if features:
        outputs.append(helper.make_tensor_value_info(pooled, TensorProto.FLOAT, [1, hidden]))
    nodes = [
        helper.make_node("Conv", ["input", "w", "b"], ["h"], "conv", kernel_shape=[1, 5], pads=[0, 2, 0, 2]),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], [pooled], "flatten"),
        helper.make_node("Gemm", [pooled, "p", "c"], ["z"], "projection", transB=1),
        helper.make_node("Tanh", ["z"], ["t"], "tanh"),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, *frame_shape])],
        outputs,
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def random_tail(classes: int = 7, seed: int = 0) -> FsqTail:
    table = np.random.default_rng(seed).normal(0, 2, (FsqCodebook(LEVELS).n_codes, classes))
    return FsqTail(LEVELS, table.astype(np.float32))


def motion(n: int, channels: int = 6, *, seed: int = 0, rate: float = 50.0) -> np.ndarray:
    """Smooth random motion (n, channels) float32 whose pace changes every few seconds."""
    draw = np.random.default_rng(seed)
    time = np.arange(n) / rate
    pace = np.repeat(draw.uniform(0.5, 4.0, n // 150 + 1), 150)[:n]
    phase = np.cumsum(pace) / rate * 2 * np.pi
    parts = [np.sin(phase + draw.uniform(0, 6)) * draw.uniform(0.3, 2) for _ in range(channels)]
    return (np.stack(parts, axis=1) + draw.normal(0, 0.05, (n, channels)) + 0.1 * time[:, None] % 1).astype(np.float32)


def random_bundle(
    *,
    preprocess: PreprocessConfig | None = None,
    decision: DecisionSettings | None = None,
    classes: int = 7,
    seed: int = 0,
    features: bool = False,
) -> Bundle:
    config = preprocess or preprocess_config()
    encoder = device_graph(config.frame_shape, seed=seed, features=features)
    tail = random_tail(classes, seed)
    samples = motion(config.window_samples * 8, len(config.channels), seed=seed)
    windows = samples.reshape(8, config.window_samples, -1).transpose(0, 2, 1).copy()
    t = OnnxBackend(encoder).infer_batch(Preprocessor(config).frames(windows))
    counts = np.bincount(tail.index(t), minlength=tail.codebook.n_codes)
    fingerprint = Fingerprint(counts=tuple(int(count) for count in counts), windows=len(windows))
    more: dict[tuple[Role, str | None], tuple[str, bytes]] = {}
    if features:
        pooled = OnnxBackend(encoder, features=True).infer_batch(Preprocessor(config).frames(windows))[:, len(LEVELS) :]
        statistics = FeatureStatistics.of(pooled, np.arange(len(windows)) % classes, classes)
        more["encoder-batch", None] = ("encoder_batch.onnx", symbolic_batch(encoder))
        more["features", None] = ("features.npz", statistics.to_bytes())
    return make_bundle(
        "random",
        tuple(f"class-{index}" for index in range(classes)),
        {
            ("preprocess", None): ("preprocess.json", config.to_json().encode()),
            ("encoder", None): ("encoder.onnx", encoder),
            ("head", None): ("head.npz", tail.to_bytes()),
            ("decision", None): ("decision.json", (decision or DecisionSettings()).to_json().encode()),
            ("fingerprint", None): ("fingerprint.json", fingerprint.to_json().encode()),
            ("selftest", None): (
                "selftest.npz",
                selftest_bytes(windows, t, tail.index(t), tail.logits(t).argmax(axis=1)),
            ),
            **more,
        },
    )
