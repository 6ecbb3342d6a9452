"""Consequences behind their causes: what the table says follows, and what only repeats another finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from fsq_edge_compile.explain.report import LogFinding
from fsq_edge_compile.explain.table import LogRow

MAX_CONSEQUENCES = 50


def fold(findings: Sequence[LogFinding], rows: Mapping[str, LogRow]) -> list[LogFinding]:
    """Put what follows from another finding behind it.

    Args:
        findings: in the order of the log.
        rows: the rows that made them, by id; an exception of no row has none.
    """
    kept = list(findings)
    for cause in findings:
        row = rows.get(cause.id)
        if row is not None and row.explains and cause.id in {finding.id for finding in kept}:
            kept = _moved(kept, cause, [finding for finding in kept if finding.id in row.explains])
    for stage in {finding.stage for finding in kept}:
        same = [finding for finding in kept if finding.stage == stage]
        general = [finding for finding in same if _general(finding, rows)]
        if len(general) < len(same):
            kept = _moved(kept, next(finding for finding in same if finding not in general), general)
    return kept


def behind(finding: LogFinding, lines: Iterable[int]) -> LogFinding:
    """Return a finding with further lines that follow from it."""
    known = sorted({*finding.consequences, *lines} - {finding.line})
    return replace(finding, consequences=tuple(known[:MAX_CONSEQUENCES]))


def _general(finding: LogFinding, rows: Mapping[str, LogRow]) -> bool:
    row = rows.get(finding.id)
    return row.general if row is not None else finding.id.startswith("exception-")


def _moved(kept: list[LogFinding], cause: LogFinding, followers: list[LogFinding]) -> list[LogFinding]:
    def is_cause(finding: LogFinding) -> bool:
        return (finding.id, finding.line) == (cause.id, cause.line)

    moved = [finding for finding in followers if not is_cause(finding)]
    lines = list(_lines_of(moved))
    return [behind(finding, lines) if is_cause(finding) else finding for finding in kept if finding not in moved]


def _lines_of(findings: Iterable[LogFinding]) -> Iterator[int]:
    for finding in findings:
        yield finding.line
        yield from finding.consequences
