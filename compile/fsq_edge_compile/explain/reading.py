"""Reads a log line by line and says what is behind its errors: which node or layer, why, and how to fix it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from fsq_edge_compile.checker.rulebook import rulebook
from fsq_edge_compile.explain.report import LogFinding, LogReport
from fsq_edge_compile.explain.table import LogRow, LogTable, log_table
from fsq_edge_runtime.status import STATUS, describe

MAX_LINE = 4000
MAX_FINDINGS = 500
MAX_SEARCHED = 600  # characters of a line that patterns see: what a line means stands at its start
MAX_CONSEQUENCES = 50
SHOWN_TEXT = 300
MAX_DISTANCE = 3  # lines from HailoRT's own words to the status line that repeats them

# Docker, journald and loguru put one or two time stamps before the program's own line.
_STAMPS = re.compile(r"^(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,\d]*(?:Z|[+-]\d\d:?\d\d)?\]?\s?)+")
_ERROR_IN_NODE = re.compile(r"(?P<kind>[A-Z]\w*(?:Error|Exception))(?: in op (?P<node>[^\s:]+))?:")
_END_NODES = re.compile(r"using these end node names:\s*(?P<names>.+)", re.IGNORECASE)
_OWN_WORDS = re.compile(r"^\[HailoRT[^]]*\]\s*\[(?:error|critical)\]\s*(?:CHECK\w* failed - )?(?P<said>.+)")
_TRACEBACK = re.compile(r"Traceback \(most recent call last\)")
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(?::|$)")


@dataclass(slots=True)
class _Reading:
    """What was read so far; ``in_traceback`` is True until the exception at the end of a Python traceback."""

    table: LogTable
    findings: dict[tuple[str, str, str, str], LogFinding] = field(default_factory=dict)
    rows: dict[str, LogRow] = field(default_factory=dict)
    envelopes: list[LogFinding] = field(default_factory=list)
    unexplained: dict[str, int] = field(default_factory=dict)
    end_nodes: tuple[str, ...] = ()
    in_traceback: bool = False

    def take(self, number: int, raw: str) -> None:
        """Read one line."""
        line = _STAMPS.sub("", raw[:MAX_LINE].rstrip())
        raised = self._ends_traceback(line)
        recommended = _END_NODES.search(line)
        if recommended:
            names = (name.strip(" .'\"[]") for name in recommended["names"].split(","))
            self.end_nodes = tuple(name for name in names if name)
        line = line.strip()[:MAX_SEARCHED]
        if not line or any(pattern.search(line) for pattern in self.table.harmless):
            return
        row, found = explain_line(number, line)
        if row is not None and row.envelope and found is not None:
            self.envelopes.append(found)
        elif found is not None:
            self._add(found if row is not None else self._with_own_words(found), row)
        elif len(self.unexplained) < MAX_FINDINGS and (raised or self._is_trouble(line)):
            self.unexplained.setdefault(line[:SHOWN_TEXT], number)

    def _with_own_words(self, status: LogFinding) -> LogFinding:
        """Put HailoRT's own words, which stand just before its status line, into that line's cause."""
        near = [(text, number) for text, number in self.unexplained.items() if 0 < status.line - number <= MAX_DISTANCE]
        own = [(match["said"], text, number) for text, number in near if (match := _OWN_WORDS.search(text))]
        if not own:
            return status
        for _, text, _ in own:
            del self.unexplained[text]
        cause = f'HailoRT says: "{own[0][0]}"; its status is {status.cause}'
        return _behind(replace(status, message=cause), [number for _, _, number in own])

    def _is_trouble(self, line: str) -> bool:
        return any(pattern.search(line) for pattern in self.table.trouble)

    def _add(self, found: LogFinding, row: LogRow | None) -> None:
        if row is not None:
            self.rows[row.id] = row
        key = (found.node, found.layer, found.rule or found.id, found.cause)
        if row is None and not found.consequences:  # a bare status repeats what HailoRT said with words before
            key = next((known for known in reversed(self.findings) if known[2] == found.id), key)
        if key in self.findings:
            self.findings[key] = _behind(self.findings[key], [found.line])
        elif len(self.findings) < MAX_FINDINGS:
            self.findings[key] = found

    def _ends_traceback(self, line: str) -> bool:
        """Whether this line is the exception of a traceback, whatever its class is called."""
        if _TRACEBACK.search(line):
            self.in_traceback = True
            return False
        if self.in_traceback and line and not line[0].isspace():
            self.in_traceback = False
            return bool(_RAISED.match(line))
        return False

    def report(self) -> LogReport:
        """Return what was read, consequences behind their causes."""
        findings = _fold(list(self.findings.values()), self.rows)
        if findings:
            findings[0] = _behind(findings[0], [envelope.line for envelope in self.envelopes])
        elif self.envelopes:
            findings = [_behind(self.envelopes[0], [envelope.line for envelope in self.envelopes[1:]])]
        return LogReport(
            tuple(findings), self.end_nodes, tuple((number, text) for text, number in self.unexplained.items())
        )


def explain_log(lines: Iterable[str]) -> LogReport:
    """Read a log line by line.

    Args:
        lines: of a DFC, HailoRT, kernel or package log, with or without line ends; each is cut at ``MAX_LINE``
            characters.

    Cost: about 0.6 ms a line that is not of level info.
    """
    reading = _Reading(log_table())
    for number, raw in enumerate(lines, start=1):
        reading.take(number, raw)
    return reading.report()


def explain_line(number: int, line: str) -> tuple[LogRow | None, LogFinding | None]:
    """Return the row that explains a line and what it says; the row is None for a bare status code of HailoRT.

    Args:
        number: of the line in its log, from 1.
        line: without time stamp.
    """
    table = log_table()
    for row in table.rows:
        match = row.pattern.search(line)
        if match:
            return row, _from_row(number, line, row, match, table)
    code = status_code(line)
    if not code:
        return None, None
    status = describe(code)
    name = f"hailort.{code}"
    source = "HailoRT's public status codes; causes from runs without a device and public reports"
    return None, LogFinding(
        line=number,
        text=line[:SHOWN_TEXT],
        id=name,
        node="",
        layer="",
        op="",
        rule=name,
        severity="error",
        stage="load",
        message=str(status),
        fix=status.fix,
        source=source,
        confidence="medium",
    )


def _from_row(number: int, line: str, row: LogRow, match: re.Match[str], table: LogTable) -> LogFinding:
    named = _ERROR_IN_NODE.search(line)
    groups = {name: value for name, value in match.groupdict().items() if value}
    op, layer = groups.get("op", ""), groups.get("layer", "").strip("'\"")
    operator = rulebook().operators.get(op)
    rule = operator.rule if operator is not None else None
    if layer:
        kind = table.kind(layer)
        groups |= {"layer": layer, "kind": kind.name, "advice": kind.advice}
    cause = _filled(row.cause, groups)
    return LogFinding(
        line=number,
        text=line[:SHOWN_TEXT],
        id=row.id,
        node=(groups.get("node") or (named["node"] if named else "") or ""),
        layer=layer,
        op=op,
        rule=rule.id if rule else row.rule,
        severity="error",
        stage=row.stage,
        message=f"{op}: {cause}" if op else cause,
        fix=rule.fix if rule and rule.fix else _filled(row.fix, groups),
        source=row.source,
        confidence=row.confidence,
    )


def _filled(text: str, groups: dict[str, str]) -> str:
    """Put a line's own words into a text; a group that the line does not have leaves nothing behind."""
    filled = re.sub(r"\{(\w+)\}", lambda match: groups.get(match[1], ""), text)
    return re.sub(r" ?\(\)|(?<= ) +| (?=[,.;:])", "", filled).strip(" :;")


