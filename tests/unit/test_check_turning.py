"""Images of a series with time down and sensors across: the layers are turned, the numbers stay, and what cannot be."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from fsq_edge_compile import check, fix
from fsq_edge_compile.checker.rewrites.proving import largest_difference, random_feeds
from tests.factories.onnx_graphs import GraphFactory, outputs_of


def turned(time: int = 40, sensors: int = 6) -> tuple[GraphFactory, str]:
    """Return a graph that reads (1, sensors, 1, time) and makes an image (1, 1, time, sensors) of it."""
    graph = GraphFactory("x", [1, sensors, 1, time])
    series = graph.add("Reshape", "x", graph.ints(1, sensors, time))
    image = graph.add("Unsqueeze", graph.add("Transpose", series, perm=[0, 2, 1]), graph.ints(1))
    graph.shapes[image] = [1, 1]
    return graph, image


def dense(graph: GraphFactory, x: str, width: int) -> onnx.ModelProto:
    return graph.model(graph.gemm(graph.add("Flatten", x), width, 4))


def temporal_then_spatial() -> onnx.ModelProto:
    graph, x = turned()
    x = graph.unary("Elu", graph.batch_norm(graph.conv(x, 8, (9, 1), strides=(2, 1))))
    x = graph.add("Conv", x, graph.weights(12, 8, 1, 6), kernel_shape=[1, 6])
    x = graph.add("AveragePool", x, kernel_shape=[4, 1], strides=[2, 1], pads=[1, 0, 0, 0])
    return dense(graph, x, 12 * 9)


def branches_that_meet() -> onnx.ModelProto:
    graph, x = turned()
    several = [graph.unary("Relu", graph.conv(x, 4, (size, 3))) for size in (3, 7)]
    x = graph.add("Concat", *several, axis=1)
    x = graph.add("Mul", x, graph.const(np.linspace(0.5, 2, 8).reshape(1, 8, 1, 1)))
    x = graph.add("Add", x, graph.add("MaxPool", x, kernel_shape=[3, 1], pads=[1, 0, 1, 0]))
    return graph.model(graph.gemm(graph.add("Flatten", graph.add("GlobalAveragePool", x)), 8, 4))


def one_that_moves_units_only() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 6, 1, 40])
    series = graph.add("Reshape", "x", graph.ints(1, 6, 40))
    x = graph.add("Transpose", graph.add("Unsqueeze", series, graph.ints(3)), perm=[0, 3, 1, 2])
    x = graph.add("Conv", x, graph.weights(4, 1, 6, 5), kernel_shape=[6, 5])
    return dense(graph, x, 4 * 36)


@pytest.mark.parametrize("build", [temporal_then_spatial, branches_that_meet, one_that_moves_units_only])
def test_a_turned_image_becomes_one_that_is_taken(build) -> None:
    model = build()
    assert check(model).verdict == "cut"
    result = fix(model)
    assert not result.rejections
    assert "Transpose" not in {node.op_type for node in result.model.graph.node}
    assert check(result.model).verdict == "full"
    onnx.checker.check_model(result.model, full_check=True)
    feeds = random_feeds(model, 4, (-3.0, 3.0), seed=7)
    assert largest_difference(outputs_of(model, feeds), outputs_of(result.model, feeds)) <= 1e-5
    assert not fix(result.model).changes


def map_read_in_its_order() -> onnx.ModelProto:
    graph, x = turned()
    return dense(graph, graph.conv(x, 4, (3, 3)), 4 * 240)  # flattened with time first


def constant_of_the_whole_map() -> onnx.ModelProto:
    graph, x = turned()
    x = graph.add("Add", x, graph.const(np.random.default_rng(0).normal(size=(1, 1, 40, 6))))
    return graph.model(graph.gemm(graph.add("Flatten", graph.add("GlobalAveragePool", x)), 1, 4))


@pytest.mark.parametrize("build", [map_read_in_its_order, constant_of_the_whole_map])
def test_where_the_order_matters_the_numbers_stay(build) -> None:
    model = build()
    result = fix(model)
    assert check(result.model).verdict == check(model).verdict
    feeds = random_feeds(model, 4, (-3.0, 3.0), seed=7)
    assert largest_difference(outputs_of(model, feeds), outputs_of(result.model, feeds)) <= 1e-5
