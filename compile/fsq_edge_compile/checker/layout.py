"""Follows the channel axis through a graph.

The vendor's layers are channels-last while ONNX convolutions are channels-first, so rules about "the channel axis"
need to know where it went: a Transpose moves it, a Linear after it makes the last axis the channels, and so on.
"""

from __future__ import annotations

from fsq_edge_compile.checker.axes import moved, starting_axes
from fsq_edge_compile.checker.graph import Graph, Node, positive_axis
from fsq_edge_compile.checker.operators import CONVOLUTIONS, MATRIX_PRODUCTS, MOVES, POOLS, RECURRENT, REDUCTIONS

_NORMALIZATIONS = {"BatchNormalization", "InstanceNormalization", "GroupNormalization", "LRN"}
_RESIZES = {"Resize", "Upsample", "DepthToSpace", "SpaceToDepth"}
CHANNELS_FIRST = CONVOLUTIONS | POOLS | _NORMALIZATIONS | _RESIZES | {"PRelu"}
_CHANNELS_LAST = MATRIX_PRODUCTS | RECURRENT
_SCALING = frozenset({"Cast", "Add", "Sub", "Mul", "Div", "Clip"})
MAX_HOPS = 6
_REDUCTIONS = REDUCTIONS | {"ArgMax", "ArgMin"}


def channel_axes(graph: Graph) -> dict[str, int]:
    """Return the channel axis of every activation whose rank is known, counted from the front."""
    axes: dict[str, int] = {}
    for name in graph.inputs:
        rank = graph.rank(name)
        if rank:
            axes[name] = _input_axis(graph, name, rank)
    for node in graph.nodes:
        for name in node.outputs:
            rank = graph.rank(name) if name else None
            if rank:
                axis = _output_axis(graph, axes, node, rank)
                axes[name] = axis if 0 <= axis < rank else rank - 1
    return axes


def batch_axis(graph: Graph, channels: dict[str, int], name: str) -> int:
    """Return the axis of the batch: 1 for tokens [T, 1, C], as torch's attention keeps them, and otherwise 0.

    Where every input has a batch of 1, the sequence in front of it is no batch, whatever the place.
    """
    shape = graph.shape(name) or ()
    if len(shape) != 3 or shape[0] == 1 or shape[1] != 1 or channels.get(name) != 2:
        return 0
    return int(all((graph.shape(item) or (None,))[0] == 1 for item in graph.inputs))


def _input_axis(graph: Graph, name: str, rank: int) -> int:
    """Rank 4 inputs are NCHW unless they are transposed to it; of rank 3 the first layer that reads them decides."""
    if rank == 4 and _made_channels_first(graph, name):
        return 3
    if rank != 3:
        return min(1, rank - 1)
    return 1 if _read_channels_first(graph, name) else 2


def _read_channels_first(graph: Graph, name: str) -> bool:
    """Whether the first layer behind a rank-3 tensor reads [N, C, L]; a swap of the last two axes turns it round."""
    front, swapped = [name], False
    for _ in range(MAX_HOPS):
        readers = [reader for item in front for reader in graph.consumers(item)]
        if any(reader.op in CHANNELS_FIRST for reader in readers):
            return not swapped
        if not readers or any(reader.op in _CHANNELS_LAST or reader.op == "LayerNormalization" for reader in readers):
            return swapped
        turns = [reader.op == "Transpose" and reader.attribute("perm") == [0, 2, 1] for reader in readers]
        if any(turns) and not all(turns):
            return False
        swapped ^= any(turns)
        front = [reader.outputs[0] for reader in readers]
    return False


def _made_channels_first(graph: Graph, name: str) -> bool:
    """Whether all that reads an input, scaling aside, is the transpose from NHWC that converters put in front."""
    for _ in range(MAX_HOPS):
        reader = graph.only_consumer(name)
        if reader is None:
            return False
        if reader.op == "Transpose":
            return tuple(reader.attribute("perm") or ()) == (0, 3, 1, 2)
        if reader.op not in _SCALING:
            return False
        name = reader.outputs[0]
    return False


def _output_axis(graph: Graph, axes: dict[str, int], node: Node, rank: int) -> int:
    if node.op in CHANNELS_FIRST or rank == 2:
        return 1
    if node.op in _CHANNELS_LAST or (node.op == "Gather" and graph.is_constant(node.input(0))):
        # Rows of an embedding table are features.
        return rank - 1
    source = _main_input(graph, node)
    if source is None or source not in axes:
        return 1 if rank in (2, 4, 5) else rank - 1
    if node.op in MOVES:
        return _moved(graph, node, source, axes[source], rank)
    if node.op in _REDUCTIONS:
        return _reduced(graph, node, source, axes[source], rank)
    return axes[source]


def _main_input(graph: Graph, node: Node) -> str | None:
    """Return the activation of the highest rank: the one whose layout the result keeps."""
    best: str | None = None
    for name in graph.activations(node):
        rank = graph.rank(name)
        if rank is not None and (best is None or rank > (graph.rank(best) or 0)):
            best = name
    return best


def _moved(graph: Graph, node: Node, source: str, axis: int, rank: int) -> int:
    """Follow the channels through a move; where they were split, guess."""
    start = starting_axes(source, graph.shape(source), axis)
    after = moved(start, graph, node) if start is not None else None
    found = after.main_axis() if after is not None else None
    if found is not None:
        return found
    if node.op == "Transpose":
        permutation = node.attribute("perm") or list(reversed(range(rank)))
        return permutation.index(axis) if axis in permutation else rank - 1
    before, shape = graph.shape(source) or (), graph.shape(node.outputs[0]) or ()
    if axis == len(before) - 1 and before[-1] is not None and shape and before[-1] == shape[-1]:
        return rank - 1
    if axis < len(before) and axis < rank and before[axis] == shape[axis]:
        return axis
    return 1 if rank in (2, 4, 5) else rank - 1


def _reduced(graph: Graph, node: Node, source: str, axis: int, rank: int) -> int:
    before = graph.rank(source) or rank
    if before == rank:
        return axis
    if node.op in ("ArgMax", "ArgMin"):
        gone: tuple[int, ...] = (int(node.attribute("axis", 0)),)
    else:
        gone = graph.integers(node, 1, "axes") or ()
    return axis - sum(positive_axis(item, before) < axis for item in gone)
