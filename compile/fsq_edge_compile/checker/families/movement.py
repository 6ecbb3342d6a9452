"""Operators that move data without computing: reshapes, transposes, joins, cuts, casts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import onnx

from fsq_edge_compile.checker.families.predicate import Breach, Context, Predicate, text
from fsq_edge_compile.checker.graph import Node, elements, positive_axis
from fsq_edge_compile.checker.layout import batch_axis
from fsq_edge_compile.checker.operators import MOVES, RECURRENT

MAX_HOPS = 4
_FLOATS = frozenset(
    {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.DOUBLE,
        onnx.TensorProto.BFLOAT16,
    }
)


def always(context: Context) -> Iterator[Breach]:
    """What matters of a move in a pattern too: a constant target shape, and not the end of the network."""
    node = context.node
    if node.op not in ("Reshape", "Flatten"):
        return
    before, after = context.shape(), context.graph.shape(node.outputs[0])
    pooled = before is not None and len(before) == 4 and before[2:] == (1, 1)
    if pooled and after is not None and len(after) == 2 and node.outputs[0] in context.graph.outputs:
        yield Breach("flatten.at-the-end", f"{text(before)} to {text(after)}")
    if node.input(1) and not context.graph.is_constant(node.input(1)):
        yield Breach("reshape.computed-shape", node.input(1))
    if node.attribute("allowzero", 0):
        yield Breach("reshape.allowzero", "allowzero=1")


def reshape(context: Context) -> Iterator[Breach]:
    """Reshape and Flatten: the few forms that the parser knows; any other is an unknown shuffle."""
    node, graph = context.node, context.graph
    before, after = context.shape(), graph.shape(node.outputs[0])
    if before is None or after is None or None in before or None in after:
        return
    actual = f"{text(before)} to {text(after)}"
    if elements(before) != elements(after):
        yield Breach(
            "reshape.counts",
            f"makes {text(after)} ({elements(after)} values) of {text(before)} ({elements(before)} values)",
        )
        return
    if not before or not after or before[0] != after[0]:
        yield Breach("reshape.batch", actual)
    elif _is_behind_recurrent(context):
        yield Breach("reshape.shuffle", actual)
    elif [size for size in before if size != 1] == [size for size in after if size != 1]:
        return
    elif len(after) == 2:
        yield from _flattened(context, actual)
    else:
        yield Breach("reshape.shuffle", actual)


def _flattened(context: Context, actual: str) -> Iterator[Breach]:
    readers = context.graph.consumers(context.node.outputs[0])
    if readers and all(reader.op in ("Gemm", "MatMul") for reader in readers) and context.channel() == 1:
        yield Breach("flatten.map-before-dense", actual)
    else:
        yield Breach("reshape.shuffle", actual)


def squeeze(context: Context) -> Iterator[Breach]:
    """Squeeze: of unit axes, but neither of a recurrent layer's nor of a map on its way to tokens."""
    before, after = context.shape(), context.graph.shape(context.node.outputs[0])
    if before is None or after is None:
        return
    given = context.graph.integers(context.node, 1, "axes")
    gone = {positive_axis(axis, len(before)) for axis in given or ()} or {
        axis for axis, size in enumerate(before) if size == 1
    }
    actual = f"{text(before)} to {text(after)}"
    if 0 in gone:
        yield Breach("squeeze.batch", actual)
    elif _is_behind_recurrent(context):
        yield Breach("squeeze.sequence", actual)
    elif len(before) == 4 and len(after) == 3:
        to_tokens = context.feeds("Transpose", "MatMul", "LayerNormalization")
        yield Breach("squeeze.neck" if to_tokens and after[2] != 1 else "squeeze.partial", actual)


def _is_behind_recurrent(context: Context) -> bool:
    maker = _layer_before(context)
    return maker is not None and maker.op in RECURRENT


def _layer_before(context: Context) -> Node | None:
    """Return what made the values that a node moves, through the moves before it; None for a graph input."""
    maker = context.graph.producer(context.node.input(0))
    for _ in range(MAX_HOPS - 1):
        if maker is None or maker.op not in MOVES:
            break
        maker = context.graph.producer(maker.input(0))
    return maker


