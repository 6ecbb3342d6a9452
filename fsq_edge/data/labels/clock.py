"""From the clock of the labels to the clock of the sensor: an offset, or a line through two anchors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fsq_edge.data.labels.interval import read_time
from fsq_edge_runtime.errors import UsageError

MAX_STRETCH = 0.05  # a clock that is 5 % off is no clock


@dataclass(frozen=True, slots=True)
class ClockLine:
    """Sensor time = ``at_sensor`` + (label time - ``at_label``) * ``stretch``.

    Args:
        at_label: an instant on the labels' clock, seconds.
        at_sensor: that instant on the sensor's.
        stretch: seconds of the sensor's clock in one of the labels'.
    """

    at_label: float = 0.0
    at_sensor: float = 0.0
    stretch: float = 1.0

    def to_sensor(self, label_time: float) -> float:
        """Return the sensor's time of an instant on the labels' clock."""
        return self.at_sensor + (label_time - self.at_label) * self.stretch

    @property
    def drift_s_per_hour(self) -> float:
        """How much the sensor's clock gains in an hour of the labels'."""
        return (self.stretch - 1) * 3600


def clock_lines(offsets: Sequence[str], anchors: Sequence[str]) -> dict[str, ClockLine]:
    """Read clock settings.

    Args:
        offsets: ``[KEY=]SECONDS``, added to label times; without a key for all.
        anchors: ``[KEY=]LABEL@SENSOR``, two for a key (offset and stretch) or one (offset). Times are seconds from the
            start, or ISO 8601.

    Returns:
        Key (a subject, recording or label file; empty for all) -> line.

    Raises:
        UsageError: not of that form, a key twice, more than two anchors, or a stretch of more than 5 %.
    """
    lines: dict[str, ClockLine] = {}
    for text in offsets:
        key, value = _keyed(text)
        try:
            offset = float(value)
        except ValueError as error:
            raise UsageError(f"--offset {text!r} is not [KEY=]SECONDS") from error
        if key in lines:
            raise UsageError(f"two offsets for {key or 'all'}")
        lines[key] = ClockLine(0.0, offset)
    pairs: dict[str, list[tuple[float, float]]] = {}
    for text in anchors:
        key, value = _keyed(text)
        label, found, sensor = value.partition("@")
        if not found:
            raise UsageError(f"--anchor {text!r} is not [KEY=]LABEL@SENSOR", hint="such as --anchor rex=12.0@14.5")
        pairs.setdefault(key, []).append((read_time(label, "--anchor")[0], read_time(sensor, "--anchor")[0]))
    for key, found_pairs in pairs.items():
        if key in lines:
            raise UsageError(f"an offset and an anchor for {key or 'all'}", hint="give one of them")
        lines[key] = _through(sorted(found_pairs), key)
    return lines


def line_for(lines: Mapping[str, ClockLine], *keys: str) -> ClockLine:
    """Return the line of the first key that has one, else the one for all, else no change."""
    for key in (*keys, ""):
        if key in lines:
            return lines[key]
    return ClockLine()


def _through(pairs: Sequence[tuple[float, float]], key: str) -> ClockLine:
    if len(pairs) == 1:
        return ClockLine(pairs[0][0], pairs[0][1])
    if len(pairs) > 2:
        raise UsageError(f"{len(pairs)} anchors for {key or 'all'}, one or two are used", hint="choose the outermost")
    (label_1, sensor_1), (label_2, sensor_2) = pairs
    if label_2 <= label_1:
        raise UsageError(f"both anchors of {key or 'all'} are at {label_1:g}")
    stretch = (sensor_2 - sensor_1) / (label_2 - label_1)
    if abs(stretch - 1) > MAX_STRETCH:
        raise UsageError(
            f"the anchors of {key or 'all'} stretch time by {100 * (stretch - 1):+.1f} %",
            hint="is one of them mistaken?",
        )
    return ClockLine(label_1, sensor_1, stretch)


def _keyed(text: str) -> tuple[str, str]:
    key, found, value = text.rpartition("=")
    return (key, value) if found else ("", text)
