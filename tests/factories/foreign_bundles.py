"""Bundles of networks without FSQ, from plain graphs: a head of each kind, with a host graph or without."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.backends.host import HostGraph
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import make_bundle
from fsq_edge_runtime.bundle.fingerprint import Fingerprint
from fsq_edge_runtime.bundle.manifest import Role
from fsq_edge_runtime.bundle.reference import selftest_bytes
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig, Preprocessor
from fsq_edge_runtime.score_tails import Tail
from tests.factories.bundles import motion

CHANNELS, SAMPLES, WIDTH = 6, 100, 8


def foreign_bundle(tail: Tail, *, host: bool = False) -> Bundle:
    """Return a bundle with a convolution, a pool and a dense layer; the dense layer is the host's where asked for."""
    draw = np.random.default_rng(0)
    arrays = {"w": draw.normal(0, 0.2, (WIDTH, CHANNELS, 1, 5)), "p": draw.normal(0, 1, (WIDTH, tail.width))}
    front = [
        helper.make_node("Conv", ["input", "w"], ["h"], "conv", kernel_shape=[1, 5]),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["g"], "pool"),
    ]
    if host:
        encoder = _model([*front, helper.make_node("Flatten", ["g"], ["t"], "fsq_row_0")], arrays, "input", "t", WIDTH)
        behind = _model(
            [helper.make_node("MatMul", ["t", "p"], ["scores"], "dense")], arrays, "t", "scores", tail.width
        )
    else:
        dense = [
            helper.make_node("Flatten", ["g"], ["f"], "flat"),
            helper.make_node("MatMul", ["f", "p"], ["t"], "dense"),
        ]
        encoder, behind = _model([*front, *dense], arrays, "input", "t", tail.width), b""
    config = PreprocessConfig(
        channels=tuple(ChannelSpec(name=f"ch{index}", unit="") for index in range(CHANNELS)),
        sample_rate_hz=50.0,
        window_samples=SAMPLES,
        hop_samples=50,
        fold=1,
        window_zscore=False,
        mean=(0.0,) * CHANNELS,
        std=(1.0,) * CHANNELS,
        clip_sigma=1e6,
    )
    windows = np.stack([motion(SAMPLES, seed=seed).T for seed in range(4)]).astype(np.float32)
    t = OnnxBackend(encoder).infer_batch(Preprocessor(config).frames(windows))
    scores = HostGraph(behind).scores_of_all(t) if host else t
    answers = tail.index(scores)
    counts = tuple(int(count) for count in np.bincount(answers, minlength=tail.n_answers))
    parts: dict[tuple[Role, str | None], tuple[str, bytes]] = {
        ("preprocess", None): ("preprocess.json", config.to_json().encode()),
        ("encoder", None): ("encoder.onnx", encoder),
        ("head", None): ("head.json", tail.to_bytes()),
        ("decision", None): ("decision.json", DecisionSettings().to_json().encode()),
        ("fingerprint", None): ("fingerprint.json", Fingerprint(counts=counts, windows=len(t)).to_json().encode()),
        ("selftest", None): ("selftest.npz", selftest_bytes(windows, scores, answers, answers)),
    }
    if host:
        parts["host", None] = ("host.onnx", behind)
    names = tuple("abcdefgh"[: tail.n_classes])
    return make_bundle("foreign", names, parts)


def _model(nodes: list, arrays: dict[str, np.ndarray], source: str, sink: str, width: int) -> bytes:
    used = {name for node in nodes for name in node.input}
    shape = [1, CHANNELS, 1, SAMPLES] if source == "input" else [1, WIDTH]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(sink, TensorProto.FLOAT, [1, width])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in arrays.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data
