"""What the axes of a tensor hold after reshapes and transposes: batch, channels, or places in space or time.

Reshape, Transpose, Squeeze and Unsqueeze only move values. Followed symbolically, from the tensor that a real layer
made, they show whether the channels are still together and where each part of the space went. The compiler keeps
every tensor as [N, H, W, C], so [N, C, H, W], [N, H*W, C] and [N, C, H*W] are one tensor to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from fsq_edge_compile.checker.graph import Graph, Node, Shape, positive_axis

BATCH, CHANNELS, PLACES = "N", "C", "S"


@dataclass(frozen=True, slots=True)
class Part:
    """An axis of the starting tensor, or a factor of one.

    Attributes:
        kind: ``BATCH``, ``CHANNELS`` or ``PLACES``.
        order: place in the starting tensor, outer parts first; compares as tuples do.
        size: number of elements; never 1, because an axis of size 1 holds nothing.
    """

    kind: str
    order: tuple[int, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Axes:
    """The parts on every axis of a tensor.

    Attributes:
        start: name of the tensor that the parts refer to.
        axes: for each axis its parts from the outermost to the innermost; empty for an axis of size 1.
        total: all parts of the starting tensor.
    """

    start: str
    axes: tuple[tuple[Part, ...], ...]
    total: tuple[Part, ...]

    def kinds(self, axis: int) -> set[str]:
        """Return what an axis holds."""
        return {part.kind for part in self.axes[axis]}

    @property
    def places(self) -> tuple[Part, ...]:
        """The parts of the space."""
        return tuple(part for part in self.total if part.kind == PLACES)

    def axis_of_channels(self) -> int | None:
        """Return the axis that holds all channels and nothing else; None when there is none."""
        axes = [index for index, parts in enumerate(self.axes) if any(part.kind == CHANNELS for part in parts)]
        if len(axes) != 1 or self.kinds(axes[0]) != {CHANNELS} or not _rising(self.axes[axes[0]]):
            return None
        return axes[0]

    def main_axis(self) -> int | None:
        """Return the one axis that holds channels, with or without places; None when there are several."""
        axes = [index for index in range(len(self.axes)) if CHANNELS in self.kinds(index)]
        return axes[0] if len(axes) == 1 else None

    def channels_are_one(self) -> bool:
        """Whether the starting tensor has a single channel, which is then nowhere to be seen."""
        return not any(part.kind == CHANNELS for part in self.total)

    def keeps_batch(self) -> bool:
        """Whether the first axis is the batch and nothing else; a batch of 1 shows as an empty first axis."""
        batch = tuple(part for part in self.total if part.kind == BATCH)
        return bool(self.axes) and self.axes[0] == batch

    def keeps_places(self) -> bool:
        """Whether the places follow each other as in the starting tensor."""
        return _rising([part for parts in self.axes for part in parts if part.kind == PLACES])


def _rising(parts: list[Part] | tuple[Part, ...]) -> bool:
    return all(left.order < right.order for left, right in pairwise(parts))


def starting_axes(name: str, shape: Shape | None, channel: int | None) -> Axes | None:
    """Return the axes of a tensor that a real layer made; None when its shape or layout is not known."""
    if shape is None or channel is None or None in shape or 0 in shape:
        return None
    axes: list[tuple[Part, ...]] = []
    for index, size in enumerate(shape):
        kind = CHANNELS if index == channel else BATCH if index == 0 else PLACES
        axes.append((Part(kind, (index,), size),) if size and size > 1 else ())
    return Axes(name, tuple(axes), tuple(part for parts in axes for part in parts))


def moved(axes: Axes, graph: Graph, node: Node) -> Axes | None:
    """Return the axes behind a node that moves values; None when they cannot be followed."""
    if node.op == "Transpose":
        order = node.attribute("perm") or list(reversed(range(len(axes.axes))))
        if sorted(order) != list(range(len(axes.axes))):
            return None
        return Axes(axes.start, tuple(axes.axes[index] for index in order), axes.total)
    after = graph.shape(node.outputs[0])
    if after is None or None in after or 0 in after:
        return None
    if node.op in ("Squeeze", "Unsqueeze"):
        return _unit_axes(axes, graph, node, len(after))
    found = _regrouped([part for parts in axes.axes for part in parts], [size or 0 for size in after])
    return None if found is None else Axes(axes.start, found, axes.total)


def _unit_axes(axes: Axes, graph: Graph, node: Node, rank: int) -> Axes | None:
    """Squeeze and Unsqueeze touch only axes of size 1."""
    if node.op == "Unsqueeze":
        added = {positive_axis(axis, rank) for axis in graph.integers(node, 1, "axes") or ()}
        kept = iter(axes.axes)
        if rank != len(axes.axes) + len(added):
            return None
        return Axes(axes.start, tuple(() if index in added else next(kept) for index in range(rank)), axes.total)
    given = graph.integers(node, 1, "axes")
    gone = {positive_axis(axis, len(axes.axes)) for axis in given or ()} or {
        index for index, parts in enumerate(axes.axes) if not parts
    }
    left = tuple(parts for index, parts in enumerate(axes.axes) if index not in gone)
    return Axes(axes.start, left, axes.total) if len(left) == rank else None


def _regrouped(parts: list[Part], sizes: list[int]) -> tuple[tuple[Part, ...], ...] | None:
    """Deal the parts out over new axes, splitting those that span two; None when the sizes do not divide."""
    waiting = list(reversed(parts))
    axes: list[tuple[Part, ...]] = []
    for size in sizes:
        group: list[Part] = []
        while size > 1:
            if not waiting:
                return None
            part = waiting.pop()
            if size % part.size == 0:
                size //= part.size
                group.append(part)
            elif part.size % size == 0:
                group.append(Part(part.kind, (*part.order, 0), size))
                waiting.append(Part(part.kind, (*part.order, 1), part.size // size))
                size = 1
            else:
                return None
        axes.append(tuple(group))
    return None if waiting else tuple(axes)
