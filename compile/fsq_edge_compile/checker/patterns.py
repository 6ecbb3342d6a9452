"""Groups of nodes that the compiler takes, or refuses, as one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fsq_edge_compile.checker.families.predicate import Breach
from fsq_edge_compile.checker.graph import Graph, Node

# Loose enough for constants rounded to half precision by an exporter.
TOLERANCE = 2e-3


@dataclass(frozen=True, slots=True)
class Claim:
    """What a pattern says of one of its nodes.

    Attributes:
        pattern: name of the pattern.
        accepts: the node is taken as a member, whatever its own row says.
        breaches: findings that the pattern adds.
    """

    pattern: str
    accepts: bool
    breaches: tuple[Breach, ...] = ()


def find_patterns(graph: Graph, channels: dict[str, int]) -> dict[str, Claim]:
    """Return the claims on nodes by node name."""
    claims: dict[str, Claim] = {}
    for node in graph.nodes:
        if node.op == "Erf":
            claims.update(gelu(graph, node))
    return claims


def gelu(graph: Graph, erf: Node) -> dict[str, Claim]:
    """Exact GELU as torch writes it: x -> Div(sqrt 2) -> Erf -> Add 1 -> Mul x -> Mul 0.5."""
    divide = graph.producer(erf.input(0))
    if divide is None or divide.op != "Div" or not _is(graph, divide.input(1), math.sqrt(2)):
        return {}
    source = divide.input(0)
    add = graph.only_consumer(erf.outputs[0])
    if add is None or add.op != "Add" or not _has_constant(graph, add, 1.0):
        return {}
    product = graph.only_consumer(add.outputs[0])
    if product is None or product.op != "Mul" or source not in product.inputs:
        return {}
    half = graph.only_consumer(product.outputs[0])
    if half is None or half.op != "Mul" or not _has_constant(graph, half, 0.5):
        return {}
    return {node.name: Claim("gelu", accepts=True) for node in (divide, erf, add, product, half)}


def _is(graph: Graph, name: str, wanted: float) -> bool:
    value = graph.scalar(name)
    return value is not None and math.isclose(value, wanted, rel_tol=TOLERANCE)


def _has_constant(graph: Graph, node: Node, wanted: float) -> bool:
    return any(_is(graph, name, wanted) for name in node.inputs)
