"""Attention: two products of activations around a softmax, and the shuffles that make and merge the heads."""

from __future__ import annotations

from fsq_edge_compile.checker.families.predicate import Breach
from fsq_edge_compile.checker.graph import Graph, Node, positive_axis
from fsq_edge_compile.checker.patterns.matching import Claim, Claims, claim_all, maker, permutation, scaled_by_constant

MAX_HOPS = 4
ROW = "MultiHeadAttention (pattern)"
_HEADS = {(0, 2, 1, 3), (0, 2, 3, 1)}
_MERGE = (0, 2, 1, 3)
_SWAP = {(0, 1, 3, 2), (0, 2, 1)}
_QKV = (2, 0, 3, 1, 4)


def attention(graph: Graph, channels: dict[str, int], softmax: Node) -> Claims:
    """Match from the softmax: over the last axis, fed by one product and feeding another."""
    rank = graph.rank(softmax.input(0))
    default = -1 if graph.opset >= 13 else 1
    if rank not in (3, 4) or positive_axis(int(softmax.attribute("axis", default)), rank) != rank - 1:
        return {}
    before = _product_before(graph, softmax)
    after = graph.only_consumer(softmax.outputs[0])
    if before is None or after is None or after.op != "MatMul" or after.input(0) != softmax.outputs[0]:
        return {}
    scores, between = before
    if any(graph.is_constant(name) for name in (*scores.inputs, *after.inputs)):
        return {}
    claims = claim_all((softmax, *between), Claim("attention", row=ROW))
    for name in (*scores.inputs, after.input(1)):
        claims.update(_head(graph, name))
    claims.update(_merge(graph, after))
    return claims


def _product_before(graph: Graph, softmax: Node) -> tuple[Node, list[Node]] | None:
    """Return the product of query and key and the scaling (and mask) between it and the softmax."""
    name = softmax.input(0)
    between: list[Node] = []
    for _ in range(MAX_HOPS):
        node = graph.producer(name)
        if node is None:
            return None
        if node.op == "MatMul":
            return node, between
        source = scaled_by_constant(graph, node)
        if source is None:
            return None
        between.append(node)
        name = source
    return None


def _head(graph: Graph, name: str) -> Claims:
    """Claim what makes one operand: the swap of the key, scaling, the transpose and reshape to heads."""
    claims: Claims = {}
    node = graph.producer(name)
    for _ in range(MAX_HOPS):
        if node is None:
            return claims
        source = scaled_by_constant(graph, node) if node.op in ("Mul", "Div") else None
        if source is not None:
            node = graph.producer(source)
        elif node.op == "Transpose" and permutation(graph, node) in _SWAP:
            claims[node.name] = Claim("attention", row=ROW)
            node = graph.producer(node.input(0))
        else:
            break
    if node is None:
        return claims
    if node.op == "Transpose" and permutation(graph, node) in _HEADS:
        reshape = maker(graph, node.input(0), "Reshape")
        if reshape is not None and _splits_heads(graph, reshape):
            claims.update(claim_all((node, reshape), Claim("attention", row=ROW)))
        return claims
    claims.update(_fused_qkv(graph, node))
    return claims


def _splits_heads(graph: Graph, reshape: Node) -> bool:
    """[N, T, C] to [N, T, heads, C / heads], and nothing else."""
    before, after = graph.shape(reshape.input(0)), graph.shape(reshape.outputs[0])
    return before is not None and after is not None and len(before) == 3 and len(after) == 4 and before[:2] == after[:2]


def _fused_qkv(graph: Graph, node: Node) -> Claims:
    """One projection for query, key and value: Reshape to [N, T, 3, heads, d], Transpose, then an index each."""
    parts = [node]
    if node.op == "Squeeze":
        part = graph.producer(node.input(0))
        if part is None or part.op not in ("Split", "Slice"):
            return {}
        parts.append(part)
    elif node.op != "Gather":
        return {}
    transpose = maker(graph, parts[-1].input(0), "Transpose")
    reshape = maker(graph, transpose.input(0), "Reshape") if transpose is not None else None
    if transpose is None or reshape is None or permutation(graph, transpose) != _QKV:
        return {}
    claims = claim_all((*parts, transpose), Claim("attention", row=ROW))
    claims[reshape.name] = Claim("attention", row=ROW, breaches=(Breach("attention.fused-qkv", reshape.name),))
    return claims


def _merge(graph: Graph, product: Node) -> Claims:
    """Claim the transpose and reshape that put the heads side by side again."""
    transpose = graph.only_consumer(product.outputs[0])
    if transpose is None or transpose.op != "Transpose" or permutation(graph, transpose) != _MERGE:
        return {}
    reshape = graph.only_consumer(transpose.outputs[0])
    if reshape is None or reshape.op != "Reshape" or graph.rank(reshape.outputs[0]) != 3:
        return {}
    return claim_all((transpose, reshape), Claim("attention", row=ROW))
