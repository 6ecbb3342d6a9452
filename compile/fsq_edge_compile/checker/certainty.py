"""How sure a verdict is, what makes it less sure, and whether chips are known to differ.

The confidence says what the verdict rests on, not how it turned out: ``high`` where the public record has met every
step, ``medium`` where one kind of step goes beyond the record, ``low`` where two do or where nobody reported the
operator that decides. How often each level was right is measured on the survey of networks.
"""

from __future__ import annotations

from collections.abc import Iterator

from fsq_edge_compile.checker.cut import HEAVY, Cut
from fsq_edge_compile.checker.graph import Graph
from fsq_edge_compile.checker.judge import Judgement
from fsq_edge_compile.checker.report import CONFIDENCE_ORDER
from fsq_edge_compile.checker.statistics import node_size
from fsq_edge_compile.checker.targets import Target
from fsq_edge_runtime.findings import Confidence, NodeFinding

# The networks that 3.x was reported to take were exported at opsets 11 to 17, and the documents of 5.3 list 15 to 21.
# What exporters write at a newer one for the same moves of data, attention above all, nobody has reported.
LAST_RECORDED_OPSET = {"3.x": 17, "5.x": 21}
# A cut that leaves more of the weights than this to the host goes through the network, not behind its heads.
WEIGHTS_ON_HOST = 1e-3
# Rules that refuse a move because of where the channels seem to be: as right as that deduction.
_LAYOUT_RULES = (
    "reshape.",
    "transpose.",
    "squeeze.",
    "gather.batch",
    "slice.",
    "split.",
    "concat.",
    "elementwise.",
    "softmax.axis",
    "tensor.rank",
)
_LEVELS: tuple[Confidence, ...] = ("high", "medium", "low")


def confidence_of(
    graph: Graph, judgement: Judgement, cut: Cut, file_findings: list[NodeFinding], target: Target
) -> tuple[Confidence, str]:
    """Return the confidence of a verdict and what lowers it.

    A cut is as sure as the surest reason to stop: where several nodes are refused at first hand, one that is refused
    for certain is enough.

    Returns:
        the confidence, and the nodes and rules behind it; empty text for high.
    """
    errors = [finding for finding in file_findings if finding.severity == "error"]
    if errors:
        return _of_doubts(list(_doubts_of_refusal(max(errors, key=_rank))))
    blockers = first_blockers(graph, judgement)
    if not blockers or cut.complete:
        return _of_doubts(list(_doubts_of_device(graph, judgement, cut, target)))
    surest = max(blockers, key=_rank)
    doubts = list(_doubts_of_refusal(surest))
    if all(finding.rule.startswith(_LAYOUT_RULES) for finding in blockers) and _cuts_through(graph, cut):
        doubts.append(f"{surest.node} ({surest.rule}): the network is cut by its layout alone")
        if unrecorded := _unrecorded(graph, target):
            doubts.append(f"{surest.node} ({surest.op}): {unrecorded}")
    return _of_doubts(doubts)


def _of_doubts(doubts: list[str]) -> tuple[Confidence, str]:
    return _LEVELS[min(len(doubts), 2)], "; ".join(dict.fromkeys(doubts))


def _doubts_of_refusal(finding: NodeFinding) -> Iterator[str]:
    """Yield one doubt for a rule of medium evidence, two for a guess or an operator that nobody reported."""
    where = f"{finding.node or 'file'} ({finding.rule})"
    yield from [where] * (2 - _rank(finding))


def _doubts_of_device(graph: Graph, judgement: Judgement, cut: Cut, target: Target) -> Iterator[str]:
    """Yield a doubt for evidence from elsewhere, and one for a spelling that no report has."""
    nodes = [node for node in graph.nodes if node.name in cut.device]
    foreign = next((node for node in nodes if node.name in judgement.foreign), None)
    weak = next((node for node in nodes if judgement.confidence.get(node.name) == "low"), None)
    if foreign is not None:
        yield f"{foreign.name} ({foreign.op}): reported for {', '.join(judgement.foreign[foreign.name])} only"
    elif weak is not None:
        yield f"{weak.name} ({weak.op}): no run was reported"
    moving = next((node for node in nodes if node.op == "Transpose"), None)
    if moving is not None and (unrecorded := _unrecorded(graph, target)):
        yield f"{moving.name} ({moving.op}): {unrecorded}"


def _unrecorded(graph: Graph, target: Target) -> str:
    """Return in words that the opset is newer than any in the compiler's record; an empty string when it is not."""
    last = LAST_RECORDED_OPSET[target.generation]
    return f"written at opset {graph.opset}, and public reports end at {last}" if graph.opset > last else ""


def _cuts_through(graph: Graph, cut: Cut) -> bool:
    """Whether layers with more than a trace of the weights are left to the host."""
    sizes = {node.name: node_size(graph, node).parameters for node in graph.nodes if node.op in HEAVY}
    left = sum(size for name, size in sizes.items() if name not in cut.device)
    return left > WEIGHTS_ON_HOST * sum(sizes.values())


def _rank(finding: NodeFinding) -> int:
    return CONFIDENCE_ORDER[finding.confidence] if finding.support != "unknown" else 0


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
