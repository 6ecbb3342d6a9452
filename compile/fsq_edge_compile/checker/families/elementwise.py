"""Arithmetic and comparisons between tensors: broadcasting, ranks, operands used twice."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fsq_edge_compile.checker.families.predicate import Breach, Context, Predicate, text
from fsq_edge_compile.checker.graph import Node
from fsq_edge_compile.checker.operators import COMPARISONS
from fsq_edge_compile.checker.ranges import range_of

_MASKS = COMPARISONS | {"Not", "And", "Or"}


def broadcast(context: Context) -> Iterator[Breach]:
    """Operands of one rank; constants whose axes survive the change to channels-last."""
    activations = context.graph.activations(context.node)
    if len(activations) == 2:
        yield from _two_activations(context, activations)
    elif len(activations) == 1 and len(context.node.inputs) == 2:
        yield from _with_constant(context, activations[0])


def _two_activations(context: Context, names: list[str]) -> Iterator[Breach]:
    left, right = (context.graph.shape(name) for name in names)
    if left is None or right is None:
        return
    if len(left) != len(right):
        yield Breach("elementwise.rank", f"{text(left)} and {text(right)}")
        return
    if left == right:
        return
    # Over space one arm is [N, C, 1, 1]; over channels it is [N, 1, H, W]. Anything else was not reported.
    for arm, other in ((left, right), (right, left)):
        if all(size in (1, wide) for size, wide in zip(arm, other, strict=True)):
            over_space = len(arm) == 4 and arm[1] == other[1] and arm[2:] == (1, 1)
            over_channels = len(arm) == 4 and arm[1] == 1 and arm[2:] == other[2:]
            if over_space or over_channels:
                return
    yield Breach("elementwise.broadcast", f"{text(left)} and {text(right)}")


def _with_constant(context: Context, activation: str) -> Iterator[Breach]:
    constant = next(name for name in context.node.inputs if name != activation)
    shape, other = context.graph.shape(constant), context.graph.shape(activation)
    if shape is None or other is None:
        return
    wide = [size for size in shape if size != 1]
    if shape == other and len(wide) > 1 and activation in context.graph.inputs and len(other) == 3:
        yield Breach("elementwise.guessed-layout", f"{text(shape)} with {text(other)}")
    elif len(other) == 3 and context.channels.get(activation) == 1 and len(wide) > 1:
        yield Breach("elementwise.constant-layout", f"{text(shape)} with {text(other)}")
    if len(shape) > len(other):
        yield Breach("elementwise.rank", f"{text(other)} and the constant {text(shape)}")


def multiply(context: Context) -> Iterator[Breach]:
    """Mul: as every broadcast, and never one tensor twice."""
    node = context.node
    if node.input(0) == node.input(1):
        yield Breach("mul.same-tensor", node.input(0))
    yield from broadcast(context)


def divide(context: Context) -> Iterator[Breach]:
    """Div: the divisor must stay clear of zero over the calibration set."""
    divisor = context.node.input(1)
    if not context.graph.is_constant(divisor):
        found = range_of(context.graph, divisor)
        if found.low <= 0 <= found.high:
            yield Breach("div.divisor-range", _bounds(found.low, found.high))
    yield from broadcast(context)


def _bounds(low: float, high: float) -> str:
    return "no bounds known" if low == -math.inf and high == math.inf else f"[{low:g}, {high:g}]"


def equal(context: Context) -> Iterator[Breach]:
    """Equal: against another tensor or a constant."""
    if context.node.input(0) == context.node.input(1):
        yield Breach("equal.same-tensor", context.node.input(0))
    yield from broadcast(context)


def power(context: Context) -> Iterator[Breach]:
    """Pow: a constant exponent, usually 2."""
    exponent = context.node.input(1)
    if not context.graph.is_constant(exponent):
        base = context.graph.scalar(context.node.input(0))
        yield Breach("pow.computed-exponent", exponent)
        if base is not None and base > 0:
            yield Breach("pow.constant-base", f"{base:g}")
        return
    value = context.graph.scalar(exponent)
    if value != 2:
        yield Breach("pow.exponent", "a tensor" if value is None else f"{value:g}")


def minimum(context: Context) -> Iterator[Breach]:
    """Min: not of two masks, and not behind a floor of zero, which is taken for Relu."""
    makers = [context.graph.producer(name) for name in context.node.inputs]
    if context.node.op == "Min":
        for maker in makers:
            if maker is not None and maker.op in ("Clip", "Max") and _floor_is_zero(context, maker):
                yield Breach("min.after-zero-floor", maker.name)
    uncast = [
        context.graph.producer(maker.input(0)) if maker is not None and maker.op == "Cast" else maker
        for maker in makers
    ]
    if len(uncast) > 1 and all(maker is not None and maker.op in _MASKS for maker in uncast):
        yield Breach("min.of-masks", " and ".join(maker.name for maker in uncast if maker is not None))
    yield from broadcast(context)


def _floor_is_zero(context: Context, maker: Node) -> bool:
    if maker.op == "Max":
        return any(context.graph.scalar(item) == 0.0 for item in maker.inputs)
    low = context.graph.scalar(maker.input(1)) if maker.input(1) else maker.attribute("min")
    return low == 0.0


def variadic_sum(context: Context) -> Iterator[Breach]:
    """Sum: two operands are expected."""
    if len(context.node.inputs) > 2:
        yield Breach("sum.operands", str(len(context.node.inputs)))
    yield from broadcast(context)


PREDICATES: dict[str, Predicate] = {
    "Add": broadcast,
    "Sub": broadcast,
    "Mul": multiply,
    "Div": divide,
    "Pow": power,
    "Min": minimum,
    "Max": minimum,
    "Sum": variadic_sum,
    "Equal": equal,
    "Greater": broadcast,
    "Less": broadcast,
}
