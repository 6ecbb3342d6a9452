"""The same layers as TensorFlow's converter and Keras spell them, and what other exporters leave in a graph."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from fsq_edge_compile import check, fix
from tests.factories.onnx_graphs import GraphFactory
from tests.factories.reported_cases import keras_gelu, layer_norm

CHANNELS_LAST, CHANNELS_FIRST = [1, 32, 32, 3], [1, 3, 32, 32]


def converted_mobilenet(channels_last: bool) -> onnx.ModelProto:
    """A small MobileNet in the converter's words: padding apart, Relu6 as Clip, the pool as a mean, dense as MatMul."""
    graph = GraphFactory("serving_default_image:0", CHANNELS_LAST if channels_last else CHANNELS_FIRST)
    x = "serving_default_image:0"
    if channels_last:
        x = graph.add("Transpose", x, perm=[0, 3, 1, 2], name="StatefulPartitionedCall/model/stem/Conv2D__6")
    x = graph.add("Pad", x, graph.ints(0, 0, 0, 0, 0, 0, 1, 1), name="StatefulPartitionedCall/model/stem/Pad")
    x = graph.add(
        "Conv", x, graph.weights(16, 3, 3, 3), strides=[2, 2], kernel_shape=[3, 3], name="StatefulPartitionedCall/stem"
    )
    x = graph.add("Clip", x, graph.const(0.0), graph.const(6.0))
    x = graph.add(
        "Conv", x, graph.weights(16, 1, 3, 3), graph.weights(16), group=16, kernel_shape=[3, 3], auto_pad="SAME_UPPER"
    )
    x = graph.add("Clip", x, graph.const(0.0), graph.const(6.0))
    x = graph.add("Squeeze", graph.add("ReduceMean", x, axes=[2, 3], keepdims=1), graph.ints(2, 3))
    x = graph.add("Add", graph.add("MatMul", x, graph.weights(16, 10)), graph.weights(10))
    return graph.model(graph.add("Softmax", x, axis=-1), opset=13)


def test_a_converted_network_is_full() -> None:
    report = check(converted_mobilenet(channels_last=False), "hailo8")
    assert report.verdict == "full", report.errors


def test_its_channels_last_input_moves_the_start_behind_the_transpose() -> None:
    report = check(converted_mobilenet(channels_last=True), "hailo8")
    assert report.verdict == "cut"
    assert report.start_nodes == ("StatefulPartitionedCall/model/stem/Pad",)
    assert [finding.node for finding in report.errors] == ["StatefulPartitionedCall/model/stem/Conv2D__6"]
    operators = {node.name: node.op for node in report.nodes}
    assert [operators[name] for name in report.end_nodes] == ["Softmax"]


def hard_swish_by_a_factor(graph: GraphFactory, x: str) -> str:
    clipped = graph.add("Clip", graph.add("Add", x, graph.const(3.0)), graph.const(0.0), graph.const(6.0))
    return str(graph.add("Mul", x, graph.add("Mul", clipped, graph.const(1 / 6))))


def swish(graph: GraphFactory, x: str) -> str:
    return str(graph.add("Mul", graph.add("Sigmoid", x), x))


def mish(graph: GraphFactory, x: str) -> str:
    return str(graph.add("Mul", x, graph.add("Tanh", graph.add("Softplus", x))))


def tanh_gelu(graph: GraphFactory, x: str) -> str:
    cube = graph.add("Mul", graph.add("Pow", x, graph.const(3.0)), graph.const(0.044715))
    inner = graph.add("Mul", graph.add("Add", x, cube), graph.const(np.sqrt(2 / np.pi)))
    gate = graph.add("Add", graph.add("Tanh", inner), graph.const(1.0))
    return str(graph.add("Mul", graph.add("Mul", x, graph.const(0.5)), gate))


@pytest.mark.parametrize("spelling", [hard_swish_by_a_factor, swish, mish, tanh_gelu])
@pytest.mark.parametrize("arch", ["hailo8", "hailo10h"])
def test_an_activation_in_several_nodes_is_taken(spelling: object, arch: str) -> None:
    graph = GraphFactory("x", [1, 3, 16, 16])
    report = check(graph.model(spelling(graph, graph.conv("x", 8))), arch)  # type: ignore[operator] # one of the above
    assert report.verdict == "full", report.errors


