"""A rewritten copy never stands worse before the compiler than the model it was made of."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from fsq_edge_compile import check, fix
from fsq_edge_compile.checker.report import EXIT_CODES
from fsq_edge_compile.checker.rewrites import fixing
from fsq_edge_compile.checker.rewrites.rewrite import OperatorRewrite
from fsq_edge_compile.checker.rewrites.workbench import Replacement, Workbench
from fsq_edge_runtime.errors import UsageError
from tests.factories.attention_graphs import ATTENTION, REFUSED
from tests.factories.onnx_graphs import GraphFactory


class RefusedSpelling(OperatorRewrite):
    """Relu as a choice by a mask: equal, and refused."""

    name = "refused-spelling"
    summary = "Relu by a mask"
    operators = frozenset({"Relu"})

    def call(self, bench: Workbench) -> list[str]:
        def change(node: onnx.NodeProto) -> Replacement:
            if node.op_type != "Relu" or node.name != self.wanted:
                return None
            zero = bench.add_constant(0.0, node.name)
            mask = bench.node("Greater", [node.input[0], zero], node.name)
            return [mask, bench.node("Where", [mask.output[0], node.input[0], zero], node.name, node.output[0])]

        return bench.rewrite(change)

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted


def three_layers() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 4, 8, 8])
    x = "x"
    for _ in range(3):
        x = graph.unary("Relu", graph.conv(x, 8))
    return graph.model(x)


def refused_behind(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a refused operator at its end, so that it is cut from the start."""
    graph = model.graph
    last = graph.output[0].name
    graph.node.append(onnx.helper.make_node("TopK", [last, "k"], ["top", "index"], name="top"))
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([2]), "k"))
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info("top", onnx.TensorProto.FLOAT, None))
    return model


@pytest.mark.parametrize("cut", [False, True])
def test_a_copy_that_would_stand_worse_is_undone_and_the_report_says_so(
    cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = refused_behind(three_layers()) if cut else three_layers()
    before = model.SerializeToString()
    relu = [node.name for node in model.graph.node if node.op_type == "Relu"]
    monkeypatch.setattr(fixing, "PASSES", (RefusedSpelling(relu[1]),))
    result = fix(model, "hailo8")
    assert result.model.SerializeToString() == before
    assert not result.changes
    (rejection,) = result.rejections
    assert rejection.rewrite == "all"
    assert ("share of the work would fall" if cut else "verdict would fall from full to cut") in rejection.reason
    assert "Where" in rejection.reason


@pytest.mark.parametrize("arch", ["hailo8l", "hailo10h"])
@pytest.mark.parametrize("name", [*ATTENTION, *REFUSED])
def test_no_rewrite_makes_the_verdict_worse(name: str, arch: str) -> None:
    model = (ATTENTION | REFUSED)[name]()
    result = fix(model, arch)
    assert "all" not in {rejection.rewrite for rejection in result.rejections}
    assert EXIT_CODES[check(result.model, arch).verdict] <= EXIT_CODES[check(model, arch).verdict]


def test_an_unknown_chip_is_refused_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="hailo9"):
        fix(three_layers(), "hailo9")


@pytest.mark.parametrize("detour", [False, True])
def test_a_turned_input_is_one_thing_with_and_without_moves_that_do_nothing(detour: bool) -> None:
    """Channels and time changed places in front of a convolution; a rewrite may drop the detour."""
    graph = GraphFactory("x", [1, 6, 20])
    x = "x"
    if detour:
        x = graph.add("Reshape", graph.add("Unsqueeze", x, graph.ints(3)), graph.ints(1, 6, 20))
    turned = graph.add("Reshape", graph.add("Transpose", x, perm=[0, 2, 1]), graph.ints(1, 1, 20, 6))
    conv = graph.add("Conv", turned, graph.weights(8, 1, 5, 6), kernel_shape=[5, 6])
    report = check(graph.model(graph.unary("Relu", conv)), "hailo8")
    assert [finding.rule for finding in report.errors] == ["transpose.shuffle"]
