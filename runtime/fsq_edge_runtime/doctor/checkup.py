"""The whole examination: facts in, findings out, root causes first."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fsq_edge_runtime.doctor.device_rules import bundle_findings, device_findings
from fsq_edge_runtime.doctor.facts import Facts
from fsq_edge_runtime.doctor.kernel_rules import kernel_findings
from fsq_edge_runtime.doctor.repairs import causes
from fsq_edge_runtime.doctor.software_rules import software_findings
from fsq_edge_runtime.findings import SEVERITIES, Finding
from fsq_edge_runtime.hef import HefReport


@dataclass(frozen=True, slots=True)
class Checkup:
    """What ``doctor`` found.

    Attributes:
        facts: the machine as read.
        findings: root causes first, the worst of them at the top; what follows from a root cause stands behind it.
        because: rule of a finding to the rule of its root cause, for the findings that follow from another.
    """

    facts: Facts
    findings: tuple[Finding, ...]
    because: Mapping[str, str] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether nothing keeps this machine from what it has the parts for; warnings do not count."""
        return not any(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``doctor --json``."""
        return {
            "schema_version": 1,
            "healthy": self.healthy,
            "facts": dataclasses.asdict(self.facts),
            "findings": [
                finding.to_dict("rule", "severity", "message", "fix", "source")
                | {"because": self.because.get(finding.rule, "")}
                for finding in self.findings
            ],
        }


def examine(facts: Facts, hefs: Sequence[HefReport] | None = None) -> Checkup:
    """Judge a machine.

    Args:
        facts: from :func:`fsq_edge_runtime.doctor.gather`.
        hefs: the reports of a bundle's HEFs; None when no bundle was given.
    """
    found = [*device_findings(facts), *kernel_findings(facts), *software_findings(facts)]
    if hefs is not None:
        found += bundle_findings(facts, hefs)
    because = _because({finding.rule for finding in found})
    return Checkup(facts, _roots_first(found, because), because)


def _because(rules: set[str]) -> dict[str, str]:
    """Return the root cause of each rule that follows from another; the most fundamental cause wins."""
    because: dict[str, str] = {}
    for cause, follows in causes():
        if cause in rules and cause not in because:
            for rule in follows:
                if rule in rules:
                    because.setdefault(rule, cause)
    return because


def _roots_first(found: Sequence[Finding], because: Mapping[str, str]) -> tuple[Finding, ...]:
    """Order by how bad a root cause is with all that follows from it, then by how fundamental it is."""
    order = [cause for cause, _ in causes()]

    def rank(root: Finding) -> tuple[int, int]:
        group = [root, *(finding for finding in found if because.get(finding.rule) == root.rule)]
        worst = min(SEVERITIES.index(finding.severity) for finding in group)
        return worst, order.index(root.rule) if root.rule in order else len(order)

    roots = sorted((finding for finding in found if finding.rule not in because), key=rank)
    ordered: list[Finding] = []
    for root in roots:
        ordered.append(root)
        if root.rule not in {finding.rule for finding in ordered[:-1]}:
            ordered += [finding for finding in found if because.get(finding.rule) == root.rule]
    return tuple(ordered)
