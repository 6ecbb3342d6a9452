"""A small network with the frames of another bundle: what a decision costs beside its network shows there most.

Two (1, 9) convolutions of 8 and 16 channels with random weights; on the fixed network's frames it takes between a third
and a half of the fixed network's time. Written without the onnx package, so that a device can run it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.bundle.bundle import Bundle, Fingerprint, Role, make_bundle, selftest_bytes
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.onnx_writer import INPUT, OUTPUT, GraphWriter
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.tail import FsqTail

WIDTHS: Final = (8, 16)
KERNEL: Final = 9
LEVELS: Final = (8, 6, 5)


def small_bundle(like: Bundle) -> Bundle:
    """Return the small network as a bundle, the same bytes for the same bundle.

    Args:
        like: whose preprocessing, stream policies, classes and self-test windows it has.
    """
    encoder = _encoder(like.preprocess.frame_shape)
    draw = np.random.default_rng(0)
    tail = FsqTail(LEVELS, draw.normal(0, 2, (int(np.prod(LEVELS)), len(like.classes))).astype(np.float32))
    windows = like.selftest.windows
    t = OnnxBackend(encoder).infer_batch(Preprocessor(like.preprocess).frames(windows))
    codes = tail.index(t)
    counts = np.bincount(codes, minlength=tail.codebook.n_codes)
    fingerprint = Fingerprint(counts=tuple(int(count) for count in counts), windows=len(codes))
    parts: dict[tuple[Role, str | None], tuple[str, bytes]] = {
        ("preprocess", None): ("preprocess.json", like.read("preprocess")),
        ("encoder", None): ("encoder.onnx", encoder),
        ("head", None): ("head.npz", tail.to_bytes()),
        ("decision", None): ("decision.json", DecisionSettings().to_json().encode()),
        ("fingerprint", None): ("fingerprint.json", fingerprint.to_json().encode()),
        ("selftest", None): ("selftest.npz", selftest_bytes(windows, t, codes, tail.logits(t).argmax(axis=1))),
    }
    if like.has("stream"):
        parts["stream", None] = ("stream.json", like.read("stream"))
    return make_bundle("small", like.classes, parts)


def _encoder(frame_shape: tuple[int, int, int]) -> bytes:
    draw = np.random.default_rng(0)
    graph, at = GraphWriter(), "input"
    graph.port(INPUT, "input", (1, *frame_shape))
    narrow, length = frame_shape[0], frame_shape[2]
    for block, wide in enumerate(WIDTHS):
        weights = draw.normal(0, np.sqrt(2 / (narrow * KERNEL)), (wide, narrow, 1, KERNEL))
        constants = [graph.constant(f"w{block}", weights), graph.constant(f"b{block}", draw.normal(0, 0.1, wide))]
        sides = KERNEL // 2
        at = graph.node("Conv", [at, *constants], f"h{block}", kernel_shape=[1, KERNEL], pads=[0, sides, 0, sides])
        at = graph.node("Relu", [at], f"r{block}")
        if block < len(WIDTHS) - 1 and length >= 2:
            at = graph.node("MaxPool", [at], f"m{block}", kernel_shape=[1, 2], strides=[1, 2])
        narrow = wide
    at = graph.node("Flatten", [graph.node("GlobalAveragePool", [at], "g")], "f")
    projection = draw.normal(0, 3 / np.sqrt(narrow), (len(LEVELS), narrow))
    ends = [graph.constant("p", projection), graph.constant("c", np.zeros(len(LEVELS)))]
    at = graph.node("Gemm", [at, *ends], "z", transB=1)
    graph.node("Tanh", [at], "t")
    graph.port(OUTPUT, "t", (1, len(LEVELS)))
    return graph.model()
