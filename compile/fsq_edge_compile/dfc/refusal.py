"""The DFC's refusals in our terms: which node, which of our findings foresaw it, which end nodes it recommends.

The parser's text, in every release seen:

    Parsing failed. The errors found in the graph are:
     UnsupportedOperationError in op /m/Mod: Mod operation is unsupported
    Please try to parse the model again, using these end node names: /m/Sub, /m/Mul
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fsq_edge_compile.checker.report import CheckReport
from fsq_edge_compile.checker.rulebook import rulebook
from fsq_edge_compile.explain.lines import explain_line

_LINE = re.compile(r"^\s*(?P<kind>[A-Z]\w*(?:Error|Exception))(?: in op (?P<node>[^:\s]+))?: (?P<text>.+)$")
_RECOMMENDED = re.compile(r"using these end node names:\s*(?P<names>.+)$")
MAX_REFUSALS = 100


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error of the DFC.

    Attributes:
        kind: its exception class, e.g. ``UnsupportedOperationError``.
        node: the ONNX node it names; empty when it names none.
        text: what it says.
        rule: id of our rule for this error, or ``log.ROW`` for a row of the table of log texts; empty when there is
            none.
        foreseen: our check had a finding for this node.
        fix: what to change, from our rule.
    """

    kind: str
    node: str
    text: str
    rule: str = ""
    foreseen: bool = False
    fix: str = ""


def read_refusals(text: str, report: CheckReport | None = None) -> tuple[Refusal, ...]:
    """Return the errors in a DFC's message or log, each once, matched with our findings.

    Args:
        text: message or log.
        report: our check of this network, for the findings that foresaw them.
    """
    found: dict[tuple[str, str, str], Refusal] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if not match or len(found) >= MAX_REFUSALS:
            continue
        kind, node, said = match["kind"], match["node"] or "", match["text"].strip()
        if kind == "ParsingWithRecommendationException":
            continue  # the envelope; its content follows
        found.setdefault((kind, node, said), _matched(kind, node, said, report))
    return tuple(found.values())


def read_recommended_end_nodes(text: str) -> tuple[str, ...]:
    """Return the end nodes that the parser recommends, empty when it recommends none."""
    for line in text.splitlines():
        match = _RECOMMENDED.search(line)
        if match:
            return tuple(name.strip() for name in match["names"].split(",") if name.strip())
    return ()


def compare_end_nodes(recommended: Sequence[str], report: CheckReport) -> str:
    """Return one line that compares the recommended end nodes with our check's; empty when there are none."""
    if not recommended:
        return ""
    ours, theirs = set(report.end_nodes), set(recommended)
    if ours == theirs:
        return f"the compiler recommends the end nodes that the check found: {', '.join(sorted(theirs))}"
    return (
        f"the compiler recommends the end nodes {', '.join(sorted(theirs))}; "
        f"the check found {', '.join(sorted(ours)) or 'none'}"
    )


def _matched(kind: str, node: str, text: str, report: CheckReport | None) -> Refusal:
    if report is not None and node:
        for finding in report.findings:
            if finding.node == node and finding.severity == "error":
                return Refusal(kind, node, text, finding.rule, foreseen=True, fix=finding.fix)
    row, explained = explain_line(0, f"{kind}: {text}")
    if explained is not None and (explained.rule or (row is not None and not row.envelope)):
        return Refusal(kind, node, text, explained.rule or f"log.{explained.id}", foreseen=False, fix=explained.fix)
    for rule in rulebook().rules.values():
        if any(_same_text(known, kind, text) for known in rule.errors):
            return Refusal(kind, node, text, rule.id, foreseen=False, fix=rule.fix)
    return Refusal(kind, node, text)


def _same_text(known: str, kind: str, text: str) -> bool:
    """Whether a recorded error is this one: equal class, and equal words apart from names and numbers."""
    if not known.startswith(kind):
        return False
    words = set(re.findall(r"[A-Za-z]{4,}", known.split(":", 1)[-1])) - {kind}
    return not words or len(words & set(re.findall(r"[A-Za-z]{4,}", text))) * 2 >= len(words)
