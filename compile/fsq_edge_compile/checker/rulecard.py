"""All that is known of one rule, as ``check --explain`` prints it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fsq_edge_compile.checker.rulebook import Operator, Rule, Rulebook, rulebook
from fsq_edge_runtime.errors import UsageError


@dataclass(frozen=True, slots=True)
class RuleCard:
    """A rule with its evidence.

    Attributes:
        rule: the rule itself.
        operator: the operator row it belongs to; None for limits, patterns and the file.
        sources: what each source is, in words.
    """

    rule: Rule
    operator: Operator | None
    sources: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain JSON values."""
        rule, row = self.rule, self.operator
        return {
            "schema_version": 1,
            "rule": rule.id,
            "operator": row.key if row else None,
            "support": rule.support,
            "severity": rule.severity,
            "stage": rule.stage,
            "confidence": rule.confidence,
            "message": rule.message,
            "limit": rule.limit,
            "fix": rule.fix,
            "errors": list(rule.errors),
            "cases": list(rule.cases),
            "overrides": rule.overrides,
            "evidence": row.evidence if row else None,
            "measured": list(row.measured) if row else [],
            "since": row.since if row else "",
            "notes": list(row.notes) if row else [],
            "contradictions": list(row.contradictions) if row else [],
            "sources": list(self.sources),
        }


def find_rules(wanted: str) -> list[RuleCard]:
    """Return the rule of an id, or the rows of an operator.

    Args:
        wanted: a rule id as reports name it (``softmax.axis``), an operator (``Conv``) or a row (``Conv/2d``).

    Raises:
        UsageError: there is no such rule; the hint names the nearest.
    """
    book = rulebook()
    rows = {row.rule.id: row for row in book.operators.values()}
    if wanted in book.rules:
        return [_card(book, book.rules[wanted], rows.get(wanted))]
    word = wanted.casefold()
    found = [row for row in book.operators.values() if word in (row.key.casefold(), row.op.casefold())]
    if found:
        return [_card(book, row.rule, row) for row in found]
    names = {name.casefold(): name for name in (*book.rules, *book.operators)}
    near = [names[name] for name in difflib.get_close_matches(word, names, n=3)]
    near = near or sorted(name for name in book.rules if word in name)[:5]
    raise UsageError(
        f"there is no rule {wanted!r}",
        hint=f"perhaps {', '.join(near)}" if near else "rules are named in the findings of a check",
    )


def _card(book: Rulebook, rule: Rule, row: Operator | None) -> RuleCard:
    return RuleCard(rule, row, tuple(book.sources.get(code, code) for code in rule.sources))


def _words(rule: Rule, row: Operator | None) -> str:
    """Return the message of a rule with words where a finding has its values: no model has been measured."""
    names = {"op": row.op if row else "<operator>", "limit": str(rule.limit or "<limit>")}
    names |= {"actual": "<measured value>", "dfc": "<version>"}
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: names.get(found[1], f"<{found[1]}>"), rule.message)


def card_lines(card: RuleCard) -> Iterator[str]:
    """Yield the card as lines of text."""
    rule, row = card.rule, card.operator
    yield f"{rule.id}" + (f" (operator {row.key})" if row else "")
    yield f"  says:        {_words(rule, row)}"
    if rule.limit:
        yield f"  limit:       {rule.limit}"
    yield f"  support:     {rule.support}; severity {rule.severity}, stage {rule.stage}"
    yield f"  confidence:  {rule.confidence}" + (f"; evidence: {row.evidence}" if row else "")
    if row and row.measured:
        yield f"  measured on: {', '.join(row.measured)}"
    if row and row.since:
        yield f"  known since: DFC {row.since}"
    for target, changes in rule.overrides.items():
        yield f"  on {target}:".ljust(15) + ", ".join(f"{name} {value}" for name, value in changes.items())
    if rule.fix:
        yield f"  fix:         {rule.fix}"
    parts = (
        ("seen", row.notes if row else ()),
        ("contradicted by", row.contradictions if row else ()),
        ("the compiler says", rule.errors),
        ("sources", card.sources),
    )
    for name, items in parts:
        if items:
            yield f"  {name}:"
            yield from (f"    - {item}" for item in items)
