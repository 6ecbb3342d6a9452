"""What ``fsq-edge check`` prints for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from fsq_edge.cli.output import Output, table

if TYPE_CHECKING:
    from fsq_edge_compile.checker.report import CheckReport, Finding
    from fsq_edge_compile.checker.rewrites.fixing import FixResult
    from fsq_edge_compile.checker.rulecard import RuleCard
    from fsq_edge_compile.checker.splitting import SplitResult

SHOWN_RULES = 30
SHOWN_NODES = 4


def plain(text: str) -> str:
    """Return text from a file as one line that a terminal shows and does not obey."""
    return escape("".join(character if character.isprintable() else " " for character in text))


def show_report(report: CheckReport, screen: Output) -> None:
    """Print the verdict, the findings and where to cut."""
    counts = report.to_dict()["nodes"]
    share = f"{100 * report.macs.share:.3g} % of the multiply-accumulates"
    screen.print(
        f"{plain(report.model)} for {report.arch} (DFC {report.dfc}): {report.verdict}, confidence "
        f"{report.confidence}; {counts['device']} of {counts['total']} nodes and {share} on the device"
    )
    if report.lowered_by:
        screen.print(f"confidence lowered by: {plain(report.lowered_by)}", soft_wrap=True)
    screen.print(f"chips: {plain('; '.join(report.chips)) or 'no public difference'}", soft_wrap=True)
    groups = _by_rule(report.findings)
    if groups:
        rows = [(group[0].severity, _where(group), group[0].rule, _what(group)) for group in groups[:SHOWN_RULES]]
        screen.print(table("", ("", "node", "rule", "what and how to fix it"), rows))
        if len(groups) > SHOWN_RULES:
            screen.print(f"... and {len(groups) - SHOWN_RULES} more rules, all of them in --json and --report")
    if report.verdict == "cut":
        screen.print(f"start nodes: {plain(', '.join(report.start_nodes))}", soft_wrap=True)
        screen.print(f"end nodes:   {plain(', '.join(report.end_nodes))}", soft_wrap=True)


def _by_rule(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Put the findings of one rule together, in the order in which each rule comes first."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.rule), []).append(finding)
    return list(groups.values())


def _where(group: Sequence[Finding]) -> str:
    names = [plain(finding.node) or "(file)" for finding in group[:SHOWN_NODES]]
    return "\n".join(names) + (f"\nand {len(group) - SHOWN_NODES} more" if len(group) > SHOWN_NODES else "")


def _what(group: Sequence[Finding]) -> str:
    """The message of the first, what was measured at others, and the fix once."""
    others = dict.fromkeys(finding.actual for finding in group[1:SHOWN_NODES] if finding.actual != group[0].actual)
    more = f"\nalso {'; '.join(plain(item) for item in others if item)}" if any(others) else ""
    return f"{plain(group[0].message)}{more}\n-> {plain(group[0].fix)}"


def show_fix(fixed: FixResult, path: str, after: CheckReport, screen: Output) -> None:
    """Print what was rewritten, what was not kept, and the verdict on the copy."""
    if not fixed.changes:
        screen.print("fix: nothing to rewrite")
    for change in fixed.changes:
        names = ", ".join(change.nodes[:SHOWN_NODES]) + (", ..." if len(change.nodes) > SHOWN_NODES else "")
        screen.print(
            f"fix: {change.rewrite}: {change.summary} ({len(change.nodes)}: {plain(names)}; "
            f"outputs differ by {change.difference:.1g})",
            soft_wrap=True,
        )
    for rejection in fixed.rejections:
        screen.print(f"fix: {rejection.rewrite} was undone: {plain(rejection.reason)}", soft_wrap=True)
    screen.print(f"fix: {plain(path)}: {after.verdict}, {len(after.errors)} errors", soft_wrap=True)
    for finding in after.findings:
        if finding.severity == "warning":
            screen.print(f"fix: stays: {finding.rule}: {plain(finding.message)}; {plain(finding.fix)}", soft_wrap=True)


def show_split(parts: SplitResult, written: Mapping[str, Path], screen: Output) -> None:
    """Print the files, what passes between them, and the proof."""
    for name, path in written.items():
        part = parts.parts[name]
        inputs, outputs = (
            plain(", ".join(value.name for value in side)) for side in (part.graph.input, part.graph.output)
        )
        screen.print(f"split: {plain(str(path))}: {inputs} -> {outputs}", soft_wrap=True)
    screen.print(
        f"split: run one after the other the parts give the model's outputs (largest difference {parts.difference:.1g})"
    )


def show_rules(cards: Sequence[RuleCard], screen: Output) -> None:
    """Print rules with their evidence."""
    from fsq_edge_compile.checker.rulecard import card_lines

    for card in cards:
        for line in card_lines(card):
            screen.say(line)
