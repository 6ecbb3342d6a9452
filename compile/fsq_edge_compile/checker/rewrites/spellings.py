"""Passes that spell one operator, or one pattern, the way that was seen to be taken."""

from __future__ import annotations

import math

import numpy as np
import onnx

from fsq_edge_compile.checker.graph import positive_axis
from fsq_edge_compile.checker.rewrites.rewrite import OperatorRewrite, Rewrite
from fsq_edge_compile.checker.rewrites.workbench import Replacement, Workbench, get

SQRT_2 = math.sqrt(2.0)
MAX_GROUPS = 8


def exact_gelu(bench: Workbench, source: str, near: str, output: str) -> list[onnx.NodeProto]:
    """Return torch's five nodes: Div, Erf, Add, Mul, Mul."""
    divide = bench.node("Div", [source, bench.add_constant(SQRT_2, near)], near)
    erf = bench.node("Erf", [divide.output[0]], near)
    add = bench.node("Add", [erf.output[0], bench.add_constant(1.0, near)], near)
    product = bench.node("Mul", [source, add.output[0]], near)
    half = bench.node("Mul", [product.output[0], bench.add_constant(0.5, near)], near, output)
    return [divide, erf, add, product, half]


class ExactGelu(OperatorRewrite):
    """The Gelu operator, and exact GELU in any other order, in torch's order."""

    name = "exact-gelu"
    summary = "GELU is written as Div, Erf, Add, Mul, Mul"
    operators = frozenset({"Gelu", "Erf"})

    def call(self, bench: Workbench) -> list[str]:
        """Replace the operator, and the products around a bare Erf."""
        ends = {}
        for node in bench.model.graph.node:
            if node.op_type == "Erf" and not node.domain:
                found = self._spelt_out(bench, node)
                if found is not None:
                    ends[found[1]] = found[0]

        def change(node: onnx.NodeProto) -> Replacement:
            if node.op_type == "Gelu" and not node.domain and get(node, "approximate", "none") == "none":
                return exact_gelu(bench, node.input[0], node.name, node.output[0])
            if node.output and node.output[0] in ends:
                return exact_gelu(bench, ends[node.output[0]], node.name, node.output[0])
            return None

        return bench.rewrite(change)

    @staticmethod
    def _spelt_out(bench: Workbench, erf: onnx.NodeProto) -> tuple[str, str] | None:
        """Return (source, result) of a GELU around an Erf that is not in torch's order."""
        scaled = bench.producers.get(erf.input[0])
        add = bench.only_consumer(erf.output[0])
        if scaled is None or add is None or add.op_type != "Add" or _constant(bench, add) != 1.0:
            return None
        source = _other(bench, scaled)
        factor = _constant(bench, scaled)
        if scaled.op_type == "Div" and factor:
            factor = 1.0 / factor
        if source is None or factor is None or not math.isclose(factor, 1 / SQRT_2, rel_tol=1e-3):
            return None
        # From here on x * 0.5 * (1 + erf) in any order and grouping: follow the products until both factors are there.
        found: set[str] = set()
        node = bench.only_consumer(add.output[0])
        for step in range(3):
            if node is None or node.op_type != "Mul":
                return None
            for name in node.input:
                found |= _factors(bench, name, source)
            if found == {"half", "source"}:
                torch_order = scaled.op_type == "Div" and step == 1 and _constant(bench, node) == 0.5
                return None if torch_order else (source, node.output[0])
            node = bench.only_consumer(node.output[0])
        return None


def _factors(bench: Workbench, name: str, source: str) -> set[str]:
    """Return which factors of GELU a tensor stands for: the half, the source, or their product."""
    if name == source:
        return {"source"}
    if bench.scalar(name) == 0.5:
        return {"half"}
    maker = bench.producers.get(name)
    if maker is not None and maker.op_type == "Mul" and source in maker.input and _constant(bench, maker) == 0.5:
        return {"half", "source"}
    return set()


