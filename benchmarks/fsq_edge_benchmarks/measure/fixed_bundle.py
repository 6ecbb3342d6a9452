"""One fixed network as a bundle, so that figures stay comparable whatever the default model becomes.

Three (1, 9) convolutions over 12 graph channels of 2 rows of 50 samples, 59,000 parameters, random weights: what a
window costs does not depend on what the network has learnt.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.bundle.bundle import Bundle, Fingerprint, Role, make_bundle, selftest_bytes
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig, Preprocessor, fit_preprocess
from fsq_edge_runtime.score_tails import SoftmaxTail
from fsq_edge_runtime.tail import FsqTail

CHANNELS: Final = {"acc_x": "g", "acc_y": "g", "acc_z": "g", "gyr_x": "rad/s", "gyr_y": "rad/s", "gyr_z": "rad/s"}
CLASSES: Final = ("rest", "walk", "trot", "run", "jump", "roll", "dig")
LEVELS: Final = (8, 6, 5)
WIDTHS: Final = (32, 64, 64)
KERNEL: Final = 9
RATE_HZ: Final = 50.0
SELFTEST_WINDOWS: Final = 16


def fixed_bundle(*, int8: bool = False, sample_rate_hz: float = RATE_HZ) -> Bundle:
    """Return the fixed network as a bundle, with equal bytes every time.

    Args:
        int8: with the int8 preview of the graph.
        sample_rate_hz: of the sensor; the network itself is the one for 50 Hz.
    """
    windows = motion_windows(256)
    config = fixed_preprocess(windows).model_copy(update={"sample_rate_hz": sample_rate_hz})
    table = np.random.default_rng(0).normal(0, 2, (int(np.prod(LEVELS)), len(CLASSES))).astype(np.float32)
    frames = Preprocessor(config).frames(windows)
    return bundle_around(_encoder(config.frame_shape, frames), FsqTail(LEVELS, table), config, windows, int8=int8)


def softmax_bundle() -> Bundle:
    """Return the fixed network with class scores in the place of the code, as a network trained elsewhere has them."""
    windows = motion_windows(256)
    config = fixed_preprocess(windows)
    frames = Preprocessor(config).frames(windows)
    encoder = _encoder(config.frame_shape, frames, len(CLASSES), "Identity")
    tail = SoftmaxTail(len(CLASSES))
    t = OnnxBackend(encoder).infer_batch(frames)
    answers = tail.index(t)
    counts = tuple(int(count) for count in np.bincount(answers, minlength=len(CLASSES)))
    n = SELFTEST_WINDOWS
    parts: dict[tuple[Role, str | None], tuple[str, bytes]] = {
        ("preprocess", None): ("preprocess.json", config.to_json().encode()),
        ("encoder", None): ("encoder.onnx", encoder),
        ("head", None): ("head.json", tail.to_bytes()),
        ("decision", None): ("decision.json", DecisionSettings().to_json().encode()),
        ("fingerprint", None): ("fingerprint.json", Fingerprint(counts=counts, windows=len(t)).to_json().encode()),
        ("selftest", None): ("selftest.npz", selftest_bytes(windows[:n], t[:n], answers[:n], answers[:n])),
    }
    return make_bundle("fixed-softmax", CLASSES, parts)


def bundle_around(
    encoder: bytes, tail: FsqTail, config: PreprocessConfig, windows: Float32Array, *, int8: bool = False
) -> Bundle:
    """Assemble a bundle around a device graph, with a batched copy of it.

    Args:
        encoder: batch-1 device graph.
        tail: its host tail, one class of ``CLASSES`` a column.
        config: its preprocessing.
        windows: (N, C, T) float32 raw units, for self-test, fingerprint and int8 ranges.
        int8: with the int8 preview.
    """
    from fsq_edge_compile.int8.quantize import quantize_preview
    from fsq_edge_compile.packing.batching import symbolic_batch

    frames = Preprocessor(config).frames(windows)
    t = OnnxBackend(encoder).infer_batch(frames)
    codes = tail.index(t)
    counts = np.bincount(codes, minlength=tail.codebook.n_codes)
    n = SELFTEST_WINDOWS
    selftest = selftest_bytes(windows[:n], t[:n], codes[:n], tail.logits(t[:n]).argmax(axis=1))
    fingerprint = Fingerprint(counts=tuple(int(count) for count in counts), windows=len(codes))
    parts: dict[tuple[Role, str | None], tuple[str, bytes]] = {
        ("preprocess", None): ("preprocess.json", config.to_json().encode()),
        ("encoder", None): ("encoder.onnx", encoder),
        ("head", None): ("head.npz", tail.to_bytes()),
        ("decision", None): ("decision.json", DecisionSettings().to_json().encode()),
        ("fingerprint", None): ("fingerprint.json", fingerprint.to_json().encode()),
        ("selftest", None): ("selftest.npz", selftest),
        ("encoder-batch", None): ("encoder_batch.onnx", symbolic_batch(encoder)),
    }
    if int8:
        parts["encoder-int8", None] = ("encoder_int8.onnx", quantize_preview(encoder, frames))
    return make_bundle("fixed", CLASSES[: tail.table.shape[1]], parts)


def motion_windows(n: int, seed: int = 0, samples: int = 100) -> Float32Array:
    """Return windows (n, 6, samples) of smooth synthetic motion with noise, in raw units."""
    draw = np.random.default_rng(seed)
    time = np.arange(samples) / RATE_HZ
    pace = draw.uniform(0.5, 4.0, (n, 1, 1))
    phase, size = draw.uniform(0, 6, (n, len(CHANNELS), 1)), draw.uniform(0.2, 2.0, (n, len(CHANNELS), 1))
    noise = draw.normal(0, 0.05, (n, len(CHANNELS), samples))
    windows: Float32Array = (size * np.sin(2 * np.pi * pace * time + phase) + noise).astype(np.float32)
    return windows


def fixed_preprocess(windows: Float32Array) -> PreprocessConfig:
    """Return the preprocessing of the fixed network: z-copies, a fold of 2, windows of 100 every 50 samples."""
    channels = tuple(ChannelSpec(name=name, unit=unit) for name, unit in CHANNELS.items())
    width = 2 * len(channels)
    draft = PreprocessConfig(channels=channels, sample_rate_hz=RATE_HZ, mean=(0.0,) * width, std=(1.0,) * width)
    return fit_preprocess(windows, draft)


def _encoder(
    frame_shape: tuple[int, int, int], frames: Float32Array, outputs: int = len(LEVELS), last: str = "Tanh"
) -> bytes:
    """Return the device graph, its projection scaled so that the frames spread over the code book."""
    draw = np.random.default_rng(0)
    widths = (frame_shape[0], *WIDTHS)
    weights = {}
    for block, (wide, narrow) in enumerate(zip(widths[1:], widths, strict=False)):
        weights[f"w{block}"] = draw.normal(0, np.sqrt(2 / (narrow * KERNEL)), (wide, narrow, 1, KERNEL))
        weights[f"b{block}"] = draw.normal(0, 0.1, wide)
    projection = draw.normal(0, 1 / np.sqrt(widths[-1]), (outputs, widths[-1]))
    plain = _graph(frame_shape, {**weights, "p": projection, "c": np.zeros(outputs)}, "Identity")
    z = OnnxBackend(plain).infer_batch(frames)
    spread = z.std(axis=0)
    scaled = {"p": projection / spread[:, None], "c": -z.mean(axis=0) / spread}
    return _graph(frame_shape, {**weights, **scaled}, last)


def _graph(frame_shape: tuple[int, int, int], weights: dict[str, Any], last: str) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    pads = [0, KERNEL // 2, 0, KERNEL // 2]
    nodes, at = [], "input"
    for block in range(len(WIDTHS)):
        convolution = [at, f"w{block}", f"b{block}"]
        nodes.append(
            helper.make_node("Conv", convolution, [f"h{block}"], f"conv{block}", kernel_shape=[1, KERNEL], pads=pads)
        )
        nodes.append(helper.make_node("Relu", [f"h{block}"], [f"r{block}"], f"relu{block}"))
        at = f"r{block}"
        if block < len(WIDTHS) - 1:
            two = [1, 2]
            nodes.append(
                helper.make_node("MaxPool", [at], [f"m{block}"], f"pool{block}", kernel_shape=two, strides=two)
            )
            at = f"m{block}"
    nodes += [
        helper.make_node("GlobalAveragePool", [at], ["g"], "mean"),
        helper.make_node("Flatten", ["g"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "p", "c"], ["z"], "projection", transB=1),
        helper.make_node(last, ["z"], ["t"], "last"),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, *frame_shape])],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, [1, len(weights["c"])])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return model
