"""What an audit says: findings as data."""

from __future__ import annotations

from collections.abc import Sized
from typing import Literal

from fsq_edge_runtime.artefact import StrictModel

Severity = Literal["error", "warning", "info"]


class Finding(StrictModel):
    """One thing that is wrong, or worth knowing, about a calibration set.

    Attributes:
        rule: stable id, such as ``noise`` or ``layout``.
        severity: an ``error`` refuses the set; the others never do.
        message: one line with the measured value.
        fix: what to do about it.
        channels: the graph channels it is about; empty for the whole set.
        actual: the measured value, where it is one number.
        limit: what it was compared with.
        source: where the rule comes from, where it is not this project's own measurement.
    """

    rule: str
    severity: Severity
    message: str
    fix: str = ""
    channels: tuple[str, ...] = ()
    actual: float | None = None
    limit: float | None = None
    source: str = ""


def channel_count(channels: Sized) -> str:
    """Return how many channels, in words for a message."""
    return f"{len(channels)} channel" + ("" if len(channels) == 1 else "s")
