"""Attention: two products of activations around a softmax, and the moves that make and merge the heads.

Exporters spell the heads in many ways: as [N, heads, T, d] or [N, heads, d, T], with query, key and value from one
projection or from three, over maps or over tokens. What they share is that between a projection and a product lie
only moves and factors. So the matcher walks from each product to the layers around it and claims the moves on the way.
It stops at anything that computes: a normalisation of query and key, or a rotary embedding, leaves the moves behind
it unclaimed, as the reports have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from fsq_edge_compile.checker.families.predicate import Breach, text
from fsq_edge_compile.checker.graph import Graph, Node, positive_axis
from fsq_edge_compile.checker.operators import MOVES, SELECTIONS
from fsq_edge_compile.checker.patterns.matching import Claim, Claims, claim_all, permutation, scaled_by_constant

MAX_HOPS = 12
ROW = "MultiHeadAttention (pattern)"
_QKV = (2, 0, 3, 1, 4)
# Moves, and the parts that are taken from a joint projection.
_SHUFFLES = MOVES | SELECTIONS
_SCALES = frozenset({"Mul", "Div"})
# What lies between a part of a joint projection and its product: keys and values may be repeated or joined to a cache.
_CARRIES = _SHUFFLES | {"Expand", "Tile", "Concat", "Cast"}


def attention(graph: Graph, channels: dict[str, int], softmax: Node) -> Claims:
    """Match from the softmax: over the last axis, fed by one product of activations and feeding another."""
    rank = graph.rank(softmax.input(0))
    default = -1 if graph.opset >= 13 else 1
    if rank not in (3, 4, 5) or positive_axis(int(softmax.attribute("axis", default)), rank) != rank - 1:
        return {}
    before = _scores(graph, softmax.input(0))
    if before is None:
        return {}
    scores, between = before
    after = _weighted_sums(graph, softmax)
    if not after:
        return {}
    claims = claim_all(
        (softmax, *between, *(node for _, nodes in after for node in nodes)), Claim("attention", row=ROW)
    )
    for node in between:
        mask = _mask_of_rank_3(graph, node)
        if mask:
            claims[node.name] = Claim("attention", row=ROW, breaches=(Breach("attention.mask-rank", mask),))
    for name in scores.inputs:
        claims.update(_head(graph, name))
    for product, nodes in after:
        weights = {softmax.outputs[0], *(name for node in nodes for name in node.outputs)}
        for name in product.inputs:
            if name not in weights:
                claims.update(_head(graph, name))
        claims.update(_onward(graph, product))
    return claims


def is_product(graph: Graph, node: Node) -> bool:
    """Whether a node multiplies two activations, or a constant query with an activation."""
    if node.op != "MatMul" or node.domain:
        return False
    return not graph.is_constant(node.input(1))


def _scores(graph: Graph, name: str) -> tuple[Node, list[Node]] | None:
    """Return the product of query and key, and what lies between it and the softmax: scale, bias, mask, moves."""
    front: list[tuple[str, tuple[Node, ...]]] = [(name, ())]
    for _ in range(MAX_HOPS):
        following: list[tuple[str, tuple[Node, ...]]] = []
        for item, path in front:
            node = graph.producer(item)
            if node is None or node.domain:
                continue
            if node.op == "MatMul" and (is_product(graph, node)):
                return node, list(path)
            if node.op in ("Mul", "Div", "Add", "Sub"):
                following += [(source, (*path, node)) for source in graph.activations(node)]
            elif node.op in ("Reshape", "Transpose", "Clip"):
                following.append((node.input(0), (*path, node)))
        front = following
    return None


def _mask_of_rank_3(graph: Graph, node: Node) -> str:
    """Return the shape of a constant of rank 3 that is added to scores; an empty string when there is none."""
    shapes = [graph.shape(name) or () for name in node.inputs if graph.is_constant(name)]
    return next((text(shape) for shape in shapes if node.op == "Add" and len(shape) == 3 and shape[2] != 1), "")


def _weighted_sums(graph: Graph, softmax: Node) -> list[tuple[Node, list[Node]]]:
    """Return the products of the softmax with the values, each with the moves and scales on the way to it."""
    found: list[tuple[Node, list[Node]]] = []
    front: list[tuple[Node, list[Node]]] = [(softmax, [])]
    for _ in range(MAX_HOPS):
        following: list[tuple[Node, list[Node]]] = []
        for item, path in front:
            for reader in graph.consumers(item.outputs[0]):
                if is_product(graph, reader):
                    found.append((reader, path))
                elif reader.op in ("Transpose", "Reshape") or scaled_by_constant(graph, reader) is not None:
                    following.append((reader, [*path, reader]))
        front = following
    return found


def _sources(graph: Graph, node: Node) -> list[str]:
    """Return what a node on the way to a product hands on; nothing when it computes."""
    if node.op in _SHUFFLES:
        moves = node.op != "Gather" or graph.is_constant(node.input(1))
        return [node.input(0)] if moves and not graph.is_constant(node.input(0)) else []
    source = scaled_by_constant(graph, node) if node.op in _SCALES else None
    return [] if source is None else [source]


def _head(graph: Graph, name: str) -> Claims:
    """Claim the moves between one operand of a product and the layer that made its values."""
    nodes: list[Node] = []
    for _ in range(MAX_HOPS):
        node = graph.producer(name)
        if node is None or node.domain:
            break
        sources = _sources(graph, node)
        if not sources:
            break
        nodes.append(node)
        name = sources[0]
    moves = _own_moves(graph, [node for node in nodes if node.op in _SHUFFLES])
    claims = claim_all(moves, Claim("attention", row=ROW))
    for node in moves:
        # The values may be needed once more as a map, for a convolution that adds the position.
        claims.update(_onward(graph, node))
    for reshape in _joint_projections(graph, moves):
        claims[reshape.name] = Claim("attention", row=ROW, breaches=(Breach("attention.fused-qkv", reshape.name),))
    return claims


def _own_moves(graph: Graph, moves: list[Node]) -> list[Node]:
    """Leave out the moves of a joint projection of which another part reaches no product: it is no query or key.

    Args:
        graph: the normalised graph.
        moves: from the product back to the layer that made the values.
    """
    for index, node in enumerate(moves):
        if node.op == "Split":
            parts = node.outputs
        elif node.op in ("Gather", "Slice"):
            siblings = graph.consumers(node.input(0))
            parts = tuple(reader.outputs[0] for reader in siblings if reader.op == node.op)
        else:
            continue
        if not all(_reaches_product(graph, name) for name in parts):
            return moves[:index]
    return moves


def _reaches_product(graph: Graph, name: str) -> bool:
    """Whether a tensor comes to a product of activations through moves and constants alone."""
    front = [name]
    for _ in range(MAX_HOPS):
        readers = [reader for item in front for reader in graph.consumers(item)]
        if any(is_product(graph, reader) for reader in readers):
            return True
        front = [
            output
            for reader in readers
            if reader.op in _CARRIES or scaled_by_constant(graph, reader) is not None
            for output in reader.outputs
        ]
    return False


def _joint_projections(graph: Graph, moves: list[Node]) -> Iterator[Node]:
    """Yield the Reshapes to [N, T, 3, heads, d] in front of a transpose that puts the three first."""
    for node, before in pairwise(moves):
        if node.op == "Transpose" and before.op == "Reshape" and permutation(graph, node) == _QKV:
            yield before


def _onward(graph: Graph, start: Node) -> Claims:
    """Claim the moves behind a node, up to the next nodes that compute: they put the heads side by side again."""
    moves: list[Node] = []
    front = [start]
    for _ in range(MAX_HOPS):
        front = [
            reader
            for item in front
            for name in item.outputs
            for reader in graph.consumers(name)
            if reader.op in MOVES and not reader.domain
        ]
        moves += front
    return claim_all(moves, Claim("attention", row=ROW))
