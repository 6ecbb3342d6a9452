"""Pooling over maps."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fsq_edge_compile.checker.families.predicate import Breach, Context, Predicate, text
from fsq_edge_compile.checker.operators import MOVES

# Source: the zoo's scripts reduce the pools of networks whose last map is larger than the usual 7x7.
LARGE_POOL = 49
MEASURED_MAX_POOLS = {((2, 2), (2, 2)), ((3, 3), (2, 2)), ((5, 5), (1, 1))}


def max_pool(context: Context) -> Iterator[Breach]:
    """MaxPool: 2-D, without the Indices output."""
    node = context.node
    if context.rank() not in (4, None):
        yield Breach("pool.rank", text(context.shape()))
    if (
        len(node.outputs) > 1
        and node.outputs[1]
        and (context.graph.consumers(node.outputs[1]) or node.outputs[1] in context.graph.outputs)
    ):
        yield Breach("max-pool.indices", node.outputs[1])
    kernel = tuple(node.attribute("kernel_shape") or ())
    strides = tuple(node.attribute("strides") or (1,) * len(kernel))
    odd = []
    if (kernel, strides) not in MEASURED_MAX_POOLS:
        odd.append(f"kernel {text(kernel)}, strides {list(strides)}")
    if any(dilation != 1 for dilation in node.attribute("dilations") or ()):
        odd.append(f"dilations {node.attribute('dilations')}")
    if odd:
        yield Breach("max-pool.beyond-measured", ", ".join(odd))


def average_pool(context: Context) -> Iterator[Breach]:
    """AveragePool: 2-D; padding and rounding corners were not measured."""
    node = context.node
    if context.rank() not in (4, None):
        yield Breach("pool.tokens" if _is_between_moves(context) else "pool.rank", text(context.shape()))
    padded = any(node.attribute("pads") or ())
    odd = []
    if padded and not node.attribute("count_include_pad", 0):
        odd.append("padding that does not count")
    if node.attribute("ceil_mode", 0):
        odd.append("ceil_mode=1")
    if odd:
        yield Breach("average-pool.corner", ", ".join(odd))
    kernel = tuple(node.attribute("kernel_shape") or ())
    if math.prod(kernel) > LARGE_POOL:
        yield Breach("average-pool.large", text(kernel))


def _is_between_moves(context: Context) -> bool:
    """Whether the pool works on tokens that were turned round for it."""
    before = context.graph.producer(context.node.input(0))
    follows = context.feeds(*MOVES, "BatchNormalization", "LayerNormalization")
    return context.rank() == 3 and before is not None and before.op in MOVES and follows


def global_average_pool(context: Context) -> Iterator[Breach]:
    """GlobalAveragePool: rank 4, or 5 behind 3-D convolutions."""
    if context.rank() not in (4, 5, None):
        yield Breach("pool.tokens" if _is_between_moves(context) else "pool.rank", text(context.shape()))
    space = [size or 0 for size in (context.shape() or ())[2:]]
    if math.prod(space) > LARGE_POOL:
        yield Breach("average-pool.large", text(tuple(space)))


PREDICATES: dict[str, Predicate] = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
}
