"""Activations that exporters spell with several operators."""

from __future__ import annotations

import math

from fsq_edge_compile.checker.families.predicate import Breach
from fsq_edge_compile.checker.graph import Graph, Node
from fsq_edge_compile.checker.patterns.matching import Claim, Claims, claim_all, has_value, is_value, maker, reader


def gelu(graph: Graph, channels: dict[str, int], erf: Node) -> Claims:
    """Exact GELU as torch writes it: Div by sqrt 2, Erf, Add 1, then Mul by x and Mul by 0.5.

    The TorchScript exporter multiplies by x first, the dynamo exporter by 0.5: the same five operators. Any other
    spelling (Keras halves x first and multiplies by 0.707) leaves a bare Erf, which is refused.
    """
    divide = maker(graph, erf.input(0), "Div")
    if divide is None or not is_value(graph, divide.input(1), math.sqrt(2)):
        return {}
    add = reader(graph, erf, "Add")
    first = reader(graph, add, "Mul") if add is not None and has_value(graph, add, 1.0) else None
    second = reader(graph, first, "Mul") if first is not None else None
    if add is None or first is None or second is None:
        return {}
    source = divide.input(0)
    claims = claim_all((divide, erf, add, first, second), Claim("gelu", row="Gelu (Erf pattern)"))
    if source in first.inputs and has_value(graph, second, 0.5):
        return claims
    if has_value(graph, first, 0.5) and source in second.inputs:
        order = Breach("gelu.half-first", "0.5 before x")
        return claims | {first.name: Claim("gelu", row="Gelu (Erf pattern)", breaches=(order,))}
    return {}


def silu(graph: Graph, channels: dict[str, int], sigmoid: Node) -> Claims:
    """SiLU: x times its sigmoid."""
    product = reader(graph, sigmoid, "Mul")
    if product is None or sigmoid.input(0) not in product.inputs:
        return {}
    return claim_all((sigmoid, product), Claim("silu", row="SiLU (Mul+Sigmoid)"))


def hard_swish(graph: Graph, channels: dict[str, int], node: Node) -> Claims:
    """Hard-swish: x times HardSigmoid, or Add 3, Clip to 0..6, Mul by x, Div by 6."""
    if node.op == "HardSigmoid":
        product = reader(graph, node, "Mul")
        slope = float(node.attribute("alpha", 0.2))
        if product is None or node.input(0) not in product.inputs or not math.isclose(slope, 1 / 6, rel_tol=1e-3):
            return {}
        return claim_all((node, product), Claim("hard-swish", row="HardSwish"))
    add = maker(graph, node.input(0), "Add")
    if add is None or not has_value(graph, add, 3.0) or not is_value(graph, node.input(2), 6.0):
        return {}
    source = next((name for name in add.inputs if not graph.is_constant(name)), "")
    members = [add, node]
    following = graph.only_consumer(node.outputs[0])
    while following is not None and following.op in ("Mul", "Div") and len(members) < 4:
        members.append(following)
        if source in following.inputs and len(members) == 4:
            break
        following = graph.only_consumer(following.outputs[0])
    if not any(source in member.inputs for member in members[2:]):
        return {}
    return claim_all(members, Claim("hard-swish", row="HardSwish"))


def mish(graph: Graph, channels: dict[str, int], softplus: Node) -> Claims:
    """Mish: x times the tanh of its softplus."""
    tanh = reader(graph, softplus, "Tanh")
    product = reader(graph, tanh, "Mul") if tanh is not None else None
    if tanh is None or product is None or softplus.input(0) not in product.inputs:
        return {}
    return claim_all((softplus, tanh, product), Claim("mish", row="Mish"))