class ActivationPatterns(OperatorRewrite):
    """HardSwish, Mish and Selu written with the operators of their patterns."""

    name = "activation-patterns"
    summary = "HardSwish, Mish, Selu, x * x and a constant to the power of x are written with operators that are taken"
    operators = frozenset({"HardSwish", "Mish", "Selu", "Mul", "Pow"})

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Write one with the operators of its pattern."""
        source, near, output = node.input[0] if node.input else "", node.name, node.output[0]
        if node.op_type == "HardSwish":
            gate = bench.node("HardSigmoid", [source], near, alpha=1.0 / 6.0, beta=0.5)
            return [gate, bench.node("Mul", [source, gate.output[0]], near, output)]
        if node.op_type == "Mish":
            softplus = bench.node("Softplus", [source], near)
            tanh = bench.node("Tanh", [softplus.output[0]], near)
            return [softplus, tanh, bench.node("Mul", [source, tanh.output[0]], near, output)]
        if node.op_type == "Selu":
            alpha, gamma = get(node, "alpha", 1.67326319217681884765625), get(node, "gamma", 1.05070102214813232421875)
            elu = bench.node("Elu", [source], near, alpha=float(alpha))
            return [elu, bench.node("Mul", [elu.output[0], bench.add_constant(gamma, near)], near, output)]
        base = bench.scalar(source) if node.op_type == "Pow" else None
        if base is not None and base > 0 and not bench.is_constant(node.input[1]):
            scaled = bench.node("Mul", [node.input[1], bench.add_constant(math.log(base), near)], near)
            return [scaled, bench.node("Exp", [scaled.output[0]], near, output)]
        if node.op_type == "Mul" and node.input[0] == node.input[1] and bench.constant(source) is None:
            return [bench.node("Pow", [source, bench.add_constant(2.0, near)], near, output)]
        return None


class DecomposedLayerNorm(OperatorRewrite):
    """LayerNormalization with its operators written out."""

    name = "decomposed-layer-norm"
    summary = "LayerNormalization is written as mean, difference, square, root, quotient, scale and shift"
    operators = frozenset({"LayerNormalization"})

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Write out mean, difference, square, root, quotient, scale and shift."""
        rank = bench.rank(node.input[0])
        if rank is None or len([name for name in node.output if name]) > 1:
            return None
        axes = list(range(positive_axis(int(get(node, "axis", -1)), rank), rank))
        epsilon = float(get(node, "epsilon", 1e-5))
        return normalised_over(bench, node.input[0], axes, epsilon, list(node.input[1:3]), node.name, node.output[0])


def normalised_over(
    bench: Workbench, source: str, axes: list[int], epsilon: float, affine: list[str], near: str, output: str
) -> list[onnx.NodeProto]:
    """Return the nodes of a normalisation over ``axes``, with scale and shift where they are given."""
    mean = _mean(bench, source, axes, near)
    centred = bench.node("Sub", [source, mean.output[0]], near)
    square = bench.node("Pow", [centred.output[0], bench.add_constant(2.0, near)], near)
    variance = _mean(bench, square.output[0], axes, near)
    shifted = bench.node("Add", [variance.output[0], bench.add_constant(epsilon, near)], near)
    root = bench.node("Sqrt", [shifted.output[0]], near)
    quotient = bench.node("Div", [centred.output[0], root.output[0]], near)
    nodes = [mean, centred, square, variance, shifted, root, quotient]
    for op, name in zip(("Mul", "Add"), affine, strict=False):
        if name:
            nodes.append(bench.node(op, [nodes[-1].output[0], name], near))
    nodes[-1].output[0] = output
    return nodes


def _mean(bench: Workbench, source: str, axes: list[int], near: str) -> onnx.NodeProto:
    if bench.opset < 18:
        return bench.node("ReduceMean", [source], near, axes=axes, keepdims=1)
    return bench.node("ReduceMean", [source, bench.add_constant(axes, near, np.int64)], near, keepdims=1)


