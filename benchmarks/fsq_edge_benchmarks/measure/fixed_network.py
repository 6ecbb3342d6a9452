"""One fixed network, so that figures stay comparable whatever the default model becomes.

Three (1, 9) convolutions over 12 graph channels of 2 rows of 50 samples, 59,000 parameters, random weights: what a
window costs does not depend on what the network has learnt. Beside it a small one, of two convolutions. Both are
written without the onnx package, so that a device can run them; :mod:`fixed_bundle` has the first as a bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.backends.host import HostGraph
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import make_bundle
from fsq_edge_runtime.bundle.fingerprint import Fingerprint
from fsq_edge_runtime.bundle.manifest import Role
from fsq_edge_runtime.bundle.reference import selftest_bytes
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.onnx_writer import INPUT, OUTPUT, GraphWriter
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig, Preprocessor, fit_preprocess
from fsq_edge_runtime.score_tails import Tail
from fsq_edge_runtime.tail import FsqTail

CHANNELS: Final = {"acc_x": "g", "acc_y": "g", "acc_z": "g", "gyr_x": "rad/s", "gyr_y": "rad/s", "gyr_z": "rad/s"}
CLASSES: Final = ("rest", "walk", "trot", "run", "jump", "roll", "dig")
LEVELS: Final = (8, 6, 5)
WIDTHS: Final = (32, 64, 64)
SMALL_WIDTHS: Final = (8, 16)
KERNEL: Final = 9
SELFTEST_WINDOWS: Final = 16
RATE_HZ: Final = 50.0

Weights = Mapping[str, npt.NDArray[Any]]
Parts = dict[tuple[Role, str | None], tuple[str, bytes]]


def fixed_network() -> tuple[bytes, Float32Array]:
    """Return the fixed network's device graph, and frames (16, C', H, W) float32 of motion for it."""
    windows = motion_windows(256)
    config = fixed_preprocess(windows)
    frames = Preprocessor(config).frames(windows)
    return fixed_encoder(config.frame_shape, frames), frames[:SELFTEST_WINDOWS]


def small_bundle(like: Bundle, widths: tuple[int, ...] = SMALL_WIDTHS) -> Bundle:
    """Return the small network, or one of other widths, as a bundle, equal bytes for an equal bundle.

    What a decision costs beside its network shows there most: on the fixed network's frames it takes between a third
    and a half of the fixed network's time.

    Args:
        like: whose preprocessing, stream policies, classes and self-test windows it has.
        widths: of its convolutions.
    """
    draw = np.random.default_rng(0)
    weights = random_weights(draw, like.preprocess.frame_shape[0], widths)
    projection = draw.normal(0, 3 / np.sqrt(widths[-1]), (len(LEVELS), widths[-1]))
    encoder = graph_of(like.preprocess.frame_shape, {**weights, "p": projection, "c": np.zeros(len(LEVELS))})
    draw = np.random.default_rng(0)
    tail = FsqTail(LEVELS, draw.normal(0, 2, (int(np.prod(LEVELS)), len(like.classes))).astype(np.float32))
    parts = parts_of(encoder, tail, like.preprocess, like.selftest.windows)
    if like.has("stream"):
        parts["stream", None] = ("stream.json", like.read("stream"))
    return make_bundle("small", like.classes, parts)


def parts_of(encoder: bytes, tail: Tail, config: PreprocessConfig, windows: Float32Array, host: bytes = b"") -> Parts:
    """Return the parts that every bundle has, for :func:`fsq_edge_runtime.bundle.bundle.make_bundle`.

    Args:
        encoder: batch-1 device graph.
        tail: its host tail.
        config: its preprocessing.
        windows: (N, C, T) float32 raw units, for the fingerprint; the first are the self-test.
        host: the graph behind it; empty for none.
    """
    t = OnnxBackend(encoder).infer_batch(Preprocessor(config).frames(windows))
    t = HostGraph(host).scores_of_all(t) if host else t
    codes, n = tail.index(t), SELFTEST_WINDOWS
    counts = np.bincount(codes, minlength=tail.n_answers)
    fingerprint = Fingerprint(counts=tuple(counts.tolist()), windows=len(codes))
    labels = tail.logits(t[:n]).argmax(axis=1)
    behind: Parts = {("host", None): ("host.onnx", host)} if host else {}
    return {
        **behind,
        ("preprocess", None): ("preprocess.json", config.to_json().encode()),
        ("encoder", None): ("encoder.onnx", encoder),
        ("head", None): ("head.npz" if isinstance(tail, FsqTail) else "head.json", tail.to_bytes()),
        ("decision", None): ("decision.json", DecisionSettings().to_json().encode()),
        ("fingerprint", None): ("fingerprint.json", fingerprint.to_json().encode()),
        ("selftest", None): ("selftest.npz", selftest_bytes(windows[:n], t[:n], codes[:n], labels)),
    }


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


def fixed_encoder(
    frame_shape: tuple[int, int, int], frames: Float32Array, outputs: int = len(LEVELS), last: str = "Tanh"
) -> bytes:
    """Return the device graph, its projection scaled so that the frames spread over the code book."""
    draw = np.random.default_rng(0)
    weights = random_weights(draw, frame_shape[0], WIDTHS)
    projection = draw.normal(0, 1 / np.sqrt(WIDTHS[-1]), (outputs, WIDTHS[-1]))
    plain = graph_of(frame_shape, {**weights, "p": projection, "c": np.zeros(outputs)}, "Identity")
    z = OnnxBackend(plain).infer_batch(frames)
    spread = z.std(axis=0)
    return graph_of(frame_shape, {**weights, "p": projection / spread[:, None], "c": -z.mean(axis=0) / spread}, last)


def random_weights(draw: np.random.Generator, channels: int, widths: tuple[int, ...]) -> Weights:
    """Return kernels ``w0``, ... and biases ``b0``, ... of (1, 9) convolutions of these widths, one after the other."""
    weights = {}
    for block, (narrow, wide) in enumerate(zip((channels, *widths), widths, strict=False)):
        weights[f"w{block}"] = draw.normal(0, np.sqrt(2 / (narrow * KERNEL)), (wide, narrow, 1, KERNEL))
        weights[f"b{block}"] = draw.normal(0, 0.1, wide)
    return weights


def graph_of(frame_shape: tuple[int, int, int], weights: Weights, last: str = "Tanh") -> bytes:
    """Return the convolutions with pools of 2 between them, a mean, a projection ``p``, ``c`` and a last operator."""
    graph, at = GraphWriter(), "input"
    graph.port(INPUT, "input", (1, *frame_shape))
    for name, values in weights.items():
        graph.constant(name, values)
    blocks, sides = sum(name[0] == "w" for name in weights), KERNEL // 2
    for block in range(blocks):
        inputs, name = [at, f"w{block}", f"b{block}"], f"conv{block}"
        at = graph.node("Conv", inputs, name, kernel_shape=[1, KERNEL], pads=[0, sides, 0, sides])
        at = graph.node("Relu", [at], f"relu{block}")
        if block < blocks - 1 and frame_shape[2] >> block >= 2:
            at = graph.node("MaxPool", [at], f"pool{block}", kernel_shape=[1, 2], strides=[1, 2])
    at = graph.node("Flatten", [graph.node("GlobalAveragePool", [at], "mean")], "flatten")
    at = graph.node("Gemm", [at, "p", "c"], "projection", transB=1)
    graph.node(last, [at], "t")
    graph.port(OUTPUT, "t", (1, len(weights["c"])))
    return graph.model()
