"""Activation functions whose parameters or axis matter."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fsq_edge_compile.checker.families.predicate import Breach, Context, Predicate, text
from fsq_edge_compile.checker.graph import positive_axis
from fsq_edge_compile.checker.ranges import range_of


def softmax(context: Context) -> Iterator[Breach]:
    """Softmax and LogSoftmax: over the channels. Attention's own softmax is a pattern."""
    rank, channel = context.rank(), context.channel()
    if rank is None or channel is None:
        return
    default = -1 if context.graph.opset >= 13 else 1
    axis = positive_axis(int(context.node.attribute("axis", default)), rank)
    if axis != channel:
        yield Breach("softmax.axis", f"axis {axis} of {text(context.shape())}", f"axis {channel}")


def prelu(context: Context) -> Iterator[Breach]:
    """PRelu: one shared slope, or one a channel written [C, 1, 1]."""
    slope = context.shape(1)
    if not context.graph.is_constant(context.node.input(1)):
        yield Breach("prelu.computed-slope", context.node.input(1))
    elif slope is not None and len(slope) == 1 and (slope[0] or 0) > 1 and (context.rank() or 0) > 2:
        yield Breach("prelu.flat-slope", text(slope))


def elu(context: Context) -> Iterator[Breach]:
    """Elu: alpha 1 was measured."""
    alpha = float(context.node.attribute("alpha", 1.0))
    if alpha != 1.0:
        yield Breach("elu.alpha", f"{alpha:g}")


def hard_sigmoid(context: Context) -> Iterator[Breach]:
    """HardSigmoid: torch's 1/6 and 0.5 were measured; the ONNX and Keras default of 0.2 was not."""
    alpha, beta = float(context.node.attribute("alpha", 0.2)), float(context.node.attribute("beta", 0.5))
    if not math.isclose(alpha, 1 / 6, rel_tol=1e-3) or not math.isclose(beta, 0.5, rel_tol=1e-3):
        yield Breach("hard-sigmoid.slope", f"alpha {alpha:g}, beta {beta:g}")


def hard_swish(context: Context) -> Iterator[Breach]:
    """HardSwish as one operator: documented as its pattern, which a parser makes of it at once."""
    yield Breach("activation.hard-swish", context.node.op)


def single_operator(context: Context) -> Iterator[Breach]:
    """Mish and Gelu as one operator: only their patterns were seen."""
    yield Breach("activation.single-operator", context.node.op)


def clip(context: Context) -> Iterator[Breach]:
    """Clip: constant bounds."""
    for index in (1, 2):
        name = context.node.input(index)
        if name and not context.graph.is_constant(name):
            yield Breach("clip.computed-bounds", name)


def positive_input(context: Context) -> Iterator[Breach]:
    """Log, Sqrt and Reciprocal: every calibration sample has to be above zero here."""
    low = range_of(context.graph, context.node.input(0)).low
    if low <= 0:
        yield Breach("math.input-not-positive", "no lower bound known" if low == -math.inf else f"lower bound {low:g}")


def exponential(context: Context) -> Iterator[Breach]:
    """Exp: the 8-bit error grows with the output span."""
    if range_of(context.graph, context.node.input(0)).high == math.inf:
        yield Breach("exp.unbounded", "no upper bound known")


PREDICATES: dict[str, Predicate] = {
    "Softmax": softmax,
    "LogSoftmax": softmax,
    "PRelu": prelu,
    "Elu": elu,
    "HardSigmoid": hard_sigmoid,
    "Clip": clip,
    "HardSwish": hard_swish,
    "Mish": single_operator,
    "Gelu": single_operator,
    "Log": positive_input,
    "Sqrt": positive_input,
    "Reciprocal": positive_input,
    "Exp": exponential,
}
