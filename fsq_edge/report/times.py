"""Lengths of time as people say them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a duration in the unit that a person would choose.

    Example:
        >>> [duration(seconds) for seconds in (12.0, 600.0, 7200.0, 864000.0)]
        ['12.0 s', '10.0 min', '2.0 h', '10.0 d']
    """
    for size, unit in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"


def elapsed(seconds: float) -> str:
    """Return a time since the first sample: seconds in the first minutes, then as a clock shows it.

    Example:
        >>> [elapsed(seconds) for seconds in (26.64, 754.0, 48927.0)]
        ['26.6 s', '12:34', '13:35:27']
    """
    if seconds < 600:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
