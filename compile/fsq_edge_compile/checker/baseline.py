"""The findings of a check that a team has looked at and accepted: a file that a CI job keeps beside its models."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import ClassVar

from pydantic import Field

from fsq_edge_compile.checker.report import Finding
from fsq_edge_runtime.artefact import Artefact, StrictModel
from fsq_edge_runtime.files import read_bounded

MAX_BASELINE_BYTES = 16 << 20
TO_BE_WRITTEN = "accepted when the baseline was written"


class Accepted(StrictModel):
    """One finding that fails no check any more.

    Attributes:
        model: path of the model file, relative to the baseline file, with forward slashes.
        rule: id of the rule.
        node: name of the node; empty for the file itself.
        reason: why it is accepted, for the next reader.
    """

    model: str
    rule: str
    node: str = ""
    reason: str = ""


class CheckBaseline(Artefact):
    """The baseline file.

    Attributes:
        accepted: the findings.
    """

    KIND: ClassVar[str] = "check baseline"

    accepted: tuple[Accepted, ...] = Field(default=())


class Baseline:
    """A baseline file that is laid over the findings of models.

    Args:
        path: of the file.
        content: what it holds.
    """

    def __init__(self, path: Path, content: CheckBaseline) -> None:
        self._folder = path.absolute().parent
        self._reasons = {(entry.model, entry.rule, entry.node): entry.reason for entry in content.accepted}
        self._used: set[tuple[str, str, str]] = set()

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Read a baseline file.

        Raises:
            MissingInputError: it cannot be read.
            DataError: it is no baseline.
        """
        hint = f"fsq-edge check MODEL --write-baseline {path}"
        text = read_bounded(path, MAX_BASELINE_BYTES, what="the baseline", hint=hint)
        return cls(path, CheckBaseline.from_json(text, origin=path.name))

    def reason(self, model: str, finding: Finding) -> str | None:
        """Return why a finding is accepted; None where it is not."""
        key = (relative_to(self._folder, model), finding.rule, printable(finding.node))
        if key not in self._reasons:
            return None
        self._used.add(key)
        return self._reasons[key] or "accepted"

    def unused(self) -> tuple[tuple[str, str, str], ...]:
        """Return the entries (model, rule, node) that no finding has asked for: they can be taken out."""
        return tuple(key for key in self._reasons if key not in self._used)


def make_baseline(path: Path, findings: Iterable[tuple[str, Finding]], before: Baseline | None = None) -> CheckBaseline:
    """Return a baseline that accepts the findings; reasons that a person wrote before are kept.

    Args:
        path: where it will be written, which its paths are relative to.
        findings: path of the model, finding.
        before: the baseline in force.
    """
    folder = path.absolute().parent
    accepted: dict[tuple[str, str, str], Accepted] = {}
    for model, finding in findings:
        place, node = relative_to(folder, model), printable(finding.node)
        reason = (before.reason(model, finding) if before else None) or TO_BE_WRITTEN
        accepted[place, finding.rule, node] = Accepted(model=place, rule=finding.rule, node=node, reason=reason)
    return CheckBaseline(accepted=tuple(accepted.values()))


def relative_to(folder: Path, model: str) -> str:
    """Return the path of a model seen from a folder, with forward slashes."""
    return printable(PurePath(os.path.relpath(model, folder)).as_posix())


def printable(text: str) -> str:
    """Return a name with a question mark for what no artefact may hold: control characters."""
    return "".join(character if character.isprintable() else "?" for character in text)
