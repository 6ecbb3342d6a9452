"""Findings: what a check, an audit or an examination has to say, as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final, Literal, TypeVar

Severity = Literal["error", "warning", "info"]
Support = Literal["supported", "conditional", "unsupported", "unknown", "trap"]
Stage = Literal["parse", "optimise", "quantise", "allocate", "load"]
Confidence = Literal["high", "medium", "low"]

SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        rule: stable identifier, such as ``noise`` or ``driver-version``.
        severity: an ``error`` refuses what was examined; a ``warning`` may hurt; an ``info`` is worth knowing.
        message: one line with the measured value.
        fix: what to do about it; empty where nothing is to be done.
        source: where the rule comes from: a document, a status code, an observation; empty for our own measurement.
        where: what it is about: a channel, a sensor, a recording; empty for the whole.
        actual: the measured value; None where there is none.
        limit: what it was compared with; None where there is nothing.
    """

    rule: str
    severity: Severity
    message: str
    fix: str = ""
    source: str = ""
    where: str = ""
    actual: Any = None
    limit: Any = None

    def to_dict(self, *names: str) -> dict[str, Any]:
        """Return the finding as plain JSON values: the named fields in that order, or all of them."""
        return {name: getattr(self, name) for name in names or [field.name for field in fields(self)]}


def finding(severity: Severity, rule: str, message: str, fix: str = "", **about: Any) -> Finding:
    """Return a finding; its further fields are given by name. ``error``, ``warning`` and ``info`` have a severity."""
    return Finding(rule=rule, severity=severity, message=message, fix=fix, **about)


error, warning, info = partial(finding, "error"), partial(finding, "warning"), partial(finding, "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFinding(Finding):
    """A finding about channels of a set of frames.

    Attributes:
        channels: the graph channels it is about; empty for the whole set.
        actual: the measured value, where it is one number.
        limit: what it was compared with.
    """

    channels: tuple[str, ...] = ()
    actual: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFinding(Finding):
    """One judgement about a node of a network, or about its file.

    Attributes:
        support: what the rule says of the construct.
        stage: the compiler stage that would refuse it.
        node: the node's name in the user's file; empty for the file itself.
        op: operator type; empty for the file itself.
        limit: the rule's limit, as text; empty when it has none.
        actual: the measured value, as text; empty when there is none.
        confidence: how far the evidence carries.
    """

    support: Support
    stage: Stage
    node: str = ""
    op: str = ""
    limit: str = ""
    actual: str = ""
    confidence: Confidence = "medium"


_Found = TypeVar("_Found", bound=Finding)


def worst_first(findings: Iterable[_Found]) -> tuple[_Found, ...]:
    """Return the findings, errors first, then warnings, then infos; each kind keeps its order.

    Example:
        >>> note = Finding(rule="rate", severity="info", message="24.4 Hz")
        >>> fault = Finding(rule="nan", severity="error", message="3 values are NaN")
        >>> [one.rule for one in worst_first([note, fault])]
        ['nan', 'rate']
    """
    return tuple(sorted(findings, key=lambda one: SEVERITIES.index(one.severity)))
