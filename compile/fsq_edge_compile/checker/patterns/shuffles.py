"""Shuffles of axes that the compiler knows: channel and depth shuffles, maps to tokens, channels-last stretches."""

from __future__ import annotations

from fsq_edge_compile.checker.families.predicate import Breach, text
from fsq_edge_compile.checker.graph import Graph, Node, Shape
from fsq_edge_compile.checker.operators import ACTIVATIONS, ARITHMETIC, RECURRENT
from fsq_edge_compile.checker.patterns.matching import Claim, Claims, claim_all, maker, permutation, reader

MAX_REGION = 400
_TO_LAST = {4: (0, 2, 3, 1), 3: (0, 2, 1)}
_TO_FIRST = {4: (0, 3, 1, 2), 3: (0, 2, 1)}
# Operators that work the same whichever axis holds the channels, or on the last one.
_FUNCTIONS = ACTIVATIONS | ARITHMETIC | {"Gelu", "Softmax", "Pow", "Sqrt", "Exp", "Abs", "Neg"}
_ANY_LAYOUT = _FUNCTIONS | {"MatMul", "ReduceMean", "ReduceSum", "LayerNormalization"}


def channel_shuffle(graph: Graph, channels: dict[str, int], transpose: Node) -> Claims:
    """Reshape, Transpose, Reshape that shuffle channels, or move blocks between space and channels."""
    first, last = maker(graph, transpose.input(0), "Reshape"), reader(graph, transpose, "Reshape")
    if first is None or last is None or graph.only_consumer(first.outputs[0]) is None:
        return {}
    before, middle, after = (graph.shape(name) for name in (first.input(0), first.outputs[0], last.outputs[0]))
    if before is None or middle is None or after is None or len(before) != 4 or len(after) != 4:
        return {}
    order = permutation(graph, transpose)
    if _is_channel_shuffle(before, middle, after, order):
        return claim_all((first, transpose, last), Claim("channel-shuffle", row="Reshape"))
    found = _depth_shuffle(before, middle, after, order)
    if not found:
        return {}
    row = "SpaceToDepth" if found.startswith("space") else "DepthToSpace"
    claims = claim_all((first, transpose, last), Claim(found, row=row))
    claims[first.name] = Claim(found, row=row, breaches=(Breach("depth-shuffle.spelling", found),))
    return claims


def _is_channel_shuffle(before: Shape, middle: Shape, after: Shape, order: tuple[int, ...]) -> bool:
    return (
        before == after
        and len(middle) == 5
        and order == (0, 2, 1, 3, 4)
        and middle[0] == before[0]
        and middle[3:] == before[2:]
    )


def _depth_shuffle(before: Shape, middle: Shape, after: Shape, order: tuple[int, ...]) -> str:
    """Return the name of the depth shuffle that three shapes and an order make, or an empty string."""
    if len(middle) != 6:
        return ""
    if order in ((0, 1, 3, 4, 2, 5), (0, 1, 3, 2, 4, 5)):
        # Channels last: blocks of two by two places become channels.
        _, h, block, w, again, c = middle
        fits = block == again and before == (middle[0], _times(h, block), _times(w, again), c)
        return "space-to-depth" if fits and after[1:3] == (h, w) and after[0] == before[0] else ""
    if order in ((0, 1, 3, 5, 2, 4), (0, 3, 5, 1, 2, 4)):
        _, c, h, block, w, again = middle
        fits = block == again and before == (middle[0], c, _times(h, block), _times(w, again))
        return "space-to-depth" if fits and after[2:] == (h, w) else ""
    if order == (0, 1, 4, 2, 5, 3):
        _, c, block, again, h, w = middle
    elif order == (0, 3, 4, 1, 5, 2):
        _, block, again, c, h, w = middle
    else:
        return ""
    fits = block == again and before[2:] == (h, w)
    return "depth-to-space" if fits and after == (middle[0], c, _times(h, block), _times(w, block)) else ""


