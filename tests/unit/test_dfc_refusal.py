"""The DFC's refusals in our terms."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from fsq_edge_compile import check
from fsq_edge_compile.checker.report import CheckReport
from fsq_edge_compile.dfc.refusal import compare_end_nodes, read_recommended_end_nodes, read_refusals

TEXT = """[info] Translation started on ONNX model dog
hailo_sdk_client.model_translator.exceptions.ParsingWithRecommendationException: Parsing failed. The errors found in \
the graph are:
 UnsupportedOperationError in op /m/Round: Round operation is unsupported
 UnsupportedOperationError in op /m/Mod: Mod operation is unsupported
 UnexpectedNodeError in op node_7: Unexpected node node_7 (Where)
Please try to parse the model again, using these end node names: /m/Sub, /m/Mul
"""


def round_model() -> CheckReport:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"], "/m/Conv", kernel_shape=[1, 1]),
        helper.make_node("Round", ["h"], ["y"], "/m/Round"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [1, 8, 2, 50])],
        [value("y", TensorProto.FLOAT, [1, 8, 2, 50])],
        [helper.make_tensor("w", TensorProto.FLOAT, [8, 8, 1, 1], [0.1] * 64)],
    )
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return check(model, "hailo8")


def test_each_error_is_read_once_with_its_node() -> None:
    found = read_refusals(TEXT + TEXT)
    assert [(one.kind, one.node) for one in found] == [
        ("UnsupportedOperationError", "/m/Round"),
        ("UnsupportedOperationError", "/m/Mod"),
        ("UnexpectedNodeError", "node_7"),
    ]
    assert found[0].text == "Round operation is unsupported"


def test_a_refusal_that_the_check_foresaw_carries_its_rule_and_fix() -> None:
    first, second, _ = read_refusals(TEXT, round_model())
    assert first.foreseen
    assert first.rule
    assert first.fix
    assert not second.foreseen


def test_known_texts_are_matched_with_a_rule_without_a_node() -> None:
    (found,) = read_refusals("BackendAllocatorException: Compilation failed: No successful assignment(s) found")
    assert found.rule
    assert found.fix
    (unknown,) = read_refusals("QuiteNewError: something nobody reported")
    assert (unknown.rule, unknown.fix) == ("", "")


def test_recommended_end_nodes_come_from_the_text_and_are_compared() -> None:
    names = read_recommended_end_nodes(TEXT)
    assert names == ("/m/Sub", "/m/Mul")
    assert read_recommended_end_nodes("no such line") == ()
    report = round_model()
    assert report.end_nodes == ("/m/Conv",)
    assert compare_end_nodes(["/m/Conv"], report).startswith("the compiler recommends the end nodes that the check")
    assert "/m/Mul, /m/Sub; the check found /m/Conv" in compare_end_nodes(names, report)
    assert compare_end_nodes([], report) == ""
