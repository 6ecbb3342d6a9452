"""Reads a log line by line and says what is behind its errors: which node or layer, why, and how to fix it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from fsq_edge_compile.explain.exceptions import Frame, explain_exception, frame_of
from fsq_edge_compile.explain.folding import behind, fold
from fsq_edge_compile.explain.lines import SHOWN_TEXT, bare_status, explain_line
from fsq_edge_compile.explain.report import LogFinding, LogReport
from fsq_edge_compile.explain.status_lines import status_code
from fsq_edge_compile.explain.table import LogRow, LogTable, log_table
from fsq_edge_runtime.status import describe

MAX_LINE = 4000
MAX_FINDINGS = 500
MAX_SEARCHED = 600  # characters of a line that patterns see: what a line means stands at its start
MAX_DISTANCE = 3  # lines from HailoRT's own words to the status line that repeats them

# Docker, journald, loguru, ROS and compose put time stamps and names before the program's own line.
_STAMPS = re.compile(
    r"^(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,\d]*(?:Z|[+-]\d\d:?\d\d)?\]?\s?"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]+ [\w.@/()-]+(?:\[\d+\])?: "
    r"|\[[\w.-]+-\d+\] |(?!ERROR|CRITICAL|FATAL)[\w.-]+ +\| |\| |\[\] )+"
)
_END_NODES = re.compile(r"(?:using these|recommendations? for) end node names:\s*(?P<names>.+)", re.IGNORECASE)
# "[HailoRT] [error] [infer_model.cpp:868] [run_async] CHECK failed - what it says", and as the device's own log has it,
# "[llm_server.cpp:31] [create] CHECK failed - what it says"; "status=X(6) - what it says"
_OWN_WORDS = re.compile(
    r"(?:\[HailoRT[^]]*\]\s*\[(?:error|critical)\]\s*(?:\[[^]]*\]\s*)*(?:CHECK\w* failed - )?"
    r"|\[\w+\.cpp:\d+\]\s*(?:\[[^]]*\]\s*)*CHECK\w* failed - )(?P<said>\w.+)"
)
_WORDS_BEHIND = re.compile(r"\bstatus\s*=\s*\S+\s+- (?P<said>\w.{3,})")
_TRACEBACK = re.compile(r"Traceback \(most recent call last\)")
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(?::|$)")
_RAISE_STATEMENT = re.compile(r"\s+raise \w")  # the program's source, whose words are not yet filled in


@dataclass(slots=True)
class _Reading:
    """What was read so far.

    ``in_traceback`` is True until the exception at the end of a Python traceback, ``frame`` its innermost call of a
    Hailo package; ``last_status`` is the code and the line of the last status of HailoRT.
    """

    table: LogTable
    findings: dict[tuple[str, str, str, str], LogFinding] = field(default_factory=dict)
    rows: dict[str, LogRow] = field(default_factory=dict)
    envelopes: list[LogFinding] = field(default_factory=list)
    unexplained: dict[str, int] = field(default_factory=dict)
    end_nodes: tuple[str, ...] = ()
    in_traceback: bool = False
    frame: Frame | None = None
    last_status: tuple[int, int] = (0, 0)

    def take(self, number: int, raw: str) -> None:
        """Read one line."""
        line = _STAMPS.sub("", raw[:MAX_LINE].rstrip())
        raised = self._ends_traceback(line)
        if self.in_traceback and _RAISE_STATEMENT.match(line):
            return
        recommended = _END_NODES.search(line)
        if recommended:
            names = (name.strip(" .'\"[]") for name in recommended["names"].split(","))
            self.end_nodes = tuple(name for name in names if name)
        line = line.strip()[:MAX_SEARCHED]
        if not line or any(pattern.search(line) for pattern in self.table.harmless):
            return
        row, found = explain_line(number, line)
        if row is None and found is None:
            found = explain_exception(number, line, self.frame if raised else None, self.table)
        if row is not None and row.envelope and found is not None:
            self.envelopes.append(found)
        elif found is not None:
            self._take_found(found, row)
        elif len(self.unexplained) < MAX_FINDINGS and (raised or self._is_trouble(line)):
            self._take_unknown(number, line)
        if raised:
            self.frame = None

    def _take_found(self, found: LogFinding, row: LogRow | None) -> None:
        if code := status_code(found.text):
            self.last_status = (code, found.line)
        if row is not None or not found.id.startswith("hailort."):
            self._add(found, row)
            return
        own = self._words_before(found)
        if own is not None or not self._repeats_a_cause(found):
            self._add(own or self._with_words_behind(found), None)

    def _take_unknown(self, number: int, line: str) -> None:
        """List a line that looks like an error, except where a program repeats the status that HailoRT gave it."""
        code, last = self.last_status
        if code and number - last <= MAX_DISTANCE and re.search(rf"(?<!\d){code}(?!\d)", line):
            self.last_status = (code, number)
            self.envelopes.append(bare_status(number, line, code))
        else:
            self.unexplained.setdefault(line[:SHOWN_TEXT], number)

    def _repeats_a_cause(self, status: LogFinding) -> bool:
        """Put a status without words behind the cause just before it: HailoRT repeats it in each caller."""
        causes = [key for key, found in self.findings.items() if found.stage == "load" and found.id in self.rows]
        for key in reversed(causes):
            found = self.findings[key]
            if _just_before(found, status.line):
                self.findings[key] = behind(found, [status.line])
                return True
        return False

    def _words_before(self, status: LogFinding) -> LogFinding | None:
        """Put HailoRT's own words, which stand just before its status line, in the place of the status's cause."""
        near = [(text, number) for text, number in self.unexplained.items() if 0 < status.line - number <= MAX_DISTANCE]
        own = [(match["said"], text, number) for text, number in near if (match := _OWN_WORDS.search(text))]
        for _, text, _ in own:
            del self.unexplained[text]
        return behind(self._said(status, own[0][0]), [number for _, _, number in own]) if own else None

    def _with_words_behind(self, status: LogFinding) -> LogFinding:
        words = _WORDS_BEHIND.search(status.text)
        return self._said(status, words["said"]) if words else status

    def _said(self, status: LogFinding, words: str) -> LogFinding:
        code = self.last_status[0]
        cause = f'HailoRT says: "{words}"; its status is {code} {describe(code).name}'
        return replace(status, message=cause, fix=self.table.status_fixes.get(str(code), status.fix))

    def _is_trouble(self, line: str) -> bool:
        return any(pattern.search(line) for pattern in self.table.trouble)

    def _add(self, found: LogFinding, row: LogRow | None) -> None:
        if row is not None:
            self.rows[row.id] = row
        key = (found.node, found.layer, found.rule or found.id, found.cause)
        if row is None and not found.consequences:  # a bare status repeats what HailoRT said with words before
            key = next((known for known in reversed(self.findings) if known[2] == found.id), key)
        if key in self.findings:
            self.findings[key] = behind(self.findings[key], [found.line])
        elif len(self.findings) < MAX_FINDINGS:
            self.findings[key] = found

    def _ends_traceback(self, line: str) -> bool:
        """Whether this line is the exception of a traceback, whatever its class is called."""
        if _TRACEBACK.search(line):
            self.in_traceback = True
            self.frame = None
            return False
        if self.in_traceback:
            self.frame = frame_of(line) or self.frame
        if self.in_traceback and line and not line[0].isspace():
            self.in_traceback = False
            return bool(_RAISED.match(line))
        return False

    def _take_last_words(self) -> None:
        """Put what HailoRT said without a status of its own behind the finding just before it."""
        for text, number in list(self.unexplained.items()):
            near = [
                key for key, found in self.findings.items() if found.stage == "load" and _just_before(found, number)
            ]
            if near and _OWN_WORDS.search(text):
                del self.unexplained[text]
                self.findings[near[-1]] = behind(self.findings[near[-1]], [number])

    def report(self) -> LogReport:
        """Return what was read, consequences behind their causes."""
        self._take_last_words()
        findings = fold(list(self.findings.values()), self.rows)
        if findings:
            findings[0] = behind(findings[0], [envelope.line for envelope in self.envelopes])
        elif self.envelopes:
            findings = [behind(self.envelopes[0], [envelope.line for envelope in self.envelopes[1:]])]
        return LogReport(
            tuple(findings), self.end_nodes, tuple((number, text) for text, number in self.unexplained.items())
        )


def _just_before(found: LogFinding, number: int) -> bool:
    """Whether a finding, or the last line that follows from it, stands just before a line."""
    return (
        0
        < number - max((line for line in (found.line, *found.consequences) if line < number), default=0)
        <= (MAX_DISTANCE)
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
