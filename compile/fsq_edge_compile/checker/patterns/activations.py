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


def tanh_gelu(graph: Graph, channels: dict[str, int], tanh: Node) -> Claims:
    """GELU by tanh: 0.5 x (1 + tanh(0.798 (x + 0.0447 x^3))), with the cube as Pow or as two products."""
    inner = _factor(graph, tanh.input(0), math.sqrt(2 / math.pi))
    add = reader(graph, tanh, "Add")
    if inner is None or add is None or not has_value(graph, add, 1.0):
        return {}
    scale, total = inner
    for source, other in (total.inputs, tuple(reversed(total.inputs))) if len(total.inputs) == 2 else ():
        cube = _factor(graph, other, 0.044715, "Pow", "Mul")
        found = _cube(graph, cube[1], source) if cube is not None else []
        if cube is not None and found:
            members = [tanh, add, scale, total, cube[0], *found]
            return claim_all([*members, *_products_behind(graph, add)], Claim("gelu-tanh", row="Tanh"))
    return {}


def _factor(graph: Graph, name: str, value: float, *ops: str) -> tuple[Node, Node] | None:
    """Return the product of a constant and an activation, and what makes the activation."""
    product = maker(graph, name, "Mul")
    if product is None or not has_value(graph, product, value):
        return None
    made = [found for item in graph.activations(product) if (found := graph.producer(item)) is not None]
    wanted = ops or ("Add",)
    return (product, made[0]) if len(made) == 1 and made[0].op in wanted else None


def _cube(graph: Graph, node: Node, source: str) -> list[Node]:
    """Return the nodes that make the third power of a tensor; none when they do not."""
    if node.op == "Pow":
        return [node] if node.input(0) == source and is_value(graph, node.input(1), 3.0) else []
    square = next((found for name in node.inputs if (found := maker(graph, name, "Mul")) is not None), None)
    square = square or next((found for name in node.inputs if (found := maker(graph, name, "Pow")) is not None), None)
    if square is None or source not in node.inputs or set(graph.activations(square)) != {source}:
        return []
    return [node, square]


def _products_behind(graph: Graph, add: Node) -> list[Node]:
    products: list[Node] = []
    node = reader(graph, add, "Mul")
    while node is not None and len(products) < 2:
        products.append(node)
        node = reader(graph, node, "Mul")
    return products


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
