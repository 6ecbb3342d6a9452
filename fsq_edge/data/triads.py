"""Which channels are the x, y and z axis of one sensor, and what that sensor measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fsq_edge.data.recording import Channel
from fsq_edge_runtime.tables.units import UNITS, Sensor

# Where the unit is not in the table, the name decides.
SENSOR_OF_NAME: tuple[tuple[str, Sensor], ...] = (("acc", "acceleration"), ("gyr", "rate"), ("mag", "field"))
_SEPARATORS = "_ .-/:()[]"

__all__ = ["UNITS", "Sensor", "Triad", "find_triads", "in_si", "sensor_of"]


@dataclass(frozen=True, slots=True)
class Triad:
    """Three consecutive channels x, y, z of one sensor.

    Attributes:
        first: index of the x channel.
        sensor: what the triad measures.
        name: the channels' common name less the axis; may be empty.
    """

    first: int
    sensor: Sensor
    name: str


def in_si(unit: str) -> float:
    """Return the factor that turns a value of this unit into m/s2, rad/s or uT; 1 for an unknown unit."""
    return 1 / UNITS[unit][1] if unit in UNITS else 1.0


def sensor_of(channel: Channel) -> Sensor | None:
    """Return what a channel measures, by its unit, else by acc, gyr or mag in its name; None where neither says."""
    if channel.unit in UNITS:
        return UNITS[channel.unit][0]
    name = channel.name.lower()
    return next((sensor for part, sensor in SENSOR_OF_NAME if part in name), None)


def find_triads(channels: Sequence[Channel]) -> tuple[Triad, ...]:
    """Return the triads among ``channels``: three in a row of one sensor and unit.

    Their names differ in one letter only, which runs through x, y, z in either case and may stand anywhere: ``acc_x``,
    ``ax``, ``x-acc``, ``AccX_left``. Numbered channels are no triad: they may be three sensors of one axis each.

    Example:
        >>> [triad.name for triad in find_triads([Channel(f"acc_{axis}", "g") for axis in "xyz"])]
        ['acc']
    """
    found, at = [], 0
    while at + 3 <= len(channels):
        triad = _triad(channels, at)
        if triad is not None:
            found.append(triad)
        at += 3 if triad is not None else 1
    return tuple(found)


def _triad(channels: Sequence[Channel], first: int) -> Triad | None:
    three = channels[first : first + 3]
    sensor, name = sensor_of(three[0]), _common_name([channel.name for channel in three])
    if sensor is None or name is None or len({(sensor_of(channel), channel.unit) for channel in three}) != 1:
        return None
    return Triad(first, sensor, name)


def _common_name(names: Sequence[str]) -> str | None:
    """What three names share around their axis letter; None where they do not differ in an axis alone."""
    if len({len(name) for name in names}) != 1:
        return None
    differing = [at for at, letters in enumerate(zip(*names, strict=True)) if len(set(letters)) > 1]
    if len(differing) != 1:
        return None
    at = differing[0]
    if "".join(name[at] for name in names).lower() != "xyz":
        return None
    return (names[0][:at].rstrip(_SEPARATORS) + names[0][at + 1 :]).strip(_SEPARATORS)
