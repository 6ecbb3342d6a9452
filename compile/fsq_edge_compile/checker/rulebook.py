"""The rule table: what public evidence says of every operator and every limit. Data only; nothing is judged here."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from fsq_edge_compile.checker.targets import GENERATION_OF, Target
from fsq_edge_runtime.findings import Confidence, Severity, Stage, Support


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a construct, what becomes of it, and how we know.

    Attributes:
        id: stable name, as in reports and ``--explain``.
        support: what becomes of the construct.
        severity: ``error`` ends the device part; warnings and infos leave the verdict alone.
        stage: where the compiler would stop.
        message: one line with ``{op}``, ``{actual}`` and ``{limit}`` to fill in.
        limit: the limit as text; empty when the rule has none.
        fix: what to change.
        sources: codes of the ``sources`` table.
        confidence: how far the evidence carries.
        errors: what the compiler prints, as reported.
        cases: ids of the measured cases behind the rule.
        overrides: changes per architecture (``hailo8l``) or generation (``3.x``); the architecture wins.
    """

    id: str
    support: Support
    severity: Severity
    stage: Stage
    message: str
    limit: str = ""
    fix: str = ""
    sources: tuple[str, ...] = ()
    confidence: Confidence = "medium"
    errors: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)

    def for_target(self, target: Target) -> Rule | None:
        """Return the rule as it reads for one target; None when it does not apply there."""
        changes: dict[str, Any] = {}
        changes.update(self.overrides.get(target.generation, {}))
        changes.update(self.overrides.get(target.arch, {}))
        if not changes:
            return self
        if changes.get("severity") == "off":
            return None
        values = {name: getattr(self, name) for name in Rule.__slots__}
        values.update(changes)
        return Rule(**values)


@dataclass(frozen=True, slots=True)
class Operator:
    """What is known of one operator, or of one spelling of it.

    Attributes:
        key: row name, for example ``Conv/2d``.
        op: ONNX operator type; empty for a pattern.
        rule: the rule that a node of this operator falls under when nothing more special applies.
        evidence: measured, documented, folded, inferred or none.
        measured: architectures on which a run was reported.
        since: first compiler release known to take it.
        notes: what was seen, in short.
        contradictions: reports that disagree.
    """

    key: str
    op: str
    rule: Rule
    evidence: str
    measured: tuple[str, ...]
    since: str
    notes: tuple[str, ...]
    contradictions: tuple[str, ...] = ()

    def measured_for(self, target: Target) -> bool:
        """Whether a run on this target's compiler generation was reported, or the documents list the operator."""
        if not self.measured:
            return "documented" in self.evidence
        return any(GENERATION_OF[arch] == target.generation for arch in self.measured)


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rows of the table.

    Attributes:
        operators: by row key.
        rules: every rule by id: operators, constraints, patterns, file limits.
        sources: code to description.
    """

    operators: dict[str, Operator]
    rules: dict[str, Rule]
    sources: dict[str, str]

    def source_text(self, rule: Rule) -> str:
        """Return the sources of a rule in words."""
        return "; ".join(self.sources.get(code, code) for code in rule.sources)


@cache
def rulebook() -> Rulebook:
    """Return the rule table that ships with the package, read once."""
    folder = resources.files(__package__).joinpath("data")
    table = json.loads(folder.joinpath("operators.json").read_text(encoding="utf-8"))
    extra = json.loads(folder.joinpath("rules.json").read_text(encoding="utf-8"))
    rules: dict[str, Rule] = {}
    operators: dict[str, Operator] = {}
    for key, row in table["operators"].items():
        rule = _rule(row["rule"])
        rules[rule.id] = rule
        operators[key] = Operator(
            key=key,
            op=row["op"],
            rule=rule,
            evidence=row["evidence"],
            measured=tuple(row["measured"]),
            since=row["since"],
            notes=tuple(row["notes"]),
            contradictions=tuple(row.get("contradictions", ())),
        )
    for item in extra["rules"]:
        rule = _rule(item)
        if rule.id in rules:
            raise ValueError(f"the rule {rule.id!r} is defined twice")
        rules[rule.id] = rule
    return Rulebook(operators, rules, {**table["sources"], **extra.get("sources", {})})


def _rule(item: dict[str, Any]) -> Rule:
    values = dict(item)
    for name in ("sources", "errors", "cases"):
        values[name] = tuple(values.get(name, ()))
    return Rule(**values)
