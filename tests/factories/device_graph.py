"""Small device graphs built by hand: Conv-ReLU blocks, global average pool, projection, Tanh."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def make_branched_graph(seed: int = 0) -> bytes:
    """Return an encoder with every other block that devices take: residual Add, Concat, average pool, 1 x 1 Conv."""
    rng = np.random.default_rng(seed)
    weights = {
        "stem.weight": rng.normal(0, 0.1, (8, 12, 1, 5)),
        "body.weight": rng.normal(0, 0.16, (8, 8, 1, 5)),
        "body.bias": rng.normal(0, 0.1, 8),
        "projection.weight": rng.normal(0, 0.7, (3, 16, 1, 1)),
        "projection.bias": rng.normal(0, 0.1, 3),
    }
    pad = {"kernel_shape": [1, 5], "pads": [0, 2, 0, 2]}
    nodes = [
        helper.make_node("Conv", ["input", "stem.weight"], ["s"], name="stem", **pad),
        helper.make_node("Relu", ["s"], ["sr"], name="stem_relu"),
        helper.make_node("Conv", ["sr", "body.weight", "body.bias"], ["b"], name="body", **pad),
        helper.make_node("Add", ["b", "sr"], ["sum"], name="residual"),
        helper.make_node("Relu", ["sum"], ["sumr"], name="sum_relu"),
        helper.make_node("AveragePool", ["sumr"], ["a"], name="average", kernel_shape=[1, 2], strides=[1, 2]),
        helper.make_node("MaxPool", ["sumr"], ["m"], name="maximum", kernel_shape=[1, 2], strides=[1, 2]),
        helper.make_node("Concat", ["a", "m"], ["c"], name="concat", axis=1),
        helper.make_node("GlobalAveragePool", ["c"], ["g"], name="gap"),
        helper.make_node("Conv", ["g", "projection.weight", "projection.bias"], ["z"], name="projection"),
        helper.make_node("Flatten", ["z"], ["zf"], name="flatten"),
        helper.make_node("Tanh", ["zf"], ["t"], name="tanh"),
    ]
    return _encoder(nodes, weights, (12, 2, 50), 3)


def make_device_graph(
    frame_shape: tuple[int, int, int] = (12, 2, 50), dimensions: int = 3, *, width: int = 16, seed: int = 0
) -> bytes:
    """Return an encoder: input ``input`` (1, C', H, W), output ``t`` (1, D), random weights of a sensible scale."""
    rng = np.random.default_rng(seed)
    channels = frame_shape[0]
    weights = {
        "conv1.weight": rng.normal(0, 1 / np.sqrt(channels * 9), (width, channels, 1, 9)),
        "conv1.bias": rng.normal(0, 0.1, width),
        "conv2.weight": rng.normal(0, 1 / np.sqrt(width * 9), (width, width, 1, 9)),
        "conv2.bias": rng.normal(0, 0.1, width),
        "projection.weight": rng.normal(0, 2 / np.sqrt(width), (dimensions, width)),
        "projection.bias": rng.normal(0, 0.1, dimensions),
    }
    pad = {"kernel_shape": [1, 9], "pads": [0, 4, 0, 4]}
    nodes = [
        helper.make_node("Conv", ["input", "conv1.weight", "conv1.bias"], ["c1"], name="conv1", **pad),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("MaxPool", ["r1"], ["p1"], name="pool1", kernel_shape=[1, 2], strides=[1, 2]),
        helper.make_node("Conv", ["p1", "conv2.weight", "conv2.bias"], ["c2"], name="conv2", **pad),
        helper.make_node("Relu", ["c2"], ["r2"], name="relu2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["g"], name="gap"),
        helper.make_node("Flatten", ["g"], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", "projection.weight", "projection.bias"], ["z"], name="projection", transB=1),
        helper.make_node("Tanh", ["z"], ["t"], name="tanh"),
    ]
    return _encoder(nodes, weights, frame_shape, dimensions)


def _encoder(
    nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], frame_shape: tuple[int, int, int], dimensions: int
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, *frame_shape])],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, [1, dimensions])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
