"""Passes about maps that lie on their side: time down and sensors across, as (samples, channels) images have them.

A chip takes no Transpose there. The layers behind it are turned instead, until height or width is 1 and nothing turns.
"""

from __future__ import annotations

import numpy as np
import onnx

from fsq_edge_compile.checker.operators import RESHAPES
from fsq_edge_compile.checker.rewrites.rewrite import OperatorRewrite
from fsq_edge_compile.checker.rewrites.workbench import Replacement, Workbench, get, put
from fsq_edge_compile.messages import copied

TURN = [0, 1, 3, 2]
UNARY = frozenset({
    "Abs", "Clip", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Mish",
    "Neg", "Relu", "Selu", "Sigmoid", "Softplus", "Sqrt", "Tanh",
})  # fmt: skip
BINARY = frozenset({"Add", "Div", "Max", "Min", "Mul", "Pow", "PRelu", "Sub"})
WINDOWED = frozenset({"AveragePool", "Conv", "MaxPool"})
GLOBAL = frozenset({"GlobalAveragePool", "GlobalMaxPool"})  # behind them nothing is turned


class LiftTurn(OperatorRewrite):
    """A series that is turned and then read as an image of one channel, as an image that is turned."""

    name = "lift-turn"
    summary = "a turned series that is read as an image becomes an image that is turned"
    operators = frozenset({"Reshape", "Unsqueeze"})

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Put the step to an image in front of the turn."""
        turn = bench.producers.get(node.input[0])
        if turn is None or turn.op_type != "Transpose" or turn.domain or get(turn, "perm") != [0, 2, 1]:
            return None
        shape, after = bench.shapes.get(turn.input[0]), bench.shapes.get(node.output[0])
        if shape is None or None in shape or after != (shape[0], 1, shape[2], shape[1]):
            return None
        target = bench.add_constant((shape[0], 1, shape[1], shape[2]), node.name, np.int64)
        lifted = bench.node("Reshape", [_before_reshape(bench, turn.input[0]), target], node.name)
        return [lifted, bench.node("Transpose", [lifted.output[0]], turn.name, node.output[0], perm=TURN)]


class SinkTurn(OperatorRewrite):
    """Layers behind a turned map take it as it was, with their kernels turned, and the turn comes behind them."""

    name = "sink-turn"
    summary = "layers behind a turned map are turned instead of it"
    operators = UNARY | BINARY | WINDOWED | GLOBAL | {"BatchNormalization", "Concat"}

    def requires(self, bench: Workbench) -> bool:
        """Whether a map is turned."""
        return any(_is_turn(node) for node in bench.model.graph.node)

    def call(self, bench: Workbench) -> list[str]:
        """Move every turn down, one layer after the other, as far as it goes."""
        changed: list[str] = []
        for _ in range(len(bench.model.graph.node)):
            moved = super().call(bench)
            if not moved:
                break
            changed += moved
        return changed

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Return the layer turned, and the turn behind it."""
        sources = [self._source(bench, name, node.op_type in BINARY) for name in node.input if name]
        behind = [place for place, name in enumerate(node.input) if _is_turn(bench.producers.get(name))]
        if len(node.output) != 1 or not behind or None in sources:
            return None
        data = range(len(node.input)) if node.op_type in BINARY | {"Concat"} else (0,)
        if node.op_type == "Concat" and (get(node, "axis", 0) != 1 or len(behind) != len(node.input)):
            return None
        if any(place not in data for place in behind):
            return None
        turned = copied(node)
        turned.name = bench.name(f"{node.name}/turned")
        for place in behind:
            turned.input[place] = bench.producers[node.input[place]].input[0]
        if node.op_type in WINDOWED and not self._turn_windows(bench, turned):
            return None
        if node.op_type in GLOBAL:
            return [turned]
        turned.output[0] = bench.name(f"{node.output[0]}/turned")
        return [turned, bench.node("Transpose", [turned.output[0]], node.name, node.output[0], perm=TURN)]

    @staticmethod
    def _source(bench: Workbench, name: str, binary: bool) -> str | None:
        """Return the tensor, or None where it is neither turned nor a constant that a turn leaves as it is."""
        if _is_turn(bench.producers.get(name)):
            return name
        if not bench.is_constant(name):
            return None
        shape = bench.shapes.get(name) or ()
        return None if binary and any(size != 1 for size in shape[-2:]) else name

    @staticmethod
    def _turn_windows(bench: Workbench, node: onnx.NodeProto) -> bool:
        """Turn the kernel of a layer; False where it has no two axes."""
        for attribute in ("kernel_shape", "strides", "dilations"):
            if (sizes := get(node, attribute)) is not None:
                if len(sizes) != 2:
                    return False
                put(node, attribute, sizes[::-1])
        if (pads := get(node, "pads")) is not None:
            top, left, bottom, right = pads
            put(node, "pads", [left, top, right, bottom])
        if node.op_type == "Conv":
            weights = bench.constant(node.input[1])
            if weights is None or weights.ndim != 4:
                return False
            node.input[1] = bench.add_constant(weights.transpose(0, 1, 3, 2), node.name, weights.dtype)
        return True


class ReshapeInPlaceOfTurn(OperatorRewrite):
    """A Transpose that moves only axes of size 1, as the Reshape that it is."""

    name = "reshape-for-transpose"
    summary = "a Transpose that moves only axes of size 1 is written as Reshape"
    operators = frozenset({"Transpose"})

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Replace one whose values keep their order."""
        shape, after = bench.shapes.get(node.input[0]), bench.shapes.get(node.output[0])
        if shape is None or after is None or None in shape or bench.is_constant(node.input[0]):
            return None
        order = [axis for axis in get(node, "perm", []) if shape[axis] != 1]
        if order != sorted(order) or len(after) != 4 or not get(node, "perm"):
            return None
        target = bench.add_constant(after, node.name, np.int64)
        return [bench.node("Reshape", [_before_reshape(bench, node.input[0]), target], node.name, node.output[0])]


def _before_reshape(bench: Workbench, name: str) -> str:
    """Return what the moves take that make a tensor and keep the order of its values: one Reshape does all of them."""
    while (maker := bench.producers.get(name)) is not None and maker.op_type in RESHAPES and not maker.domain:
        name = str(maker.input[0])
    return name


def _is_turn(node: onnx.NodeProto | None) -> bool:
    return node is not None and node.op_type == "Transpose" and not node.domain and get(node, "perm") == TURN


PASSES = (LiftTurn(), SinkTurn(), ReshapeInPlaceOfTurn())
