"""Reads a compiler or HailoRT log and says which node, why, and what mends it. Needs nothing but the rule table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from fsq_edge_compile.checker.report import Confidence, Stage
from fsq_edge_compile.checker.rulebook import Rule, rulebook
from fsq_edge_runtime.status import STATUS, describe

SCHEMA_VERSION = 1
MAX_LINE = 4000
MAX_FINDINGS = 500

_ERROR_IN_NODE = re.compile(r"(?P<kind>[A-Z]\w*(?:Error|Exception))(?: in op (?P<node>[^\s:]+))?:")
_END_NODES = re.compile(r"using these end node names:\s*(?P<names>.+)")
# "error: 74 (HAILO_OUT_OF_PHYSICAL_DEVICES)", "status=36", "HAILO_TIMEOUT(4)", "failed with status 26".
_STATUS = re.compile(
    r"(?:HAILO_(?P<name>[A-Z][A-Z0-9_]+?)\((?P<after>\d{1,2})\)"
    r"|\b(?:status|error)\s*[:=]?\s*(?:HAILO_[A-Z0-9_]+\s*\()?(?P<code>\d{1,2})\b(?!\s*\.)"
    r"|\bHAILO_(?P<bare>[A-Z][A-Z0-9_]+)\b)"
)
_LOOKS_LIKE_TROUBLE = re.compile(r"\b\w*[a-z](?:Error|Exception)\b|HailoRT\W+(?:error|critical)")
_FROM_HAILORT = re.compile(r"HailoRT|HAILO_|hailort|CHECK", re.I)


@dataclass(frozen=True, slots=True)
class LogFinding:
    """One line of a log in plain words.

    Attributes:
        line: number in the log, from 1.
        text: the line, shortened.
        node: ONNX node that it names; empty when it names none.
        op: operator that it names; empty when it names none.
        rule: rule of the table that says the same; empty when there is none.
        stage: compiler stage, or load.
        cause: what is behind it.
        fix: what to change.
        source: where this is known from.
        confidence: how far the evidence carries.
    """

    line: int
    text: str
    node: str
    op: str
    rule: str
    stage: Stage
    cause: str
    fix: str
    source: str
    confidence: Confidence

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain JSON values."""
        return {name: getattr(self, name) for name in LogFinding.__slots__}


@dataclass(frozen=True, slots=True)
class LogReport:
    """What a log says.

    Attributes:
        findings: in the order of the log, each node and cause once.
        end_nodes: cut points that the compiler recommends; the last list in the log counts.
        unexplained: (number, text) of lines that look like an error and are not in the table.
    """

    findings: tuple[LogFinding, ...]
    end_nodes: tuple[str, ...]
    unexplained: tuple[tuple[int, str], ...]

    @property
    def exit_code(self) -> int:
        """0 every error line is explained, 1 some are not, 2 there are errors and none is explained."""
        if not self.unexplained:
            return 0
        return 1 if self.findings else 2

    def to_dict(self) -> dict[str, Any]:
        """Return the report as one JSON object, schema version 1."""
        return {
            "schema_version": SCHEMA_VERSION,
            "findings": [finding.to_dict() for finding in self.findings],
            "end_nodes": list(self.end_nodes),
            "unexplained": [{"line": number, "text": text} for number, text in self.unexplained],
        }


@dataclass(frozen=True, slots=True)
class LogLine:
    """One row of the table of log texts: a pattern and either a rule or a cause and fix of its own."""

    id: str
    pattern: re.Pattern[str]
    stage: Stage
    rule: str
    cause: str
    fix: str
    source: str
    confidence: Confidence


@cache
def log_lines() -> tuple[LogLine, ...]:
    """Return the table of log texts that ships with the package, read once."""
    path = resources.files(__package__).joinpath("data", "log_lines.json")
    table = json.loads(path.read_text(encoding="utf-8"))
    book = rulebook()
    sources = {**book.sources, **table["sources"]}
    rows = []
    for item in table["lines"]:
        rule: Rule | None = book.rules[item["rule"]] if "rule" in item else None
        rows.append(
            LogLine(
                id=item["id"],
                pattern=re.compile(item["pattern"]),
                stage=item["stage"],
                rule=rule.id if rule else "",
                cause=item["cause"],
                fix=item.get("fix") or (rule.fix.format(op="the operator", limit=rule.limit) if rule else ""),
                source=book.source_text(rule) if rule else "; ".join(sources[code] for code in item["sources"]),
                confidence=rule.confidence if rule else item["confidence"],
            )
        )
    return tuple(rows)


def explain_log(lines: Iterable[str]) -> LogReport:
    """Read a log line by line.

    Args:
        lines: of a DFC or HailoRT log, with or without line ends; each is cut at ``MAX_LINE`` characters.
    """
    findings: dict[tuple[str, str, str], LogFinding] = {}
    unexplained: dict[str, int] = {}
    end_nodes: tuple[str, ...] = ()
    for number, raw in enumerate(lines, start=1):
        line = raw[:MAX_LINE].strip()
        recommended = _END_NODES.search(line)
        if recommended:
            end_nodes = tuple(name.strip(" .'\"") for name in recommended["names"].split(",") if name.strip(" .'\""))
        found = _explain(number, line)
        if found is not None and len(findings) < MAX_FINDINGS:
            findings.setdefault((found.node, found.rule, found.cause), found)
        elif found is None and _LOOKS_LIKE_TROUBLE.search(line) and len(unexplained) < MAX_FINDINGS:
            unexplained.setdefault(line[:300], number)
    if any(finding.node for finding in findings.values()):
        # The envelope says nothing more once its nodes are known.
        envelope = next(row.cause for row in log_lines() if row.id == "recommendation")
        findings = {key: finding for key, finding in findings.items() if finding.cause != envelope}
    return LogReport(tuple(findings.values()), end_nodes, tuple((number, text) for text, number in unexplained.items()))


def _explain(number: int, line: str) -> LogFinding | None:
    if not line:
        return None
    named = _ERROR_IN_NODE.search(line)
    node = (named["node"] or "") if named else ""
    for row in log_lines():
        match = row.pattern.search(line)
        if match:
            return _from_row(number, line, node, row, match.groupdict().get("op") or "")
    return _from_status(number, line)


def _from_row(number: int, line: str, node: str, row: LogLine, op: str) -> LogFinding:
    operator = rulebook().operators.get(op)
    rule = operator.rule if operator is not None else None
    return LogFinding(
        line=number,
        text=line[:300],
        node=node,
        op=op,
        rule=rule.id if rule else row.rule,
        stage=row.stage,
        cause=f"{op}: {row.cause}" if op else row.cause,
        fix=(rule.fix if rule and rule.fix else row.fix),
        source=row.source,
        confidence=row.confidence,
    )


def _from_status(number: int, line: str) -> LogFinding | None:
    """Explain a HailoRT status, by number or by name."""
    if not _FROM_HAILORT.search(line):
        return None
    for match in _STATUS.finditer(line):
        code = _status_code(match)
        if code:
            status = describe(code)
            return LogFinding(
                line=number,
                text=line[:300],
                node="",
                op="",
                rule=f"hailort.{code}",
                stage="load",
                cause=str(status),
                fix=status.fix,
                source="HailoRT's public status codes; causes from runs without a device and public reports",
                confidence="medium",
            )
    return None


def _status_code(match: re.Match[str]) -> int:
    number = match["after"] or match["code"]
    if number is not None:
        return int(number)
    return next((code for code, status in STATUS.items() if status.name.removeprefix("HAILO_") == match["bare"]), 0)
