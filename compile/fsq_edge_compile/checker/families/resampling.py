"""Resize, padding and space/depth shuffles."""

from __future__ import annotations

from collections.abc import Iterator

from fsq_edge_compile.checker.families.predicate import Breach, Context, Predicate, text

MEASURED_FACTOR = 2.0


def resize(context: Context) -> Iterator[Breach]:
    """Resize: rank 4, over space, with constant scales; nearest and bilinear."""
    node, graph = context.node, context.graph
    if context.rank() not in (4, None):
        yield Breach("resize.rank", text(context.shape()))
        return
    mode = str(node.attribute("mode", "nearest"))
    if mode not in ("nearest", "linear"):
        yield Breach("resize.mode", mode)
    if graph.opset > 10 and node.input(3):
        yield Breach("resize.sizes")
    factors = _factors(context)
    if factors is None:
        yield Breach("resize.computed-scales", node.input(3) or node.input(2))
        return
    if factors[:2] != (1.0, 1.0):
        yield Breach("resize.axes", f"factors {_listed(factors)}")
    if mode == "linear" and max(factors[2:]) > MEASURED_FACTOR:
        yield Breach("resize.large-bilinear", _listed(factors))
    elif any(factor not in (1.0, MEASURED_FACTOR) for factor in factors[2:]):
        yield Breach("resize.beyond-measured", _listed(factors))
    coordinates = str(node.attribute("coordinate_transformation_mode", "half_pixel"))
    if mode == "linear" and coordinates not in ("half_pixel", "pytorch_half_pixel"):
        yield Breach("resize.coordinates", coordinates)


def _factors(context: Context) -> tuple[float, ...] | None:
    """Return the scale of every axis from scales, sizes or the two shapes; None when computed at run time."""
    node, graph = context.node, context.graph
    for index in (1, 2, 3) if graph.opset > 10 else (1,):
        name = node.input(index)
        if name and not graph.is_constant(name):
            return None
    before, after = context.shape(), graph.shape(node.outputs[0])
    if before is None or after is None or len(before) != len(after):
        return None
    factors = []
    for old, new in zip(before, after, strict=True):
        if not old or not new:
            return None
        factors.append(new / old)
    return tuple(factors)


def _listed(factors: tuple[float, ...]) -> str:
    return "x".join(f"{factor:g}" for factor in factors)


def pad(context: Context) -> Iterator[Breach]:
    """Pad: constant zeros around the map."""
    node, graph = context.node, context.graph
    mode = str(node.attribute("mode", "constant"))
    if mode != "constant":
        yield Breach("pad.mode", mode)
    value = graph.scalar(node.input(2)) if node.input(2) else float(node.attribute("value", 0.0))
    if value != 0.0:
        yield Breach("pad.value", "computed" if value is None else f"{value:g}")
    pads = graph.integers(node, 1, "pads")
    if pads is None:
        yield Breach("pad.computed", node.input(1))
        return
    rank = context.rank() or 0
    if len(pads) != 2 * rank:
        return
    channel = context.channel() or 0
    touched = [axis for axis in range(rank) if pads[axis] or pads[axis + rank]]
    if any(axis in (0, channel) for axis in touched):
        yield Breach("pad.axes", f"axes {touched}")
    if any(size < 0 for size in pads):
        yield Breach("pad.negative", str(list(pads)))


def depth_to_space(context: Context) -> Iterator[Breach]:
    """DepthToSpace: the two orders of the channels were not told apart by any report."""
    yield Breach("depth-to-space.order", str(context.node.attribute("mode", "DCR")))


PREDICATES: dict[str, Predicate] = {
    "Resize": resize,
    "Pad": pad,
    "DepthToSpace": depth_to_space,
}