def _times(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else left * right


def layout_excursion(graph: Graph, channels: dict[str, int], transpose: Node) -> Claims:
    """A stretch of the graph with the channels last, between two transposes that cancel."""
    rank = graph.rank(transpose.input(0)) or 0
    if permutation(graph, transpose) != _TO_LAST.get(rank):
        return {}
    back: dict[str, Node] = {}
    region = {transpose.name}
    front = list(graph.successors(transpose))
    while front:
        node = front.pop()
        if node.name in region or node.name in back:
            continue
        if node.op == "Transpose" and permutation(graph, node) == _TO_FIRST[rank]:
            back[node.name] = node
            continue
        if node.op not in _ANY_LAYOUT or node.domain or _leaves(graph, node) or len(region) > MAX_REGION:
            return {}
        region.add(node.name)
        front.extend(graph.successors(node))
    if not back or _leaves(graph, transpose):
        return {}
    members = [transpose, *back.values()]
    claim = Claim("layout-pair", row="Transpose")
    claims = claim_all(members, claim)
    if len(region) > 1:
        stretch = Breach("transpose.stretch", f"{len(region) - 1} nodes")
        claims[transpose.name] = Claim("layout-pair", row="Transpose", breaches=(stretch,))
    return claims


def time_first(graph: Graph, channels: dict[str, int], transpose: Node) -> Claims:
    """A series of batch 1 turned to time-first for recurrent layers, as exporters of batch-first layers write it."""
    shape = graph.shape(transpose.input(0))
    readers = graph.consumers(transpose.outputs[0])
    if shape is None or len(shape) != 3 or shape[0] != 1 or permutation(graph, transpose) != (1, 0, 2):
        return {}
    if not readers or transpose.outputs[0] in graph.outputs:
        return {}
    if any(node.op not in RECURRENT or node.input(0) != transpose.outputs[0] for node in readers):
        return {}
    return {transpose.name: Claim("time-first", row="LSTM")}


def undone_unsqueeze(graph: Graph, channels: dict[str, int], unsqueeze: Node) -> Claims:
    """An Unsqueeze that a Squeeze of the same axes undoes: nothing."""
    squeeze = reader(graph, unsqueeze, "Squeeze")
    if squeeze is None or unsqueeze.outputs[0] in graph.outputs:
        return {}
    before, after = graph.shape(unsqueeze.input(0)), graph.shape(squeeze.outputs[0])
    if before is None or before != after:
        return {}
    return claim_all((unsqueeze, squeeze), Claim("unit-axis", row="Reshape"))


def redundant_expand(graph: Graph, channels: dict[str, int], expand: Node) -> Claims:
    """An Expand whose readers are sums and products with tensors of the full size, which broadcast by themselves."""
    full = graph.shape(expand.outputs[0])
    readers = graph.consumers(expand.outputs[0])
    if full is None or not readers or expand.outputs[0] in graph.outputs or graph.rank(expand.input(0)) != len(full):
        return {}
    for following in readers:
        others = [name for name in following.inputs if name != expand.outputs[0]]
        if following.op not in ("Add", "Sub", "Mul", "Div") or [graph.shape(name) for name in others] != [full]:
            return {}
    return {expand.name: Claim("redundant-expand", row="Expand", breaches=(Breach("expand.broadcast", text(full)),))}


def one_hot(graph: Graph, channels: dict[str, int], node: Node) -> Claims:
    """The one chain around OneHot that was taken: OneHot over a new last axis, Transpose, Squeeze."""
    transpose = reader(graph, node, "Transpose")
    squeeze = reader(graph, transpose, "Squeeze") if transpose is not None else None
    if transpose is None or squeeze is None or int(node.attribute("axis", -1)) != -1:
        return {}
    return claim_all((node, transpose, squeeze), Claim("one-hot", row="OneHot"))


def _leaves(graph: Graph, node: Node) -> bool:
    return any(name in graph.outputs for name in node.outputs)