def _fold(findings: list[LogFinding], rows: dict[str, LogRow]) -> list[LogFinding]:
    """Put what follows from another finding behind it."""
    for cause in list(findings):
        row = rows.get(cause.id)
        if row is None or not row.explains or cause.id not in {finding.id for finding in findings}:
            continue
        followers = [finding for finding in findings if finding.id in row.explains and finding is not cause]
        lines = list(_lines_of(followers))
        findings = [
            _behind(finding, lines) if finding.id == cause.id and finding.line == cause.line else finding
            for finding in findings
            if finding not in followers
        ]
    return findings


def _lines_of(findings: Iterable[LogFinding]) -> Iterator[int]:
    for finding in findings:
        yield finding.line
        yield from finding.consequences


def _behind(finding: LogFinding, lines: Iterable[int]) -> LogFinding:
    known = sorted({*finding.consequences, *lines} - {finding.line})
    return replace(finding, consequences=tuple(known[:MAX_CONSEQUENCES]))


# "HAILO_TIMEOUT(4)", "74 (HAILO_OUT_OF_PHYSICAL_DEVICES)".
_NAME_AND_NUMBER = re.compile(r"\bHAILO_[A-Z0-9_]+?\s*\(\s*(\d{1,3})\s*\)|\b(\d{1,3})\s*\(\s*HAILO_[A-Z0-9_]+\s*\)")
# "libhailort failed with error: 8", "CHECK_SUCCESS failed with status=36": a number after HailoRT's own words. An exit
# status of another program, such as dpkg's, is none.
_NUMBER = re.compile(
    r"(?:libhailort failed with error:?\s*|\bstatus\s*[=:]\s*|\bwith status\s+)(\d{1,3})\b(?!\s*\.)", re.I
)
_NAME = re.compile(r"\bHAILO_[A-Z][A-Z0-9_]+\b")
_FROM_HAILORT = re.compile(r"HailoRT|libhailort|\bCHECK(?:_\w+)? failed|\bHAILO_[A-Z]", re.I)
_EXIT_STATUS = re.compile(r"exit (?:status|code)|returncode", re.I)

_BY_NAME = {status.name: code for code, status in STATUS.items()}


def status_code(line: str) -> int:
    """Return the failure that a line of HailoRT names, by number or by name; 0 when it names none.

    Args:
        line: one line of a log.
    """
    if not _FROM_HAILORT.search(line):
        return 0
    both = _NAME_AND_NUMBER.search(line)
    if both:
        named = next((_BY_NAME[name] for name in _NAME.findall(both[0]) if name in _BY_NAME), 0)
        return named or int(both[1] or both[2])  # numbers have changed between releases, names have not
    number = _NUMBER.search(line)
    if number and not _EXIT_STATUS.search(line):
        return int(number[1])
    return next((_BY_NAME[name] for name in _NAME.findall(line) if name in _BY_NAME), 0)
