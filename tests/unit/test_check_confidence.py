"""What the confidence of a verdict rests on, and that the report names what lowers it."""

from __future__ import annotations

import onnx
import pytest

from fsq_edge_compile import check
from fsq_edge_compile.checker.report import CheckReport
from tests.factories.attention_graphs import ATTENTION, REFUSED
from tests.factories.onnx_graphs import GraphFactory, imu_encoder


def written_at(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return the model with another opset; its operators read alike at both."""
    model.opset_import[0].version = opset
    return model


def convolution_then(op: str) -> onnx.ModelProto:
    """A convolution, one operator, and a convolution."""
    graph = GraphFactory("x", [1, 8, 16, 16])
    return graph.model(graph.conv(graph.add(op, graph.conv("x", 8)), 8, inputs=8))


def test_what_the_record_has_met_is_high_and_nothing_lowers_it() -> None:
    graph = imu_encoder()
    report = check(graph.model(graph.last))
    assert (report.verdict, report.confidence, report.lowered_by) == ("full", "high", "")


def test_an_operator_reported_for_the_other_generation_only_is_medium() -> None:
    model = convolution_then("Elu")
    assert check(model, "hailo8").confidence == "high"
    report = check(model, "hailo10h")
    assert (report.verdict, report.confidence) == ("full", "medium")
    assert report.lowered_by.endswith("(Elu): reported for hailo8 only")


# The record of 3.x ends at opset 17, that of 5.x at 21.
NEWEST = [("hailo8", 17, True), ("hailo8", 18, False), ("hailo10h", 21, True), ("hailo10h", 22, False)]


@pytest.mark.parametrize(("arch", "opset", "recorded"), NEWEST)
def test_attention_in_a_spelling_that_no_report_has_is_medium(arch: str, opset: int, recorded: bool) -> None:
    report = check(written_at(ATTENTION["three projections"](), opset), arch)
    assert (report.verdict, report.confidence) == ("full", "high" if recorded else "medium")
    assert (f"opset {opset}" in report.lowered_by) == (not recorded)


@pytest.mark.parametrize(("arch", "opset", "recorded"), NEWEST)
def test_a_network_cut_by_its_layout_alone_is_less_sure_than_its_rule(arch: str, opset: int, recorded: bool) -> None:
    report = check(written_at(REFUSED["heads for nothing"](), opset), arch)
    assert (report.verdict, report.confidence) == ("cut", "medium" if recorded else "low")
    assert "by its layout alone" in report.lowered_by


def test_a_rank_is_no_guess_at_the_layout() -> None:
    """An input of samples alone gets its axis of channels from an Unsqueeze, whatever the channels are."""
    graph = GraphFactory("x", [1, 64])
    series = graph.add("Unsqueeze", "x", graph.ints(1))
    report = check(graph.model(graph.add("Conv", series, graph.weights(8, 1, 5))))
    assert (report.verdict, report.confidence) == ("none", "medium")
    assert "layout" not in report.lowered_by


def test_a_cut_behind_the_last_layer_is_as_sure_as_its_rule() -> None:
    graph = GraphFactory("x", [1, 8, 16, 16])
    report = check(graph.model(graph.add("Round", graph.conv("x", 8))))
    assert (report.verdict, report.confidence, report.lowered_by) == ("cut", "high", "")


def test_an_operator_that_nobody_reported_is_low() -> None:
    report = check(convolution_then("Celu"))
    assert (report.verdict, report.confidence) == ("cut", "low")
    assert "(Celu)" in report.lowered_by or "op.celu" in report.lowered_by


@pytest.mark.parametrize("arch", ["hailo8", "hailo10h"])
@pytest.mark.parametrize("name", [*ATTENTION, *REFUSED])
def test_what_lowers_the_confidence_is_in_the_graph(name: str, arch: str) -> None:
    report = check((ATTENTION | REFUSED)[name](), arch)
    assert bool(report.lowered_by) == (report.confidence != "high")
    assert named_in_graph(report)


def named_in_graph(report: CheckReport) -> bool:
    """Whether each reason begins with the name of a node of the graph."""
    names = {node.name for node in report.nodes}
    return all(reason.partition(" (")[0] in names for reason in report.lowered_by.split("; ") if reason)
