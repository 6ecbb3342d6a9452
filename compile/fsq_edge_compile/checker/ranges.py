"""Bounds on the values of an activation, where its operators give them away."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fsq_edge_compile.checker.graph import Graph, Node
from fsq_edge_compile.checker.operators import MOVES, POOLS, SELECTIONS

MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Range:
    """Closed bounds; infinite where nothing is known."""

    low: float = -math.inf
    high: float = math.inf


UNKNOWN = Range()
_FIXED = {
    "Sigmoid": Range(0.0, 1.0),
    "HardSigmoid": Range(0.0, 1.0),
    "Softmax": Range(0.0, 1.0),
    "Tanh": Range(-1.0, 1.0),
    "Erf": Range(-1.0, 1.0),
    "Exp": Range(0.0, math.inf),
    "Softplus": Range(0.0, math.inf),
    "ReduceL1": Range(0.0, math.inf),
    "ReduceL2": Range(0.0, math.inf),
    "ReduceSumSquare": Range(0.0, math.inf),
    "Equal": Range(0.0, 1.0),
    "Greater": Range(0.0, 1.0),
    "Less": Range(0.0, 1.0),
    "Abs": Range(0.0, math.inf),
}
# The result lies within the bounds of the input.
_REDUCED = {"ReduceMean", "ReduceMax", "ReduceMin"}
_KEPT = POOLS | MOVES | SELECTIONS | _REDUCED | {"Expand", "Tile", "Cast", "DepthToSpace", "SpaceToDepth"}


def range_of(graph: Graph, name: str, depth: int = 0) -> Range:
    """Return bounds on a tensor's values.

    Args:
        graph: the normalised graph.
        name: tensor; constants give their own bounds when their value was kept.
        depth: of the recursion; beyond ``MAX_DEPTH`` nothing is claimed.
    """
    if graph.is_constant(name):
        value = graph.value(name)
        if value is None or not value.size or value.dtype.kind not in "fiub":
            return UNKNOWN
        return Range(float(value.min()), float(value.max()))
    node = graph.producer(name)
    if node is None or depth > MAX_DEPTH or node.domain:
        return UNKNOWN
    if node.op in _FIXED:
        return _FIXED[node.op]
    if node.op in _KEPT:
        return range_of(graph, node.input(0), depth + 1)
    rule = _RULES.get(node.op)
    return rule(graph, node, depth + 1) if rule else UNKNOWN


def _relu(graph: Graph, node: Node, depth: int) -> Range:
    inner = range_of(graph, node.input(0), depth)
    return Range(max(0.0, inner.low), max(0.0, inner.high))


def _clip(graph: Graph, node: Node, depth: int) -> Range:
    inner = range_of(graph, node.input(0), depth)
    low = graph.scalar(node.input(1)) if node.input(1) else node.attribute("min")
    high = graph.scalar(node.input(2)) if node.input(2) else node.attribute("max")
    low = -math.inf if low is None else float(low)
    high = math.inf if high is None else float(high)
    return Range(max(inner.low, low), min(inner.high, high))


def _add(graph: Graph, node: Node, depth: int) -> Range:
    left, right = (range_of(graph, name, depth) for name in node.inputs[:2])
    return Range(left.low + right.low, left.high + right.high)


def _subtract(graph: Graph, node: Node, depth: int) -> Range:
    left, right = (range_of(graph, name, depth) for name in node.inputs[:2])
    return Range(left.low - right.high, left.high - right.low)


def _multiply(graph: Graph, node: Node, depth: int) -> Range:
    if node.input(0) == node.input(1):
        return Range(0.0, math.inf)
    left, right = (range_of(graph, name, depth) for name in node.inputs[:2])
    if left.low >= 0 and right.low >= 0:
        return Range(left.low * right.low if math.inf not in (left.low, right.low) else 0.0, math.inf)
    return UNKNOWN


def _divide(graph: Graph, node: Node, depth: int) -> Range:
    left, right = (range_of(graph, name, depth) for name in node.inputs[:2])
    return Range(0.0, math.inf) if left.low >= 0 and right.low >= 0 else UNKNOWN


def _power(graph: Graph, node: Node, depth: int) -> Range:
    exponent = graph.scalar(node.input(1))
    if exponent is not None and exponent % 2 == 0:
        return Range(0.0, math.inf)
    inner = range_of(graph, node.input(0), depth)
    return Range(0.0, math.inf) if inner.low >= 0 else UNKNOWN


def _root(graph: Graph, node: Node, depth: int) -> Range:
    inner = range_of(graph, node.input(0), depth)
    return Range(math.sqrt(inner.low) if 0 < inner.low < math.inf else 0.0, math.inf)


def _sum(graph: Graph, node: Node, depth: int) -> Range:
    inner = range_of(graph, node.input(0), depth)
    return Range(inner.low if inner.low >= 0 else -math.inf, math.inf if inner.high > 0 else inner.high)


def _least(graph: Graph, node: Node, depth: int) -> Range:
    parts = [range_of(graph, name, depth) for name in node.inputs]
    return Range(min(part.low for part in parts), min(part.high for part in parts))


def _greatest(graph: Graph, node: Node, depth: int) -> Range:
    parts = [range_of(graph, name, depth) for name in node.inputs]
    return Range(max(part.low for part in parts), max(part.high for part in parts))


def _joined(graph: Graph, node: Node, depth: int) -> Range:
    parts = [range_of(graph, name, depth) for name in node.inputs if name]
    return Range(min(part.low for part in parts), max(part.high for part in parts))


_RULES = {
    "Relu": _relu,
    "Clip": _clip,
    "Add": _add,
    "Sub": _subtract,
    "Mul": _multiply,
    "Div": _divide,
    "Pow": _power,
    "Sqrt": _root,
    "ReduceSum": _sum,
    "Min": _least,
    "Max": _greatest,
    "Concat": _joined,
}
