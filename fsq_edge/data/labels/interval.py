"""An interval with a label, as an annotation tool wrote it."""

from __future__ import annotations

from dataclasses import dataclass

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tables.times import TextClock, TimeForm

EPOCH_FROM = 1.0e9  # seconds: a larger number is a time since 1970


@dataclass(frozen=True, slots=True)
class LabelSpan:
    """A stretch of time with a label.

    Args:
        start: seconds from the start of the video or recording, or since 1970 where ``absolute``.
        stop: end, not included; equal to ``start`` for a point.
        label: as written.
        subject: as written; empty where the file does not say.
        recording: the observation or file that it belongs to, as written; empty where the file does not say.
        absolute: times count from 1970.
        line: of the file, for messages.
        tier: of an ELAN document; empty elsewhere.
    """

    start: float
    stop: float
    label: str
    subject: str = ""
    recording: str = ""
    absolute: bool = False
    line: int = 0
    tier: str = ""

    @property
    def is_point(self) -> bool:
        """Whether it has no duration."""
        return self.stop <= self.start


@dataclass(frozen=True, slots=True)
class LabelFile:
    """What one file holds.

    Args:
        name: of the file.
        format: that it was read as.
        intervals: in the order of the file.
        in_samples: times are indices of samples, not seconds.
    """

    name: str
    format: str
    intervals: tuple[LabelSpan, ...]
    in_samples: bool = False


def read_time(text: str, where: str) -> tuple[float, bool]:
    """Return a time as written, in seconds, and whether it counts from 1970.

    Args:
        text: seconds, ``[HH:]MM:SS.fff``, or ISO 8601 (without a zone: UTC).
        where: file and line, for the message.

    Raises:
        DataError: none of these.
    """
    plain = text.strip()
    try:
        seconds = float(plain.replace(",", "."))
    except ValueError:
        pass
    else:
        return seconds, seconds >= EPOCH_FROM
    iso = float(TextClock(TimeForm("iso")).seconds([plain])[0]) if len(plain) >= 12 else float("nan")
    if iso == iso:
        return iso, True
    parts = plain.replace(",", ".").split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if 2 <= len(numbers) <= 3:
        seconds = 0.0
        for number in numbers:
            seconds = seconds * 60 + number
        return seconds, False
    raise DataError(
        f"{where}: {text[:40]!r} is no time", hint="seconds, HH:MM:SS.fff or ISO 8601 such as 2024-06-01T10:00:00Z"
    )
