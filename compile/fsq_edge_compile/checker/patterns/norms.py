"""Normalisations that exporters spell with several operators."""

from __future__ import annotations

from fsq_edge_compile.checker.families.normalisation import untracked_layout
from fsq_edge_compile.checker.families.predicate import Breach, text
from fsq_edge_compile.checker.graph import Graph, Node, positive_axis
from fsq_edge_compile.checker.patterns.matching import Claim, Claims, claim_all, is_value, maker, reader


def layer_norm(graph: Graph, channels: dict[str, int], root: Node) -> Claims:
    """LayerNorm: mean, difference, square, mean, epsilon, root, quotient, over the channels or over [C, H, W]."""
    epsilon = maker(graph, root.input(0), "Add")
    variance = (
        next((found for name in epsilon.inputs if (found := maker(graph, name, "ReduceMean"))), None)
        if epsilon
        else None
    )
    square = maker(graph, variance.input(0), "Pow") if variance is not None else None
    if epsilon is None or variance is None or square is None or not is_value(graph, square.input(1), 2.0):
        return {}
    quotient = reader(graph, root, "Div")
    difference = maker(graph, square.input(0), "Sub")
    if quotient is None or difference is None:
        return {}
    # Older exporters subtract the mean twice, once for the square and once for the quotient.
    again = maker(graph, quotient.input(0), "Sub")
    mean = maker(graph, difference.input(1), "ReduceMean")
    if again is None or mean is None or mean.input(0) != difference.input(0) != "" or again.inputs != difference.inputs:
        return {}
    source = mean.input(0)
    breaches = _axis_breaches(graph, channels, mean, source)
    lost = tuple(untracked_layout(graph, source))
    claim = Claim("layer-norm", row="LayerNormalization")
    claims = claim_all((mean, difference, again, square, variance, epsilon, root, quotient), claim)
    claims[mean.name] = Claim(claim.pattern, row=claim.row, breaches=breaches + lost)
    return claims


def _axis_breaches(graph: Graph, channels: dict[str, int], mean: Node, source: str) -> tuple[Breach, ...]:
    rank, channel = graph.rank(source), channels.get(source)
    given = graph.integers(mean, 1, "axes")
    if rank is None or channel is None or given is None:
        return ()
    axes = tuple(sorted(positive_axis(axis, rank) for axis in given))
    if axes == (channel,) or axes == tuple(range(1, rank)):
        return ()
    return (Breach("layer-norm.axis", f"axes {list(axes)} of {text(graph.shape(source))}", f"axis {channel}"),)


def group_norm(graph: Graph, channels: dict[str, int], norm: Node) -> Claims:
    """GroupNorm as torch writes it: Reshape to groups, InstanceNormalization, Reshape back."""
    grouped, back = maker(graph, norm.input(0), "Reshape"), reader(graph, norm, "Reshape")
    if grouped is None or back is None or graph.rank(norm.input(0)) != 3:
        return {}
    if graph.shape(grouped.input(0)) != graph.shape(back.outputs[0]):
        return {}
    groups = (graph.shape(norm.input(0)) or (None, None))[1]
    member = Claim("group-norm", row="GroupNormalization")
    spelling = Claim(
        "group-norm", row="GroupNormalization", breaches=(Breach("group-norm.spelling", f"{groups} groups"),)
    )
    return {grouped.name: spelling, norm.name: member, back.name: member}
