"""The whole examination: facts in, findings out, worst first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fsq_edge_runtime.doctor.bundle_rules import bundle_findings
from fsq_edge_runtime.doctor.device_rules import device_findings
from fsq_edge_runtime.doctor.facts import Facts
from fsq_edge_runtime.doctor.software_rules import software_findings
from fsq_edge_runtime.findings import Finding, worst_first
from fsq_edge_runtime.hef import HefReport


@dataclass(frozen=True, slots=True)
class Checkup:
    """What ``doctor`` found.

    Attributes:
        facts: the machine as read.
        findings: worst first.
    """

    facts: Facts
    findings: tuple[Finding, ...]

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
            "findings": [finding.to_dict("rule", "severity", "message", "fix", "source") for finding in self.findings],
        }


def examine(facts: Facts, hefs: Sequence[HefReport] | None = None) -> Checkup:
    """Judge a machine.

    Args:
        facts: from :func:`fsq_edge_runtime.doctor.gather`.
        hefs: the reports of a bundle's HEFs; None when no bundle was given.
    """
    found = [*device_findings(facts), *software_findings(facts)]
    if hefs is not None:
        found += bundle_findings(facts, hefs)
    return Checkup(facts, worst_first(found))
