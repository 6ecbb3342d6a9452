"""Several models checked in one go: what each says, and whether a gate that looks at them holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fsq_edge_compile.checker.report import CheckReport, Finding
from fsq_edge_runtime.errors import FsqEdgeError, MissingInputError
from fsq_edge_runtime.findings import SEVERITIES

FailOn = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Judged:
    """One model of several.

    Attributes:
        path: as it was given, with forward slashes.
        report: what the check says; None where the model could not be read.
        error: why it could not be read; None where it was.
        accepted: index of a finding in the report -> why a baseline accepts it.
    """

    path: str
    report: CheckReport | None
    error: FsqEdgeError | None = None
    accepted: dict[int, str] = field(default_factory=dict)

    def failing(self, fail_on: FailOn) -> tuple[Finding, ...]:
        """Return the findings at least as severe as ``fail_on`` that no baseline accepts."""
        findings = self.report.findings if self.report else ()
        return tuple(
            finding
            for index, finding in enumerate(findings)
            if is_at_least(finding, fail_on) and index not in self.accepted
        )


def is_at_least(finding: Finding, severity: FailOn) -> bool:
    """Whether a finding is as severe as this, or more so."""
    return SEVERITIES.index(finding.severity) <= SEVERITIES.index(severity)


def find_models(given: Sequence[str]) -> list[str]:
    """Return the model files: those that are named, and every ``.onnx`` file below a folder that is named.

    Raises:
        MissingInputError: a folder holds none.
    """
    found: dict[str, None] = {}
    for name in given:
        if not Path(name).is_dir():
            found[name] = None
            continue
        inside = sorted(str(path) for path in Path(name).rglob("*.onnx") if path.is_file())
        if not inside:
            raise MissingInputError(f"there is no .onnx file in {name}", hint="name the model files themselves")
        found.update(dict.fromkeys(inside))
    return list(found)
