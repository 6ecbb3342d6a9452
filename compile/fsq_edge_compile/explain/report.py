"""What a log says: findings as data, recommended end nodes, and the error lines that no row explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fsq_edge_runtime.findings import Confidence, Finding, Stage

SCHEMA_VERSION = 1
_FIELDS = ("line", "text", "id", "node", "layer", "op", "rule", "stage", "cause", "fix", "source", "confidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFinding(Finding):
    """One cause that a log shows, in plain words; the message is the cause, with the numbers of the line.

    Attributes:
        line: number in the log, from 1.
        text: the line, shortened.
        id: row of the table of log texts, or ``hailort.CODE`` for a status code.
        node: ONNX node that the line names; empty when it names none.
        layer: layer of the compiler's own network that the line names; empty when it names none.
        op: operator that it names; empty when it names none.
        rule: rule of ``check`` that says the same, or ``hailort.CODE``; empty when there is none.
        stage: compiler stage, or load.
        confidence: how far the evidence carries.
        consequences: numbers of the error lines that follow from this one, in order.
    """

    line: int
    text: str
    id: str
    node: str
    layer: str
    op: str
    stage: Stage
    confidence: Confidence
    consequences: tuple[int, ...] = ()

    @property
    def cause(self) -> str:
        """What is behind the line."""
        return self.message

    def to_dict(self, *names: str) -> dict[str, Any]:
        """Return the finding as plain JSON values: the named fields in that order, or all of the report's."""
        values = {name: getattr(self, name) for name in names or (*_FIELDS, "consequences")}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class LogReport:
    """What a log says.

    Attributes:
        findings: in the order of the log, each node, layer and cause once; a consequence is a line number of its cause.
        end_nodes: cut points that the compiler recommends; the last list in the log counts.
        unexplained: (number, text) of lines that look like an error and are not in the table.
    """

    findings: tuple[LogFinding, ...]
    end_nodes: tuple[str, ...]
    unexplained: tuple[tuple[int, str], ...]

    @property
    def exit_code(self) -> int:
        """0 every error line is explained or there is none, 1 some are not explained."""
        return 1 if self.unexplained else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the report as one JSON object, schema version 1."""
        return {
            "schema_version": SCHEMA_VERSION,
            "findings": [finding.to_dict() for finding in self.findings],
            "end_nodes": list(self.end_nodes),
            "unexplained": [{"line": number, "text": text} for number, text in self.unexplained],
        }
