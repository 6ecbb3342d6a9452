"""What one line of a log means: the first row that matches it, or the status code that it names."""

from __future__ import annotations

import re

from fsq_edge_compile.checker.rulebook import rulebook
from fsq_edge_compile.explain.report import LogFinding
from fsq_edge_compile.explain.status_lines import status_code
from fsq_edge_compile.explain.table import LogRow, LogTable, log_table
from fsq_edge_runtime.status import describe

SHOWN_TEXT = 300
_GROUP = re.compile(r"\{(\w+)\}")
_CHOICE = re.compile(r"\[\[(.*?)\]\]")
_ERROR_IN_NODE = re.compile(r"(?P<kind>[A-Z]\w*(?:Error|Exception))(?: in op (?P<node>[^\s:]+))?:")


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
    return None, bare_status(number, line, code) if code else None


def bare_status(number: int, line: str, code: int) -> LogFinding:
    """Return what a status code of HailoRT means; its rule is ``hailort.CODE``.

    Args:
        number: of the line in its log, from 1.
        line: without time stamp.
        code: HailoRT's number.
    """
    status = describe(code)
    name = f"hailort.{code}"
    return LogFinding(
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
        source="HailoRT's public status codes; causes from runs without a device and public reports",
        confidence="medium",
    )


def _from_row(number: int, line: str, row: LogRow, match: re.Match[str], table: LogTable) -> LogFinding:
    named = _ERROR_IN_NODE.search(line)
    groups = {name: value for name, value in match.groupdict().items() if value}
    op, layer = groups.get("op", ""), groups.get("layer", "").strip("'\"")
    operator = rulebook().operators.get(op)
    rule = operator.rule if operator is not None else None
    if row.stage == "allocate":
        layer = layer or table.layer_in(line)
    if "errno" in groups:
        groups["meaning"] = table.errors.get(groups["errno"].lstrip("-"), f"error {groups['errno']}")
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
    """Put a line's own words into a text.

    ``[[a part|another]]`` stands for its first choice of which the line has every group, and for nothing when there is
    none; outside of such a part a group that the line does not have leaves nothing behind.
    """

    def choice(match: re.Match[str]) -> str:
        return next((part for part in match[1].split("|") if set(_GROUP.findall(part)) <= set(groups)), "")

    filled = _GROUP.sub(lambda match: groups.get(match[1], ""), _CHOICE.sub(choice, text))
    return re.sub(r" \(\)|(?<= ) +| (?=[,.;:])", "", filled).strip(" :;")
