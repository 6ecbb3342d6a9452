"""Files that no exporter writes, and parts of the format that are rare: a verdict or one clear error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_compile import check, fix, split
from fsq_edge_runtime.errors import DataError
from tests.factories.onnx_graphs import GraphFactory


def value(name: str, shape: list[int] | None, dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(*nodes: onnx.NodeProto, outputs: tuple[str, ...] = ("y",)) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "g", [value("x", [1, 3, 8, 8])], [value(name, None) for name in outputs])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def small() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    return graph.model(graph.unary("Relu", graph.conv("x", 8)))


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([helper.make_node("Relu", ["y"], ["y"])], "not a valid ONNX graph"),
        ([helper.make_node("Relu", ["b"], ["y"]), helper.make_node("Relu", ["y"], ["b"])], "not a valid ONNX graph"),
        ([helper.make_node("Conv", ["x", "weights"], ["y"])], "not a valid ONNX graph"),
        ([helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["y"])], "not a valid ONNX graph"),
        ([helper.make_node("Fused", ["x"], ["y"], domain="com.example")], "not a valid ONNX graph"),
    ],
    ids=["loop of one", "cycle", "missing initialiser", "made twice", "domain without a version"],
)
def test_an_invalid_graph_is_one_error(nodes: list[onnx.NodeProto], says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        check(model_of(*nodes))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("location", ["gone.bin", "../weights.bin", "/etc/hostname", ""])
def test_weights_that_are_missing_or_elsewhere_are_one_error(location: str, tmp_path: Path) -> None:
    model = small()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (tmp_path / "weights.bin").write_bytes(b"\0" * 4096)
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "m.onnx"
    path.write_bytes(model.SerializeToString())
    for call in (check, fix, split):
        with pytest.raises(DataError, match="the data of"):
            call(path)


@pytest.mark.parametrize("shape", [[1, 3, 0, 8], [0, 3, 8, 8], [1, 3, 2**31 - 1, 2**31 - 1], [1] * 12, [2**40] * 4])
def test_odd_declared_shapes_get_a_verdict(shape: list[int]) -> None:
    graph = GraphFactory("x", shape)
    report = check(graph.model(graph.add("Relu", "x")))
    assert report.verdict in ("full", "none")
    assert (report.verdict == "none") == bool(report.errors)


def test_a_custom_operator_ends_the_device_part() -> None:
    graph = GraphFactory("x", [1, 3, 8, 8])
    graph.nodes.append(helper.make_node("Fused", [graph.conv("x", 8)], ["y"], name="fused", domain="com.microsoft"))
    model = graph.model("y")
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    report = check(model)
    assert (report.verdict, report.end_nodes) == ("cut", ("/Conv_0",))
    (error,) = report.errors
    assert (error.node, error.rule) == ("fused", "op.custom-domain-ops")


def test_what_a_loop_reads_stays_on_the_device_and_is_an_end() -> None:
    graph = GraphFactory("x", [1, 3, 8, 8])
    maps = graph.conv("x", 8)
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["carried", maps], ["next"])],
        "body",
        [value("i", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("carried", [1, 8, 8, 8])],
        [value("on", [], TensorProto.BOOL), value("next", [1, 8, 8, 8])],
    )
    first = graph.add("Relu", maps)
    trips, go = graph.const(3, np.int64), graph.const(True, np.bool_)
    graph.nodes.append(helper.make_node("Loop", [trips, go, first], ["y"], name="loop", body=body))
    result = split(graph.model("y"))
    assert set(result.report.end_nodes) == {"/Conv_0", "/Relu_1"}
    assert result.difference == 0.0


def test_versions_from_the_future_are_a_warning() -> None:
    model = small()
    model.opset_import[0].version, model.ir_version = 40, 30
    report = check(model)
    assert report.verdict == "full"
    assert {finding.rule for finding in report.warnings} >= {"file.opset-new", "file.ir-new"}


def test_no_node_at_all() -> None:
    graph = helper.make_graph([], "g", [value("x", [1, 3])], [value("x", [1, 3])])
    assert check(helper.make_model(graph)).verdict == "none"
    table = numpy_helper.from_array(np.ones(2, np.float32), "w")
    graph = helper.make_graph([], "g", [], [value("w", [2])], [table])
    assert check(helper.make_model(graph)).verdict == "none"


def test_sequences_and_text_stay_on_the_host() -> None:
    graph = GraphFactory("x", [1, 4, 8, 8])
    parts = graph.add("SplitToSequence", graph.conv("x", 8), axis=1)
    report = check(graph.model(graph.add("ConcatFromSequence", parts, axis=1)))
    assert (report.verdict, report.end_nodes) == ("cut", ("/Conv_0",))
    text = GraphFactory("x", [2], TensorProto.STRING)
    last = text.add("StringNormalizer", "x")
    assert check(text.model(last, dtypes={last: TensorProto.STRING})).verdict == "none"


@pytest.mark.parametrize(
    ("op", "constants"),
    [
        ("ConstantOfShape", ([2**20, 2**20, 2**20],)),
        ("Range", (0, 2**40, 1)),
        ("Tile", ([1, 2, 3], [2**40])),
        ("Expand", ([1], [2**31, 2**31])),
    ],
)
def test_a_constant_that_no_machine_can_hold_is_not_given_to_the_simplifier(
    op: str, constants: tuple[int | list[int], ...]
) -> None:
    """It would spend seconds and all the memory that it may have, and return nothing."""
    names = [f"c{index}" for index in range(len(constants))]
    nodes = [helper.make_node(op, names, ["made"]), helper.make_node("Cast", ["made"], ["cast"], to=TensorProto.FLOAT)]
    model = model_of(*nodes, helper.make_node("Add", ["x", "cast"], ["y"]))
    pairs = zip(constants, names, strict=True)
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(item, np.int64), name) for item, name in pairs)
    report = check(model)
    assert report.simplifier == "built-in"
    assert report.verdict != "full"