class GroupNorm(OperatorRewrite):
    """GroupNorm, as one operator or as Reshape, InstanceNormalization, Reshape, for one or a few groups."""

    name = "group-norm"
    summary = "GroupNorm is written as a normalisation over [C, H, W] for each group"
    operators = frozenset({"GroupNormalization", "InstanceNormalization"})

    def call(self, bench: Workbench) -> list[str]:
        """Replace both spellings."""
        ends = {}
        for node in bench.model.graph.node:
            if node.op_type == "InstanceNormalization" and not node.domain:
                back = bench.only_consumer(node.output[0])
                if back is not None and back.op_type == "Reshape" and self._is_grouping(bench, node, back):
                    ends[back.output[0]] = node

        def change(node: onnx.NodeProto) -> Replacement:
            if node.op_type == "GroupNormalization" and not node.domain and bench.opset >= 21:
                return self._operator(bench, node)
            if node.output and node.output[0] in ends:
                return self._spelt_out(bench, ends[node.output[0]], node)
            return None

        return bench.rewrite(change)

    @staticmethod
    def _is_grouping(bench: Workbench, norm: onnx.NodeProto, back: onnx.NodeProto) -> bool:
        first = bench.producers.get(norm.input[0])
        scale, shift = bench.constant(norm.input[1]), bench.constant(norm.input[2])
        if first is None or first.op_type != "Reshape" or scale is None or shift is None:
            return False
        before, grouped, after = (bench.shapes.get(name) for name in (first.input[0], norm.input[0], back.output[0]))
        if before is None or grouped is None or before != after or len(before) != 4 or len(grouped) != 3:
            return False
        # torch leaves scale and shift to the channels behind; anything else in here is not a GroupNorm.
        return bool((scale == 1).all() and (shift == 0).all()) and (grouped[1] or MAX_GROUPS + 1) <= MAX_GROUPS

    def _spelt_out(self, bench: Workbench, norm: onnx.NodeProto, back: onnx.NodeProto) -> Replacement:
        first = bench.producers[norm.input[0]]
        groups = int((bench.shapes[norm.input[0]])[1] or 1)
        epsilon = float(get(norm, "epsilon", 1e-5))
        return self._grouped(bench, first.input[0], groups, epsilon, [], norm.name, back.output[0])

    def _operator(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        groups = int(get(node, "num_groups", 1))
        shape = bench.shapes.get(node.input[0])
        values = [bench.constant(name) for name in node.input[1:3]]
        if groups > MAX_GROUPS or shape is None or len(shape) != 4 or any(value is None for value in values):
            return None
        affine = [bench.add_constant(np.asarray(value).reshape(1, -1, 1, 1), node.name) for value in values]
        epsilon = float(get(node, "epsilon", 1e-5))
        return self._grouped(bench, node.input[0], groups, epsilon, affine, node.name, node.output[0])

    @staticmethod
    def _grouped(
        bench: Workbench, source: str, groups: int, epsilon: float, affine: list[str], near: str, output: str
    ) -> Replacement:
        channels = (bench.shapes.get(source) or (None, None))[1]
        if not channels or channels % groups or bench.opset < 10:
            return None
        if groups == 1:
            return normalised_over(bench, source, [1, 2, 3], epsilon, affine, near, output)
        size = channels // groups
        nodes: list[onnx.NodeProto] = []
        parts = []
        for group in range(groups):
            bounds = [bench.add_constant([value], near, np.int64) for value in (group * size, (group + 1) * size, 1)]
            part = bench.node("Slice", [source, *bounds], near)
            normed = normalised_over(bench, part.output[0], [1, 2, 3], epsilon, [], near, bench.name(f"{near}/group"))
            nodes += [part, *normed]
            parts.append(normed[-1].output[0])
        nodes.append(bench.node("Concat", parts, near, axis=1))
        for op, name in zip(("Mul", "Add"), affine, strict=False):
            nodes.append(bench.node(op, [nodes[-1].output[0], name], near))
        nodes[-1].output[0] = output
        return nodes


def _constant(bench: Workbench, node: onnx.NodeProto) -> float | None:
    """Return the one scalar constant that a node reads, if there is one."""
    values = [value for name in node.input if (value := bench.scalar(name)) is not None]
    return values[0] if len(values) == 1 else None


def _other(bench: Workbench, node: onnx.NodeProto) -> str | None:
    """Return the one input of a node that is no scalar constant."""
    names = [name for name in node.input if name and bench.scalar(name) is None]
    return names[0] if len(names) == 1 else None


PASSES: tuple[Rewrite, ...] = (ExactGelu(), ActivationPatterns(), DecomposedLayerNorm(), GroupNorm())
