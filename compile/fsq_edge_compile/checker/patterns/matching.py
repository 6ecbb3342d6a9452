"""What a matcher returns, and the small steps that matchers are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fsq_edge_compile.checker.families.predicate import Breach
from fsq_edge_compile.checker.graph import Graph, Node

# Loose enough for constants that an exporter rounded to half precision.
TOLERANCE = 2e-3


@dataclass(frozen=True, slots=True)
class Claim:
    """What a pattern says of one of its nodes.

    Attributes:
        pattern: name, as in reports.
        accepts: the node is taken as a member, whatever its own row says.
        row: row of the operator table whose evidence stands behind the pattern; empty for the node's own.
        breaches: findings that the pattern adds to the node.
    """

    pattern: str
    accepts: bool = True
    row: str = ""
    breaches: tuple[Breach, ...] = ()


Claims = dict[str, Claim]
Matcher = Callable[[Graph, dict[str, int], Node], Claims]


def claim_all(nodes: Iterable[Node], claim: Claim) -> Claims:
    """Make the same claim on several nodes."""
    return {node.name: claim for node in nodes}


def is_value(graph: Graph, name: str, wanted: float) -> bool:
    """Whether a tensor is a constant that holds one value throughout."""
    value = graph.value(name)
    if value is None or not value.size or value.dtype.kind not in "fiu":
        return False
    low, high = float(value.min()), float(value.max())
    return math.isclose(low, wanted, rel_tol=TOLERANCE) and math.isclose(high, wanted, rel_tol=TOLERANCE)


def has_value(graph: Graph, node: Node, wanted: float) -> bool:
    """Whether one input of a node is a constant of that value."""
    return any(is_value(graph, name, wanted) for name in node.inputs)


def reader(graph: Graph, node: Node, op: str) -> Node | None:
    """Return the only reader of a node's first output if it is the wanted operator."""
    found = graph.only_consumer(node.outputs[0])
    return found if found is not None and found.op == op else None


def maker(graph: Graph, name: str, op: str) -> Node | None:
    """Return the producer of a tensor if it is the wanted operator."""
    found = graph.producer(name)
    return found if found is not None and found.op == op else None


def scaled_by_constant(graph: Graph, node: Node) -> str | None:
    """Return the activation that a Mul, Div, Add or Sub combines with a constant; None for any other node."""
    if node.op not in ("Mul", "Div", "Add", "Sub"):
        return None
    activations = graph.activations(node)
    return activations[0] if len(activations) == 1 else None


def permutation(graph: Graph, node: Node) -> tuple[int, ...]:
    """Return a Transpose's permutation; without one the axes are reversed."""
    given = node.attribute("perm")
    if given is not None:
        return tuple(given)
    return tuple(reversed(range(graph.rank(node.input(0)) or 0)))
