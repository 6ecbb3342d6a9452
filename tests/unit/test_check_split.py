"""The parts of a cut model, and that together they are the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from fsq_edge_compile import check, split
from fsq_edge_compile.checker.splitting import write_parts
from fsq_edge_runtime.errors import DataError
from tests.factories.onnx_graphs import GraphFactory, fsq_model, imu_encoder, outputs_of


def three_heads() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 16, 16])
    stem = graph.unary("Relu", graph.conv("x", 8))
    deep = graph.unary("Relu", graph.conv(stem, 16, strides=(2, 2)))
    flat = []
    for maps in (stem, deep):
        box, score = graph.conv(maps, 4, (1, 1)), graph.conv(maps, 2, (1, 1))
        joined = graph.add("Concat", box, score, axis=1)
        flat.append(graph.add("Reshape", joined, graph.ints(1, 6, -1)))
    return graph.model(graph.add("Concat", *flat, axis=2))


def embedding_in_front() -> onnx.ModelProto:
    graph = GraphFactory("ids", [1, 16], TensorProto.INT64)
    rows = graph.add("Gather", graph.weights(100, 32), "ids")
    hidden = graph.add("Relu", graph.add("MatMul", rows, graph.weights(32, 64)))
    return graph.model(graph.add("Erf", graph.add("MatMul", hidden, graph.weights(64, 8))))


def channels_last_input() -> onnx.ModelProto:
    graph = GraphFactory("image", [1, 16, 16, 3])
    first = graph.add("Transpose", "image", perm=[0, 3, 1, 2])
    maps = graph.unary("Relu", graph.conv(first, 8, inputs=3))
    flat = graph.add("Flatten", graph.add("GlobalAveragePool", maps))
    return graph.model(graph.gemm(flat, 8, 4))


def skip_over_the_cut() -> onnx.ModelProto:
    """A device tensor and the graph input both go to the host."""
    graph = GraphFactory("x", [1, 4, 8, 8])
    maps = graph.conv("x", 4)
    odd = graph.add("Selu", graph.add("Relu", maps))
    return graph.model(graph.add("Add", graph.add("Add", odd, maps), "x"), maps)


def dynamic_flatten() -> onnx.ModelProto:
    graph = GraphFactory("x", ["N", 4, 4, 4])
    maps = graph.conv("x", 8)
    batch = graph.add("Gather", graph.add("Shape", maps), graph.const(0, np.int64))
    target = graph.add("Concat", graph.add("Unsqueeze", batch, graph.ints(0)), graph.ints(-1), axis=0)
    return graph.model(graph.add("Selu", graph.gemm(graph.add("Reshape", maps, target), 128, 10)))


MODELS = {
    "fsq": (fsq_model, ["device", "host"]),
    "heads": (three_heads, ["device", "host"]),
    "embedding": (embedding_in_front, ["front", "device", "host"]),
    "channels last": (channels_last_input, ["front", "device"]),
    "skip": (skip_over_the_cut, ["device", "host"]),
    "dynamic flatten": (dynamic_flatten, ["device", "host"]),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_parts_compute_what_the_model_computes(name: str, tmp_path: Path) -> None:
    build, parts = MODELS[name]
    model = build()
    result = split(model)
    assert list(result.parts) == parts
    assert result.difference == 0.0
    assert result.report.end_nodes == check(model).end_nodes
    written = write_parts(result, tmp_path / "parts")
    generator = np.random.default_rng(11)
    feeds = {}
    for value in model.graph.input:
        shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
        whole = value.type.tensor_type.elem_type == TensorProto.INT64
        feeds[value.name] = (
            generator.integers(0, 100, shape) if whole else generator.standard_normal(shape).astype(np.float32)
        )
    known = dict(feeds)
    for part in parts:
        onnx.checker.check_model(onnx.load(written[part]), full_check=True)
        known.update(outputs_of(onnx.load(written[part]), [known])[0])
    for output, value in outputs_of(model, [feeds])[0].items():
        np.testing.assert_array_equal(known[output], value)


@pytest.mark.parametrize("name", MODELS)
def test_the_device_part_is_full_on_its_own(name: str) -> None:
    result = split(MODELS[name][0]())
    report = check(result.device)
    assert report.verdict == "full", report.errors
    ends = {node.name for node in result.device.graph.node if set(node.output) & _outputs(result.device)}
    assert set(result.report.end_nodes) == ends


def _outputs(model: onnx.ModelProto) -> set[str]:
    return {value.name for value in model.graph.output}


def test_a_full_model_has_a_device_part_only() -> None:
    graph = imu_encoder()
    result = split(graph.model(graph.last))
    assert list(result.parts) == ["device"]
    assert result.report.verdict == "full"


def test_nothing_to_split_is_an_error() -> None:
    graph = GraphFactory("x", [1, 4, 8, 8])
    with pytest.raises(DataError, match="nothing of it runs"):
        split(graph.model(graph.add("Selu", "x")))


def test_boundaries_have_static_shapes() -> None:
    result = split(fsq_model())
    for part in result.parts.values():
        for value in (*part.graph.input, *part.graph.output):
            assert all(dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim)
