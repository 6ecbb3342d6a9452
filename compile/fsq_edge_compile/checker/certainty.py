"""How sure a verdict is, which finding makes it less sure, and whether chips are known to differ."""

from __future__ import annotations

from fsq_edge_compile.checker.cut import Cut
from fsq_edge_compile.checker.graph import Graph
from fsq_edge_compile.checker.judge import Judgement
from fsq_edge_compile.checker.report import CONFIDENCE_ORDER
from fsq_edge_runtime.findings import Confidence, NodeFinding


def confidence_of(
    graph: Graph, judgement: Judgement, cut: Cut, file_findings: list[NodeFinding]
) -> tuple[Confidence, str]:
    """Return the confidence of a verdict and what lowers it.

    A verdict of ``full`` is one level surer than the evidence behind its weakest operator: on the open survey it was
    right as often behind medium evidence as behind high. A cut is as sure as the surest reason to stop: where several
    nodes are refused at first hand, one that is refused for certain is enough.

    Returns:
        the confidence, and the node and rule behind it; empty text for high.
    """
    errors = [finding for finding in file_findings if finding.severity == "error"]
    if errors:
        return _named(max(errors, key=_rank))
    blockers = first_blockers(graph, judgement)
    if blockers and not cut.complete:
        return _named(max(blockers, key=_rank))
    levels = {name: judgement.confidence.get(name, "high") for name in cut.device}
    lowest = min(levels, key=lambda name: CONFIDENCE_ORDER[levels[name]], default="")
    if not lowest or levels[lowest] != "low":
        return "high", ""
    node = next(node for node in graph.nodes if levels.get(node.name) == levels[lowest])
    return "medium", f"{node.name} ({node.op})"


def _rank(finding: NodeFinding) -> int:
    return CONFIDENCE_ORDER[finding.confidence] if finding.support != "unknown" else -1


def _named(finding: NodeFinding) -> tuple[Confidence, str]:
    level: Confidence = "low" if finding.support == "unknown" else finding.confidence
    return level, "" if level == "high" else f"{finding.node or 'file'} ({finding.rule})"


def first_blockers(graph: Graph, judgement: Judgement) -> list[NodeFinding]:
    """Return the errors on nodes that no refused node comes before."""
    behind: set[str] = set()
    for node in graph.nodes:
        if any(before.name in judgement.refused or before.name in behind for before in graph.predecessors(node)):
            behind.add(node.name)
    return [finding for finding in judgement.findings if finding.severity == "error" and finding.node not in behind]


def chip_differences(judgement: Judgement) -> tuple[str, ...]:
    """Return in words where the public record tells chips or generations apart for what was met in the graph."""
    return tuple(
        f"{rule} on {chip}: {', '.join(f'{name} {value}' for name, value in changes.items())}"
        for rule, overrides in sorted(judgement.chips.items())
        for chip, changes in overrides.items()
    )