def test_gelu_as_keras_writes_it_is_refused_and_mended() -> None:
    graph = GraphFactory("x", [1, 3, 16, 16])
    model = graph.model(keras_gelu(graph, graph.conv("x", 8)))
    assert "op.erf" in {finding.rule for finding in check(model).errors}
    assert check(fix(model).model).verdict == "full"


def test_gelu_as_the_dynamo_exporter_writes_it_is_taken_with_a_warning() -> None:
    graph = GraphFactory("x", [1, 3, 16, 16])
    x = graph.conv("x", 8)
    erf = graph.add("Erf", graph.add("Div", x, graph.const(np.sqrt(2.0))))
    gate = graph.add("Mul", graph.const(0.5), graph.add("Add", erf, graph.const(1.0)))
    model = graph.model(graph.add("Mul", x, gate))
    report = check(model)
    assert (report.verdict, [finding.rule for finding in report.warnings]) == ("full", ["gelu.half-first"])
    assert not check(fix(model).model).warnings


def test_layer_norm_over_channels_last_between_two_transposes() -> None:
    graph = GraphFactory("x", [1, 8, 16, 16])
    last = graph.add("Transpose", graph.conv("x", 8), perm=[0, 2, 3, 1])
    first = graph.add("Transpose", layer_norm(graph, last, shape=(8,)), perm=[0, 3, 1, 2])
    assert check(graph.model(graph.add("Relu", first))).verdict == "full"


def test_a_quantised_weight_does_not_hide_behind_folding() -> None:
    graph = GraphFactory("x", [1, 3, 16, 16])
    weights = graph.const(np.ones((8, 3, 3, 3)), np.int8)
    real = graph.add("DequantizeLinear", weights, graph.const(0.1), graph.const(0, np.int8))
    report = check(graph.model(graph.add("Conv", "x", real, kernel_shape=[3, 3])))
    assert report.verdict != "full"
    assert "op.dequantize-linear" in {finding.rule for finding in report.errors}


def test_half_precision_and_image_bytes_are_not_float32() -> None:
    graph = GraphFactory("image", CHANNELS_FIRST, TensorProto.UINT8)
    scaled = graph.add("Div", graph.add("Cast", "image", to=TensorProto.FLOAT), graph.const(255.0))
    report = check(graph.model(graph.add("Relu", graph.conv(scaled, 8, inputs=3))))
    operators = {node.name: node.op for node in report.nodes}
    assert report.verdict == "cut"
    assert [operators[name] for name in report.start_nodes] == ["Div"]
    half = GraphFactory("x", CHANNELS_FIRST, TensorProto.FLOAT16)
    weights = half.const(np.ones((8, 3, 3, 3)), np.float16)
    last = half.add("Conv", "x", weights, kernel_shape=[3, 3])
    report = check(half.model(last, dtypes={last: TensorProto.FLOAT16}))
    assert (report.verdict, report.errors[0].rule) == ("none", "tensor.dtype")


@pytest.mark.parametrize("in_order", [True, False])
def test_a_view_written_as_a_flat_gather_becomes_a_reshape(in_order: bool) -> None:
    graph = GraphFactory("x", [1, 8, 4, 4])
    pooled = graph.add("GlobalAveragePool", graph.conv("x", 8))
    flat = graph.add("Reshape", pooled, graph.ints(8))
    places = np.arange(8, dtype=np.int64)[:: 1 if in_order else -1].reshape(1, 8, 1, 1)
    viewed = graph.add("Gather", flat, graph.const(places, np.int64), axis=0)
    model = graph.model(graph.gemm(graph.add("Reshape", viewed, graph.ints(1, 8)), 8, 4))
    assert check(model, "hailo8").verdict == "cut"
    fixed = fix(model)
    assert ("reshape-for-gather" in {change.rewrite for change in fixed.changes}) is in_order
    assert check(fixed.model, "hailo8").verdict == ("full" if in_order else "cut")
