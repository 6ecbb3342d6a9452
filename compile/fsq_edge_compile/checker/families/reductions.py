"""Reductions: which axes, and whether the axis is kept."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fsq_edge_compile.checker.families.pooling import LARGE_POOL
from fsq_edge_compile.checker.families.predicate import Breach, Context, Predicate, text
from fsq_edge_compile.checker.graph import positive_axis
from fsq_edge_compile.checker.rulebook import rulebook


def _axes(context: Context) -> tuple[int, ...] | None:
    """Return the reduced axes counted from the front; None when they or the rank are not known."""
    rank = context.rank()
    given = context.graph.integers(context.node, 1, "axes")
    if rank is None or given is None:
        return None
    if not given:
        return tuple(range(rank))
    return tuple(sorted(positive_axis(axis, rank) for axis in given))


def _keeps(context: Context) -> bool:
    return bool(context.node.attribute("keepdims", 1))


def mean(context: Context) -> Iterator[Breach]:
    """ReduceMean: over all of space it is a global pool; over one spatial axis a dense layer behind it is refused."""
    axes, rank, channel = _axes(context), context.rank(), context.channel()
    if axes is None or rank is None or channel is None:
        if context.node.input(1) and not context.graph.is_constant(context.node.input(1)):
            yield Breach("reduce.computed-axes", context.node.input(1))
        return
    actual = f"axes {list(axes)} of {text(context.shape())}"
    batch = context.batch()
    spatial = tuple(axis for axis in range(rank) if axis not in (batch, channel))
    if batch in axes:
        yield Breach("reduce.batch-axis", actual)
    elif axes == (channel,) or len(axes) == rank - 1:
        return
    elif axes == spatial:
        space = tuple((context.shape() or ())[axis] or 0 for axis in axes)
        if rank == 4 and math.prod(space) > LARGE_POOL:
            yield Breach("average-pool.large", text(space))
        if rank != 4 or not _keeps(context):
            yield Breach("reduce-mean.spelling", f"{actual}, keepdims={int(_keeps(context))}")
    elif _reaches_dense(context):
        yield Breach("reduce-mean.one-spatial-axis", actual)
    else:
        yield Breach("reduce-mean.partial", actual)


def _reaches_dense(context: Context) -> bool:
    """Whether the result goes through reshapes alone into a dense layer."""
    names, seen = list(context.node.outputs[:1]), set()
    while names:
        name = names.pop()
        for reader in context.graph.consumers(name):
            if reader.op in ("Gemm", "MatMul"):
                return True
            if reader.op in ("Reshape", "Flatten", "Squeeze", "Unsqueeze") and reader.name not in seen:
                seen.add(reader.name)
                names.extend(reader.outputs[:1])
    return False


def channels_only(context: Context) -> Iterator[Breach]:
    """ReduceSum and its kin: over the channels."""
    axes, channel = _axes(context), context.channel()
    if axes is None or channel is None:
        if context.node.input(1) and not context.graph.is_constant(context.node.input(1)):
            yield Breach("reduce.computed-axes", context.node.input(1))
        return
    if axes != (channel,):
        yield Breach(_AXIS_RULE[context.node.op], f"axes {list(axes)} of {text(context.shape())}", f"axis {channel}")
    elif not _keeps(context):
        yield Breach(_KEEP_RULE[context.node.op], "keepdims=0")


def arg_max(context: Context) -> Iterator[Breach]:
    """ArgMax: over the channels and the last node of the graph."""
    rank, channel = context.rank(), context.channel()
    if rank is not None and channel is not None:
        axis = positive_axis(int(context.node.attribute("axis", 0)), rank)
        if axis != channel:
            yield Breach("argmax.axis", f"axis {axis} of {text(context.shape())}", f"axis {channel}")
    readers = context.graph.consumers(context.node.outputs[0])
    casts = [reader for reader in readers if reader.op == "Cast" and reader.outputs[0] in context.graph.outputs]
    # The compiler that refuses the cast of an index is given the map in front of ArgMax by the exporters.
    cast_rule = rulebook().rules["cast.of-index"].for_target(context.target)
    refused = bool(casts) and cast_rule is not None and cast_rule.severity == "error"
    if refused or len(casts) < len(readers):
        yield Breach("argmax.not-last", ", ".join(reader.name for reader in readers))


_AXIS_RULE = {
    "ReduceSum": "reduce-sum.axis",
    "ReduceSumSquare": "reduce-sum.axis",
    "ReduceL2": "reduce-l2.axis",
    "ReduceMax": "reduce-max.axis",
    "ReduceMin": "reduce-max.axis",
}
_KEEP_RULE = {
    "ReduceSum": "reduce-sum.keepdims",
    "ReduceSumSquare": "reduce-sum.keepdims",
    "ReduceL2": "reduce-sum.keepdims",
    "ReduceMax": "reduce-max.keepdims",
    "ReduceMin": "reduce-max.keepdims",
}

PREDICATES: dict[str, Predicate] = {
    "ReduceMean": mean,
    "ReduceSum": channels_only,
    "ReduceSumSquare": channels_only,
    "ReduceL2": channels_only,
    "ReduceMax": channels_only,
    "ReduceMin": channels_only,
    "ArgMax": arg_max,
}
