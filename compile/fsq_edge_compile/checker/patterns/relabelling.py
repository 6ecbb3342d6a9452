"""Moves between two real layers that keep the channels together: maps to tokens, tokens to maps, windows.

To the compiler, which keeps every tensor channels-last, such moves relabel a tensor and compute nothing. A move that
takes the channels apart outside attention, or that only prepares data for the host, is no relabelling.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fsq_edge_compile.checker.axes import BATCH, CHANNELS, PLACES, Axes, moved, starting_axes
from fsq_edge_compile.checker.graph import Graph, Node
from fsq_edge_compile.checker.layout import CHANNELS_FIRST
from fsq_edge_compile.checker.operators import CONVOLUTIONS, MATRIX_PRODUCTS, MOVES, RECURRENT, WINDOW_POOLS
from fsq_edge_compile.checker.patterns.matching import Claim, Claims
from fsq_edge_compile.checker.rulebook import rulebook

FLATTENED = "flattened-map"
# Layers that read a tensor by its channels; moves in front of them are the compiler's own business.
_NORMALIZATIONS = {"LayerNormalization", "BatchNormalization", "InstanceNormalization"}
LAYERS = CONVOLUTIONS | MATRIX_PRODUCTS | WINDOW_POOLS | _NORMALIZATIONS | {"GlobalAveragePool", "Resize", "ReduceMean"}


@dataclass(slots=True)
class _Chains:
    """The axes behind every move that no other pattern claims, and whether a layer reads them."""

    axes: dict[str, Axes] = field(default_factory=dict)
    read: dict[str, bool] = field(default_factory=dict)


def relabellings(graph: Graph, channels: dict[str, int], claims: Claims) -> Claims:
    """Return claims on the moves that relabel a tensor.

    Args:
        graph: the normalised graph.
        channels: channel axis by tensor name.
        claims: of all other patterns; their nodes start new chains.
    """
    chains = _Chains()
    for node in graph.nodes:
        if _is_free_move(graph, node, claims):
            start = chains.axes.get(node.input(0)) or _start(graph, channels, node)
            found = moved(start, graph, node) if start is not None else None
            if found is not None:
                chains.axes[node.outputs[0]] = found
    _mark_read(graph, claims, chains)
    good: dict[str, bool] = {}
    found_claims: Claims = {}
    for node in reversed(graph.nodes):
        if _is_free_move(graph, node, claims) and _is_good(graph, node, chains, good, claims):
            good[node.outputs[0]] = True
            row = "Transpose" if node.op == "Transpose" else "Reshape"
            found_claims[node.name] = Claim("relabelling", row=row)
        elif _is_free_move(graph, node, claims) and _flattens_map(graph, node, chains):
            found_claims[node.name] = Claim(FLATTENED, row="Reshape")
    return found_claims


def _flattens_map(graph: Graph, node: Node, chains: _Chains) -> bool:
    """Whether a move flattens a map, channels kept, for something that is no layer: a decoder's first step."""
    after = chains.axes.get(node.outputs[0])
    if node.op not in ("Reshape", "Flatten") or graph.rank(node.input(0)) != 4 or after is None:
        return False
    return len(after.axes) == 3 and after.start == node.input(0) and after.axis_of_channels() == 1


def _is_free_move(graph: Graph, node: Node, claims: Claims) -> bool:
    return node.op in MOVES and not node.domain and node.name not in claims and not graph.is_constant(node.input(0))


def _start(graph: Graph, channels: dict[str, int], node: Node) -> Axes | None:
    """Return the axes in front of a chain's first move; None for a turned graph input and a recurrent layer."""
    name = node.input(0)
    if name in graph.inputs and node.op == "Transpose":
        return None
    maker = graph.producer(name)
    if maker is not None and maker.op in RECURRENT:
        return None
    return starting_axes(name, graph.shape(name), channels.get(name))


def _mark_read(graph: Graph, claims: Claims, chains: _Chains) -> None:
    """Note for every tensor whether a layer reads it, with nothing that is refused for certain in between."""
    operators = rulebook().operators
    for node in reversed(graph.nodes):
        row = operators.get(node.op)
        if node.domain or (row is not None and row.op == node.op and row.rule.severity == "error"):
            reached = node.name in claims
        elif node.op in LAYERS or node.name in claims:
            reached = True
        elif node.op in MOVES and node.outputs[0] in chains.axes:
            after = chains.axes[node.outputs[0]]
            settled = _is_relabelled(after) or _is_window(after)
            reached = (settled or _leads_to_move(graph, node)) and chains.read.get(node.outputs[0], False)
        elif node.op in MOVES:
            reached = False
        else:
            reached = any(chains.read.get(name, False) for name in node.outputs)
        for name in node.reads:
            misread = node.op in CHANNELS_FIRST and name in chains.axes and not _has_channels_first(chains.axes[name])
            chains.read[name] = chains.read.get(name, False) or (reached and not misread)


