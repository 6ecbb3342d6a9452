"""A pass that turns masks into arithmetic: comparisons, logic and Where, with 1.0 for true and 0.0 for false."""

from __future__ import annotations

import numpy as np
import onnx

from fsq_edge_compile.checker.rewrites.rewrite import OperatorRewrite, Rewrite
from fsq_edge_compile.checker.rewrites.workbench import Workbench, get
from fsq_edge_compile.messages import copied, set_nodes

_LOGIC = frozenset({"Not", "And", "Or", "Xor", "GreaterOrEqual", "LessOrEqual"})
_COMPARISONS = frozenset({"Greater", "Less", "Equal"})


class MaskArithmetic(OperatorRewrite):
    """GreaterOrEqual, LessOrEqual, Not, And, Or, Xor, Sign and Where written with Less, Greater, Sub and Mul.

    Every mask gets a float twin: Greater and Less through a Cast, which the compiler drops, the rest by arithmetic.
    A mask that leaves the graph, or feeds an operator that is not one of these, keeps its node as well.
    """

    name = "mask-arithmetic"
    summary = "logic on masks is written as arithmetic on 0 and 1"
    operators = _LOGIC | {"Where", "Sign"}

    def call(self, bench: Workbench) -> list[str]:
        """Add the twins and let casts and Where read them."""
        twins: dict[str, str] = {}
        made: list[onnx.NodeProto] = []
        changed: list[str] = []
        for node in list(bench.model.graph.node):
            new = self._change(bench, node, twins)
            made += new if new is not None else [copied(node)]
            if new is not None and node.op_type in self.operators:
                changed.append(node.name)
        set_nodes(bench.model.graph, made)
        bench.clean()
        return changed

    def _change(self, bench: Workbench, node: onnx.NodeProto, twins: dict[str, str]) -> list[onnx.NodeProto] | None:
        """Return the nodes for one node's place; None leaves it alone."""
        if node.domain or len(node.output) != 1:
            return None
        near, output = node.name, node.output[0]
        if node.op_type == "Cast" and node.input[0] in twins and get(node, "to") == onnx.TensorProto.FLOAT:
            return [bench.node("Identity", [twins[node.input[0]]], near, output)]
        if node.op_type == "Where" and bench.dtypes.get(output) == onnx.TensorProto.FLOAT:
            mask, before = self._twin(bench, node.input[0], near, twins)
            return [*before, *self._choice(bench, mask, node.input[1], node.input[2], near, output)]
        if node.op_type == "Sign" and bench.dtypes.get(output) == onnx.TensorProto.FLOAT:
            return self._sign(bench, node)
        if node.op_type in _LOGIC:
            return [copied(node), *self._logic(bench, node, twins)]
        return None

    def _twin(self, bench: Workbench, name: str, near: str, twins: dict[str, str]) -> tuple[str, list[onnx.NodeProto]]:
        """Return the float twin of a mask, and the nodes that make it if it is new."""
        if name in twins:
            return twins[name], []
        value = bench.constant(name)
        if value is not None:
            twins[name] = bench.add_constant(value.astype(np.float32), near)
            return twins[name], []
        cast = bench.node("Cast", [name], near, to=onnx.TensorProto.FLOAT)
        twins[name] = cast.output[0]
        return cast.output[0], [cast]

    def _logic(self, bench: Workbench, node: onnx.NodeProto, twins: dict[str, str]) -> list[onnx.NodeProto]:
        near = node.name
        nodes: list[onnx.NodeProto] = []
        if node.op_type in ("GreaterOrEqual", "LessOrEqual"):
            inverse = "Less" if node.op_type == "GreaterOrEqual" else "Greater"
            compare = bench.node(inverse, list(node.input), near)
            cast = bench.node("Cast", [compare.output[0]], near, to=onnx.TensorProto.FLOAT)
            nodes += [compare, cast, self._complement(bench, cast.output[0], near)]
        else:
            operands = []
            for name in node.input:
                twin, before = self._twin(bench, name, near, twins)
                nodes += before
                operands.append(twin)
            nodes += self._combine(bench, node.op_type, operands, near)
        twins[node.output[0]] = nodes[-1].output[0]
        return nodes

    def _combine(self, bench: Workbench, op: str, operands: list[str], near: str) -> list[onnx.NodeProto]:
        if op == "Not":
            return [self._complement(bench, operands[0], near)]
        both = bench.node("Mul", operands, near)
        if op == "And":
            return [both]
        total = bench.node("Add", operands, near)
        if op == "Or":
            return [both, total, bench.node("Sub", [total.output[0], both.output[0]], near)]
        double = bench.node("Mul", [both.output[0], bench.add_constant(2.0, near)], near)
        return [both, total, double, bench.node("Sub", [total.output[0], double.output[0]], near)]

    @staticmethod
    def _complement(bench: Workbench, name: str, near: str) -> onnx.NodeProto:
        return bench.node("Sub", [bench.add_constant(1.0, near), name], near)

    @staticmethod
    def _choice(bench: Workbench, mask: str, yes: str, no: str, near: str, output: str) -> list[onnx.NodeProto]:
        """No + (yes - no) * mask."""
        difference = bench.node("Sub", [yes, no], near)
        chosen = bench.node("Mul", [difference.output[0], mask], near)
        return [difference, chosen, bench.node("Add", [no, chosen.output[0]], near, output)]

    @staticmethod
    def _sign(bench: Workbench, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        zero, near = bench.add_constant(0.0, node.name), node.name
        parts = [bench.node(op, [node.input[0], zero], near) for op in ("Greater", "Less")]
        casts = [bench.node("Cast", [part.output[0]], near, to=onnx.TensorProto.FLOAT) for part in parts]
        return [*parts, *casts, bench.node("Sub", [casts[0].output[0], casts[1].output[0]], near, node.output[0])]

    def ensures(self, bench: Workbench) -> bool:
        """No cast to float reads a mask of logic any more."""
        for node in bench.model.graph.node:
            if node.op_type == "Cast" and get(node, "to") == onnx.TensorProto.FLOAT and not node.domain:
                maker = bench.producers.get(node.input[0])
                if maker is not None and maker.op_type in _LOGIC and not maker.domain:
                    return False
        return True


PASSES: tuple[Rewrite, ...] = (MaskArithmetic(),)