def unsqueeze(context: Context) -> Iterator[Breach]:
    """Unsqueeze: of a spatial axis of size 1."""
    before, after = context.shape(), context.graph.shape(context.node.outputs[0])
    if before is None or after is None:
        return
    added = {positive_axis(axis, len(after)) for axis in context.graph.integers(context.node, 1, "axes") or ()}
    actual = f"{text(before)} to {text(after)}"
    if 0 in added:
        yield Breach("reshape.batch", actual)
    elif len(before) == 2 and 1 in added:
        yield Breach("unsqueeze.rank-2", actual)


def transpose(context: Context) -> Iterator[Breach]:
    """Transpose: on its own an unknown shuffle; pairs and heads are patterns."""
    rank = context.rank()
    if rank is None:
        return
    permutation = list(context.node.attribute("perm") or reversed(range(rank)))
    actual = f"perm {permutation} of {text(context.shape())}"
    if permutation[:1] != [0]:
        yield Breach("transpose.batch", actual)
    else:
        yield Breach("transpose.shuffle", actual)


def concat(context: Context) -> Iterator[Breach]:
    """Concat: over the channels of 4-D maps."""
    graph, node = context.graph, context.node
    rank = graph.rank(node.outputs[0])
    if rank is None:
        return
    shapes = ", ".join(text(graph.shape(name)) for name in node.inputs)
    axis = positive_axis(int(node.attribute("axis", 0)), rank)
    channel = context.channels.get(node.outputs[0])
    if rank <= 2:
        yield Breach("concat.flat", shapes)
    elif axis == batch_axis(graph, context.channels, node.outputs[0]):
        yield Breach("concat.batch", shapes)
    elif axis != channel and rank == 3 and channel == 1:
        yield Breach("concat.flattened-maps", shapes)
    elif axis != channel:
        yield Breach("concat.spatial", f"axis {axis} of {shapes}", f"axis {channel}")


def split(context: Context) -> Iterator[Breach]:
    """Split: over the channels, constant sizes, and no part straight out of the graph."""
    graph, node = context.graph, context.node
    if node.input(1) and not graph.is_constant(node.input(1)):
        yield Breach("split.computed-sizes", node.input(1))
    rank, channel = context.rank(), context.channel()
    if rank is not None and channel is not None:
        axis = positive_axis(int(node.attribute("axis", 0)), rank)
        if axis != channel:
            yield Breach("split.axis", f"axis {axis} of {text(context.shape())}", f"axis {channel}")
    leaving = [name for name in node.outputs if name in graph.outputs]
    if leaving:
        yield Breach("split.is-output", ", ".join(leaving))


def slice_(context: Context) -> Iterator[Breach]:
    """Slice: constant bounds; channels or space of a 4-D map."""
    graph, node = context.graph, context.node
    rank = context.rank()
    if any(name and not graph.is_constant(name) for name in node.inputs[1:]):
        yield Breach("slice.computed-bounds", ", ".join(name for name in node.inputs[1:] if name))
        return
    if rank is None:
        return
    starts = graph.integers(node, 1, "starts") or ()
    given = graph.integers(node, 3, "axes") or tuple(range(len(starts)))
    touched = sorted(_touched_axes(context, [positive_axis(axis, rank) for axis in given]))
    actual = f"axes {touched} of {text(context.shape())}"
    batch = context.batch()
    if batch in touched:
        yield Breach("slice.batch", actual)
    elif rank == 3 and 1 - batch in touched and context.channel() == 2:
        yield Breach("slice.sequence" if _is_mixed(context) else "slice.recurrent", actual)
    if any(step < 0 for step in graph.integers(node, 4, "steps") or ()):
        yield Breach("slice.backwards", actual)