def _leads_to_move(graph: Graph, node: Node) -> bool:
    readers = graph.consumers(node.outputs[0])
    return bool(readers) and all(reader.op in MOVES for reader in readers) and node.outputs[0] not in graph.outputs


def _is_good(graph: Graph, node: Node, chains: _Chains, good: dict[str, bool], claims: Claims) -> bool:
    """Whether a move relabels: by its own result, or as a step to moves that do."""
    name = node.outputs[0]
    after = chains.axes.get(name)
    if after is None or _drops_height(graph, node, after):
        return False
    if _is_dense_map(graph, node, after):
        return False
    settled = _is_relabelled(after) or _is_window(after)
    if settled and (chains.read.get(name, False) or _may_leave(graph, after)):
        return True
    if not _leads_to_move(graph, node):
        return False
    return all(good.get(reader.outputs[0], False) or reader.name in claims for reader in graph.consumers(name))


def _is_dense_map(graph: Graph, node: Node, after: Axes) -> bool:
    """Whether a dense layer's tokens, turned channels-first, become a map that only a Resize or nothing reads.

    Behind a norm or a residual sum, in front of a convolution, or reshaped channels-last, this was seen to compile;
    in the decode heads of segmentation networks both compiler generations were reported to refuse it.
    """
    turned = graph.producer(node.input(0))
    if node.op != "Reshape" or turned is None or turned.op != "Transpose":
        return False
    if len(after.axes) != 4 or graph.rank(after.start) != 3 or not after.places:
        return False
    readers = graph.consumers(node.outputs[0])
    return _is_dense(graph, after.start) and all(reader.op == "Resize" for reader in readers)


def _is_dense(graph: Graph, name: str) -> bool:
    """Whether a MatMul with constant weights makes a tensor, with or without a bias and a turn of its axes."""
    maker = graph.producer(name)
    if maker is not None and maker.op == "Transpose":
        maker = graph.producer(maker.input(0))
    if maker is not None and maker.op == "Add" and len(graph.activations(maker)) == 1:
        maker = graph.producer(graph.activations(maker)[0])
    return maker is not None and maker.op == "MatMul" and len(graph.activations(maker)) == 1


def _has_channels_first(axes: Axes) -> bool:
    """Whether a convolution would find the channels where it looks for them, and no place in their stead."""
    return axes.channels_are_one() or axes.axis_of_channels() == 1


def _drops_height(graph: Graph, node: Node, after: Axes) -> bool:
    """Squeeze to a series: the parser loses the layout where it takes the same Reshape."""
    return node.op == "Squeeze" and graph.rank(node.input(0)) == 4 and bool(after.places)


def _is_relabelled(axes: Axes) -> bool:
    """Whether batch, channels and places are each where they belong, in any order of channels and places."""
    whole = axes.channels_are_one() or axes.axis_of_channels() is not None
    if not whole or not axes.keeps_places():
        return False
    # A batch of 1 may be dropped around dense layers: [1, T, C] and [T, C] are the same rows.
    single = not any(part.kind == BATCH for part in axes.total)
    dropped = single and len(axes.axes) == 2 and axes.kinds(0) == {PLACES}
    return axes.keeps_batch() or dropped or _is_sequence_first(axes)


def _is_sequence_first(axes: Axes) -> bool:
    """Whether a batch of 1 went behind the places, [T, 1, C], as torch's attention keeps its tokens."""
    return len(axes.axes) == 3 and not axes.axes[1] and axes.kinds(2) == {CHANNELS} and axes.total[0].kind != BATCH


def _may_leave(graph: Graph, axes: Axes) -> bool:
    """Whether the result is as good as a layer's: tokens that became a map [N, C, H, W], or a pooled [N, C]."""
    before = graph.rank(axes.start)
    as_map = before == 3 and len(axes.axes) == 4 and axes.kinds(1) <= {CHANNELS} and axes.kinds(2) == {PLACES}
    return as_map or (not axes.places and axes.axis_of_channels() == 1)


def _is_window(axes: Axes) -> bool:
    """Whether a map was cut into windows that lie along the batch, or windows were put together to a map."""
    channel = axes.axis_of_channels()
    if channel is None or channel == 0:
        return False
    first = axes.axes[0]
    cut = bool(first) and all(part.kind in (BATCH, PLACES) for part in first)
    batch = [part for part in axes.total if part.kind == BATCH]
    joined = not first and bool(batch)
    return cut or joined
