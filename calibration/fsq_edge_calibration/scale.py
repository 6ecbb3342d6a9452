"""Are windows of the scale that the preprocessing was made for? Asked where no training split is at hand to compare."""

from __future__ import annotations

from typing import Final

from fsq_edge_calibration.audit import CalibrationAudit
from fsq_edge_calibration.finding import channel_count, warning
from fsq_edge_runtime.findings import ChannelFinding, worst_first

MOST: Final = 4.0  # sigmas: a channel that moves, or lies, so far out was normalised for other values
LEAST: Final = 0.2  # of a channel that should move by one


def scale_warning(audit: CalibrationAudit, *, moves_by_one: bool) -> ChannelFinding | None:
    """Return a warning where normalised frames are not spread as normalisation leaves those of the training.

    Args:
        audit: with the frames described.
        moves_by_one: the preprocessing divides by the spread of the training, so frames have a spread near 1; else
            only too large values are judged.
    """
    if audit.found is None:
        return None
    wrong = [
        channel
        for channel in audit.found.channels
        if channel.std > MOST or abs(channel.mean) > MOST or (moves_by_one and 0 < channel.std < LEAST)
    ]
    if not wrong:
        return None
    worst = max(wrong, key=lambda channel: max(channel.std, 1 / max(channel.std, 1e-9), abs(channel.mean)))
    return warning(
        "scale",
        f"{channel_count(wrong)} of {len(audit.found.channels)} are of another scale than the preprocessing was made "
        f"for: {worst.name} has mean {worst.mean:.3g} and spread {worst.std:.3g} after it, near 0 and 1 are usual",
        "give the windows in the units of the training (g or m/s2, rad/s or deg/s), or correct the preprocess file",
        channels=[channel.name for channel in wrong],
        actual=worst.std,
        limit=MOST,
    )


def with_scale(audit: CalibrationAudit, *, moves_by_one: bool) -> CalibrationAudit:
    """Return an audit with :func:`scale_warning` among its findings, where there is one."""
    found = scale_warning(audit, moves_by_one=moves_by_one)
    return audit if found is None else audit.model_copy(update={"findings": worst_first([*audit.findings, found])})