def _touched_axes(context: Context, axes: list[int]) -> set[int]:
    """Return those of the named axes whose size the slice changes."""
    before, after = context.shape(), context.graph.shape(context.node.outputs[0])
    if before is None or after is None:
        return set(axes)
    return {axis for axis in axes if axis < len(before) and (before[axis] != after[axis] or before[axis] is None)}


def gather(context: Context) -> Iterator[Breach]:
    """Gather: a constant run of indices on channels or space, which is a slice."""
    graph, node = context.graph, context.node
    if graph.is_constant(node.input(0)):
        yield Breach("gather.embedding", node.input(1))
        return
    if not graph.is_constant(node.input(1)):
        yield Breach("gather.computed-index", node.input(1))
        return
    rank = context.rank()
    if rank is None:
        return
    axis = positive_axis(int(node.attribute("axis", 0)), rank)
    batch = context.batch()
    actual = f"axis {axis} of {text(context.shape())}"
    if axis == batch:
        yield Breach("gather.batch", actual)
        return
    index = graph.value(node.input(1))
    flat = None if index is None else [int(item) for item in index.reshape(-1)]
    if flat is None or any(after - before != 1 for before, after in itertools.pairwise(flat)):
        yield Breach("gather.scattered-index", "a large table" if flat is None else f"{len(flat)} scattered indices")
    elif rank == 3 and axis == 1 - batch and context.channel() == 2:
        yield Breach("slice.sequence" if _is_mixed(context) else "slice.recurrent", actual)


def _is_mixed(context: Context) -> bool:
    """Whether layers made the tokens that are sliced; steps of an input or of a recurrent layer were refused."""
    maker = _layer_before(context)
    return maker is not None and maker.op not in RECURRENT


def tile(context: Context) -> Iterator[Breach]:
    """Tile: becomes a concat, so never over the batch."""
    repeats = context.graph.integers(context.node, 1, "repeats")
    if repeats is None:
        yield Breach("tile.computed-repeats", context.node.input(1))
    elif repeats and repeats[0] != 1:
        yield Breach("tile.batch", f"repeats {list(repeats)}")
    else:
        yield Breach("tile.becomes-concat", f"repeats {list(repeats)}")


def cast(context: Context) -> Iterator[Breach]:
    """Cast: a relabelling is dropped; a cast to integers is taken and not computed."""
    before = context.graph.dtypes.get(context.node.input(0))
    after = int(context.node.attribute("to", 0))
    actual = f"{_type_name(before)} to {_type_name(after)}"
    if before is None:
        return
    if before in _FLOATS and after not in _FLOATS and after != onnx.TensorProto.BOOL:
        yield Breach("cast.float-to-integer", actual)
    elif before == onnx.TensorProto.BOOL and after not in _FLOATS:
        yield Breach("cast.bool-to-integer", actual)
    elif before not in _FLOATS and after not in _FLOATS and _is_index_output(context):
        yield Breach("cast.of-index", actual)
    elif before not in _FLOATS and before != onnx.TensorProto.BOOL:
        yield Breach("cast.from-integer", actual)
    elif before in _FLOATS and after in _FLOATS and after != onnx.TensorProto.FLOAT:
        yield Breach("cast.precision", actual)


def _is_index_output(context: Context) -> bool:
    maker = context.graph.producer(context.node.input(0))
    return maker is not None and maker.op == "ArgMax" and context.node.outputs[0] in context.graph.outputs


def _type_name(dtype: int | None) -> str:
    if dtype is None:
        return "unknown type"
    try:
        return str(onnx.TensorProto.DataType.Name(dtype)).lower()
    except ValueError:
        return f"type {dtype}"


def one_hot(context: Context) -> Iterator[Breach]:
    """OneHot: taken in one exact chain only, which is a pattern."""
    yield Breach("one-hot.chain", f"axis {context.node.attribute('axis', -1)}")


PREDICATES: dict[str, Predicate] = {
    "Reshape": reshape,
    "Flatten": reshape,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Concat": concat,
    "Split": split,
    "Slice": slice_,
    "Gather": gather,
    "Tile": tile,
    "Cast": cast,
    "OneHot": one_hot,
}
