"""Unit words as people write them, and what a column's name says: sensor, axis, unit."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

Sensor = Literal["acceleration", "rate", "field"]

# Unit -> (what is measured, how many of them make one m/s2, rad/s or uT).
UNITS: dict[str, tuple[Sensor, float]] = {
    "m/s2": ("acceleration", 1.0),
    "m/s^2": ("acceleration", 1.0),
    "m/s²": ("acceleration", 1.0),
    "g": ("acceleration", 1 / 9.80665),
    "mg": ("acceleration", 1000 / 9.80665),
    "rad/s": ("rate", 1.0),
    "deg/s": ("rate", math.degrees(1)),
    "°/s": ("rate", math.degrees(1)),
    "dps": ("rate", math.degrees(1)),
    "uT": ("field", 1.0),
    "µT": ("field", 1.0),
    "mT": ("field", 1e-3),
    "mG": ("field", 10.0),
    "G": ("field", 0.01),
    "gauss": ("field", 0.01),
    "nT": ("field", 1000.0),
}
# Spelling without spaces, dots, stars and brackets, in lower case -> unit. Case matters in G (gauss or gravity, by the
# sensor) and in mg and mG; those are handled apart.
_SPELLINGS = {
    **dict.fromkeys(
        ("m/s2", "m/s^2", "m/s²", "ms-2", "ms^-2", "m/s/s", "m/s**2", "m/sec2", "m/sec^2", "m/sec²", "mps2"), "m/s2"
    ),
    **dict.fromkeys(("m·s-2", "m·s^-2", "ms⁻²", "m·s⁻²", "meter/second²", "meters/second^2", "metre/second²"), "m/s2"),
    **dict.fromkeys(("g", "gs", "g's", "gravity", "gee", "gravities", "g-force", "gforce"), "g"),
    **dict.fromkeys(("mg", "milli-g", "millig", "milli_g"), "mg"),
    **dict.fromkeys(
        ("rad/s", "rad/sec", "rads/s", "radians/s", "radians/second", "rads-1", "rads^-1", "rad·s⁻¹"), "rad/s"
    ),
    **dict.fromkeys(
        ("deg/s", "deg/sec", "degs/s", "°/s", "º/s", "dps", "degrees/s", "degrees/second", "deg·s⁻¹"), "deg/s"
    ),
    **dict.fromkeys(("degree/s", "degree/second", "degrees/sec", "degs-1"), "deg/s"),
    **dict.fromkeys(("ut", "µt", "μt", "microtesla", "micro-tesla"), "uT"),
    **dict.fromkeys(("mt", "millitesla"), "mT"),
    **dict.fromkeys(("nt", "nanotesla"), "nT"),
    **dict.fromkeys(("gauss", "ga"), "gauss"),
    **dict.fromkeys(("mgauss", "milligauss", "mga"), "mG"),
}
TIME_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "µs", "μs", "usec", "micros", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("ns", "nsec", "nanos", "nanosecond", "nanoseconds"), "ns"),
}
_SENSORS: tuple[tuple[str, Sensor, str], ...] = (
    # What stands in a name, in lower case without separators -> quantity, our channel's first part.
    (r"lin(ear)?acc|useracc|accuser", "acceleration", "lin_acc"),
    (r"gravity|gravacc", "acceleration", "gravity"),
    (r"acc|accel|gf(?=[xyz])|gforce", "acceleration", "acc"),
    (r"gyr|angularvel|angularrate|angvel|rotationrate|rotrate|turnrate|omega", "rate", "gyro"),
    (r"mag(?!nitude)|compass|field", "field", "mag"),
)
_BRACKET = re.compile(r"^(.*?)\s*[\[(]([^\[\]()]*(?:\([^()]*\)[^\[\]()]*)?)[\])]\s*\*?\s*(.*)$")
_AXIS = re.compile(r"(?:^|[^a-z])([xyz])(?:[^a-z]|$)|(?<=[a-z])([XYZ])(?![a-z])")
_SHORT = re.compile(r"^(a|g|m|w|b)_?([xyz])$", re.IGNORECASE)
_SHORT_SENSORS: dict[str, tuple[Sensor, str]] = {
    "a": ("acceleration", "acc"),
    "g": ("rate", "gyro"),
    "w": ("rate", "gyro"),
    "m": ("field", "mag"),
    "b": ("field", "mag"),
}


@dataclass(frozen=True, slots=True)
class ColumnName:
    """What a column's name says.

    Args:
        base: the name without its unit.
        unit: the unit as this project spells it, or as written where it is no unit of an inertial sensor.
        sensor: what is measured; None where the name does not say.
        channel: the channel name it suggests, such as ``acc_x``; empty where sensor or axis is not known.
        axis: ``x``, ``y``, ``z`` or empty.
    """

    base: str
    unit: str = ""
    sensor: Sensor | None = None
    channel: str = ""
    axis: str = ""


def spell_unit(word: str, sensor: Sensor | None = None) -> str:
    """Return the project's spelling of a unit of acceleration, rotation or magnetic field; empty for other words.

    Args:
        word: as written, such as ``m/s²``, ``deg/sec``, ``[G]``.
        sensor: what is measured, which decides between gravity and gauss.

    Example:
        >>> spell_unit("m/(s^2)*"), spell_unit("G"), spell_unit("G", "field"), spell_unit("hPa")
        ('m/s2', 'g', 'gauss', '')
    """
    text = re.sub(r"[\s.*()\[\]]", "", word)
    if sensor == "field" and text in ("G", "mG"):
        return "gauss" if text == "G" else "mG"
    if sensor is None and text == "mG":
        return "mG"
    unit = _SPELLINGS.get(text.lower(), "")
    if unit and sensor is not None and UNITS[unit][0] != sensor:
        return ""
    return unit


def name_column(name: str, unit: str = "") -> ColumnName:
    """Read a column's name.

    Args:
        name: as in the header: ``AccX [g]``, ``Gyroscope X (deg/s)``, ``Linear Acceleration x (m/s^2)``, ``ax``.
        unit: from a row of units, where the file has one.

    Example:
        >>> name_column("Gyroscope X (deg/s)")
        ColumnName(base='Gyroscope X', unit='deg/s', sensor='rate', channel='gyro_x', axis='x')
    """
    base, written = name.strip(), unit.strip()
    found = _BRACKET.match(base)
    if found and not written:
        base, written = f"{found.group(1)} {found.group(3)}".strip(), found.group(2).strip()
    sensor, prefix = _sensor(base)
    if sensor is None and found and not spell_unit(written) and _sensor(name)[0]:
        base, written = name.strip(), unit.strip()  # the brackets hold the name: float(AccX)
        sensor, prefix = _sensor(base)
    axis = _axis(base.strip("()[]%\"' "))
    if sensor is None and written:
        spelled = spell_unit(written)
        sensor = UNITS[spelled][0] if spelled else None
        prefix = {"acceleration": "acc", "rate": "gyro", "field": "mag"}.get(sensor or "", "")
    spelled = spell_unit(written, sensor) or spell_unit(written)
    channel = f"{prefix}_{axis}" if sensor and axis else ""
    return ColumnName(base, spelled or written, sensor, channel, axis)


def conversion(unit: str, to: str) -> float:
    """Return the factor that turns values in ``unit`` into ``to``.

    Raises:
        ValueError: a unit is not known, or they measure different things.
    """
    if unit == to:
        return 1.0
    for word in (unit, to):
        if word not in UNITS:
            raise ValueError(f"the unit {word!r} is not one of {', '.join(sorted(UNITS))}")
    if UNITS[unit][0] != UNITS[to][0]:
        raise ValueError(f"{unit} measures {UNITS[unit][0]}, {to} measures {UNITS[to][0]}")
    return UNITS[to][1] / UNITS[unit][1]


def sensor_of_word(word: str) -> tuple[Sensor | None, str]:
    """Return what a word such as ``Accelerometer`` or ``left_gyro`` measures, and the first part of its channels."""
    return _sensor(word)


def _sensor(base: str) -> tuple[Sensor | None, str]:
    short = _SHORT.match(base)
    if short:
        return _SHORT_SENSORS[short.group(1).lower()]
    plain = re.sub(r"[^a-z]", "", base.lower())
    for pattern, sensor, prefix in _SENSORS:
        if re.search(pattern, plain):
            return sensor, prefix
    return None, ""


def _axis(base: str) -> str:
    short = _SHORT.match(base)
    if short:
        return short.group(2).lower()
    found = _AXIS.search(base) or _AXIS.search(re.sub(r"[\W_]+", " ", base.lower()))
    if found:
        return (found.group(1) or found.group(2)).lower()
    tail = re.search(r"([xyz])$", base.lower())
    if tail and _sensor(base[:-1])[0]:
        return tail.group(1)
    lead = re.match(r"([xyz])", base.lower())
    return lead.group(1) if lead and _sensor(base[1:])[0] else ""
