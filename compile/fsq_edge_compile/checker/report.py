"""What a check returns: findings as data, a verdict, and where to cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from fsq_edge_compile.checker.cut import Work
from fsq_edge_runtime.findings import Confidence, NodeFinding, Severity, Stage, Support

__all__ = [
    "CONFIDENCE_ORDER",
    "EXIT_CODES",
    "CheckReport",
    "Confidence",
    "Finding",
    "NodeVerdict",
    "Severity",
    "Stage",
    "Support",
    "Verdict",
]

Verdict = Literal["full", "cut", "none"]

SCHEMA_VERSION = 1
EXIT_CODES: dict[Verdict, int] = {"full": 0, "cut": 1, "none": 2}
CONFIDENCE_ORDER: dict[str, int] = {"high": 2, "medium": 1, "low": 0}


# The public name of a check's findings; the ground floor has the class.
Finding = NodeFinding
_FIELDS = (
    "rule",
    "severity",
    "support",
    "stage",
    "node",
    "op",
    "message",
    "limit",
    "actual",
    "fix",
    "source",
    "confidence",
)


@dataclass(frozen=True, slots=True)
class NodeVerdict:
    """Where one node of the normalised graph runs.

    Attributes:
        name: node name.
        op: operator type.
        accepted: no error finding names the node.
        device: the node is part of the device graph (accepted, and not behind a cut).
    """

    name: str
    op: str
    accepted: bool
    device: bool


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The verdict on one model for one target.

    Attributes:
        model: file name, or the graph's name for an in-memory model.
        arch: target architecture.
        dfc: compiler version or generation that the rules were read for.
        verdict: ``full`` all of it runs on the device, ``cut`` a device part exists, ``none`` nothing does.
        confidence: the weakest evidence that the verdict rests on.
        start_nodes: first nodes of the device part, by their names in the user's file.
        end_nodes: last nodes of the device part: accepted nodes that feed a refused node or a graph output.
        nodes: every node of the normalised graph, in topological order.
        findings: errors first, then warnings, then infos, each in graph order.
        simplifier: what normalised the graph.
        macs: multiply-accumulates of the graph and of its device part.
        lowered_by: the node and the evidence that keep the confidence below high; empty for high.
        chips: where the public record tells chips apart for what this graph holds; empty where it does not.
    """

    model: str
    arch: str
    dfc: str
    verdict: Verdict
    confidence: Confidence
    start_nodes: tuple[str, ...]
    end_nodes: tuple[str, ...]
    nodes: tuple[NodeVerdict, ...]
    findings: tuple[Finding, ...]
    simplifier: str = field(default="built-in")
    macs: Work = field(default_factory=Work)
    lowered_by: str = ""
    chips: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 full, 1 cut, 2 none."""
        return EXIT_CODES[self.verdict]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that end the device part."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings to look at that leave the verdict alone."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    def to_dict(self) -> dict[str, Any]:
        """Return the report as the JSON object of the command line, schema version 1."""
        device = sum(node.device for node in self.nodes)
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "arch": self.arch,
            "dfc": self.dfc,
            "verdict": self.verdict,
            "confidence": self.confidence,
            "start_nodes": list(self.start_nodes),
            "end_nodes": list(self.end_nodes),
            "nodes": {"total": len(self.nodes), "device": device, "host": len(self.nodes) - device},
            "findings": [finding.to_dict(*_FIELDS) for finding in self.findings],
            "macs": {"total": self.macs.total, "device": self.macs.device},
            "lowered_by": self.lowered_by,
            "chips": list(self.chips),
        }
