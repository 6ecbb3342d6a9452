"""How the audit's rules say what they found."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from functools import partial

from fsq_edge_runtime.findings import ChannelFinding, Severity


def error(
    rule: str,
    message: str,
    fix: str,
    *,
    source: str = "",
    channels: Sequence[str] = (),
    actual: float | None = None,
    limit: float | None = None,
    severity: Severity = "error",
) -> ChannelFinding:
    """Return a finding that refuses the set; see :class:`ChannelFinding`. An empty ``source`` is our measurement."""
    return ChannelFinding(
        rule=rule,
        severity=severity,
        message=message,
        fix=fix,
        source=source,
        channels=tuple(channels),
        actual=None if actual is None else float(actual),
        limit=None if limit is None else float(limit),
    )


#: A finding that may hurt and never refuses the set, with the arguments of :func:`error`.
warning = partial(error, severity="warning")


def channel_count(channels: Sized) -> str:
    """Return how many channels, in words for a message."""
    return f"{len(channels)} channel" + ("" if len(channels) == 1 else "s")
