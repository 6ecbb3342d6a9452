"""What one file seems to hold: its channels, times and labels, each with the reason and what is in doubt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fsq_edge.data.importing.import_map import DEVICE
from fsq_edge.data.importing.inputs import InputFile
from fsq_edge.data.importing.reader import Column, Description, Reader
from fsq_edge.data.importing.series import fitting_unit
from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.tables.times import TextClock, TimeForm, looks_like_date, numbers_to_seconds, recognize_time
from fsq_edge_runtime.tables.units import UNITS, name_column, sensor_of_word, spell_unit

_LABEL = re.compile(r"label|behavio|activit|class|annotation|\bstate\b|gesture|exercise", re.IGNORECASE)
_LABEL_ALONE = re.compile(r"labels?|behaviou?r|activity|class", re.IGNORECASE)
_SUBJECT = re.compile(
    r"^(subject|animal|individual|participant|person|dog|cow|horse|user|wearer)"
    r"([-_ ]?(id|name|local[-_ ]identifier))?$",
    re.IGNORECASE,
)
_NO_CHANNEL = re.compile(
    r"counter|packet|index|sample|latitude|longitude|altitude|batt|temp|press|humid|light|lux|quat|year"
)
_ORDER = {"acc": 0, "gyro": 1, "mag": 2}
MAX_CLASSES = 60
FAST_TURN = 40.0  # rad/s: no consumer gyroscope measures more, so larger values are deg/s


@dataclass(frozen=True, slots=True)
class Fact:
    """A value of the map, why it was chosen, and what may be wrong with it."""

    value: str
    reason: str = ""
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class SketchedChannel:
    """A channel that the file seems to give."""

    channel: str
    column: str
    unit: Fact


@dataclass(slots=True)
class Sketch:
    """What one file seems to hold."""

    file: InputFile
    reader: Reader
    description: Description
    channels: list[SketchedChannel] = field(default_factory=list)
    time: dict[str, Fact] = field(default_factory=dict)
    time_columns: tuple[str, ...] = ()
    rate_hz: float = 0.0
    label: str = ""
    subject: str = ""
    unused: tuple[str, ...] = ()

    @property
    def signature(self) -> tuple[object, ...]:
        """What files of one kind agree in."""
        time = tuple((key, fact.value) for key, fact in self.time.items() if key not in ("rate_hz", "start"))
        channels = tuple((c.channel, c.column, c.unit.value) for c in self.channels)
        return (self.reader.name, self.description.dialect, channels, time, self.time_columns, self.label, self.subject)


def sketch_file(file: InputFile, reader: Reader, description: Description) -> Sketch:
    """Look at one file; nothing is read beyond what the description holds."""
    found = Sketch(file, reader, description)
    decimal = description.dialect.decimal if description.dialect else "."
    _sketch_time(found, decimal)
    columns = [column for column in description.columns if column.name not in found.time_columns]
    for column in columns:
        cells = {cell.strip() for cell in column.cells if cell.strip()}
        text = bool(cells) and not all(_is_number(cell, decimal) for cell in cells)
        whole = _LABEL_ALONE.fullmatch(column.name.strip())  # before `behaviour_event`, which comes first in some files
        if (not found.label or whole) and _LABEL.search(column.name) and len(cells) <= MAX_CLASSES:
            found.label = column.name
        elif not found.subject and _SUBJECT.match(column.name) and (text or len(cells) <= MAX_CLASSES):
            found.subject = column.name
    rest = [column for column in columns if column.name not in (found.label, found.subject)]
    _sketch_channels(found, rest, decimal)
    used = {channel.column for channel in found.channels}
    found.unused = tuple(column.name for column in rest if column.name not in used)
    return found


def _sketch_channels(found: Sketch, columns: Sequence[Column], decimal: str) -> None:
    stem_sensor, stem_prefix = sensor_of_word(found.file.stem)
    bare = _bare_axes(columns, decimal) if stem_sensor is None else ()
    named: list[tuple[str, Column, str, str | None]] = []
    for column in columns:
        read = name_column(column.name, column.unit)
        channel, sensor = read.channel, read.sensor
        if not channel and read.axis and stem_sensor and len(read.base) <= 8:
            channel, sensor = f"{stem_prefix}_{read.axis}", stem_sensor
        if column in bare:
            channel, sensor = f"acc_{read.axis}", "acceleration"
        if channel and _numeric(column, decimal):
            named.append((channel, column, read.unit, sensor))
    sure = bool(named)
    if not named:
        named = [
            (slug(column.name), column, name_column(column.name, column.unit).unit, None)
            for column in columns
            if column.cells and _numeric(column, decimal) and not _NO_CHANNEL.search(column.name.lower())
        ]
    taken: set[str] = set()
    groups: dict[str, list[tuple[str, Column, str, str | None]]] = {}
    for entry in named:
        channel = entry[0]
        if channel in taken:
            channel = slug(entry[1].name)
        taken.add(channel)
        groups.setdefault(re.sub(r"_[xyz]$", "", channel), []).append((channel, *entry[1:]))
    acceleration = ""
    for members in groups.values():
        unit = _unit_of(members, decimal, acceleration, sure)
        if found.description.time:
            unit = Fact(unit.value, "the format fixes it")
        if members[0][3] == "acceleration" and not acceleration:
            acceleration = unit.value
        found.channels += [SketchedChannel(channel, column.name, unit) for channel, column, _, _ in members]
    # Accelerometer first, and x, y, z in a row whatever the order of the file: so the axes form a triad.
    place = {prefix: i for i, prefix in enumerate(groups)}

    def order(channel: SketchedChannel) -> tuple[int, int, str]:
        prefix = re.sub(r"_[xyz]$", "", channel.channel)
        return _ORDER.get(prefix.partition("_")[0], len(_ORDER)), place[prefix], channel.channel[len(prefix) :]

    found.channels.sort(key=order)


def _bare_axes(columns: Sequence[Column], decimal: str) -> tuple[Column, ...]:
    """Return the columns called x, y and z alone where their length is gravity's and no other sensor is named."""
    if any(name_column(column.name, column.unit).channel for column in columns):
        return ()
    axes = tuple(column for column in columns if column.name.strip().lower() in ("x", "y", "z"))
    if {column.name.strip().lower() for column in axes} != {"x", "y", "z"} or len(axes) != 3:
        return ()
    values = [_values(column, decimal) for column in axes]
    length = min(map(len, values))
    norm = np.sqrt(np.sum([part[:length] ** 2 for part in values], axis=0))
    norm = norm[np.isfinite(norm)]
    return axes if norm.size and fitting_unit(float(np.median(norm))) else ()


def _unit_of(
    members: Sequence[tuple[str, Column, str, str | None]], decimal: str, acceleration: str, sure: bool
) -> Fact:
    channel, column, written, sensor = members[0]
    if written:
        where = "the row of units" if column.unit else "the name of the column"
        known = "" if spell_unit(written) else f"{written} is no unit of an inertial sensor"
        return Fact(written, f"{where} says so", known)
    values = [_values(member[1], decimal) for member in members]
    length = min(map(len, values))
    norm = np.sqrt(np.sum([part[:length] ** 2 for part in values], axis=0))
    norm = norm[np.isfinite(norm)]
    typical = float(np.median(norm)) if norm.size else 0.0
    if not sure:
        return Fact("", doubt="no sensor is recognised by the names; give the unit")
    if sensor == "acceleration" and channel.startswith("acc") and len(members) == 3:
        unit = fitting_unit(typical)
        return (
            Fact(unit, f"the median norm is {typical:.3g}")
            if unit
            else Fact("", doubt=f"a norm of {typical:.3g} fits none")
        )
    if sensor == "acceleration":
        return Fact(acceleration or "m/s2", "as the accelerometer" if acceleration else "", "the unit stands nowhere")
    if sensor == "rate":
        if norm.size and float(np.percentile(norm, 99)) > FAST_TURN:
            return Fact("deg/s", "turns are faster than any gyroscope in rad/s")
        unit = "rad/s" if acceleration == "m/s2" else "deg/s"
        return Fact(unit, f"goes with {acceleration or 'nothing else'}", "the unit stands nowhere")
    for unit, (low, high) in {"uT": (10, 150), "gauss": (0.1, 1.5), "mG": (150, 1500)}.items():
        if low <= typical <= high:
            return Fact(unit, f"the median norm {typical:.3g} is near the Earth's field", "the unit stands nowhere")
    return Fact("a.u.", f"a median norm of {typical:.3g} is no field of the Earth", "")


def _sketch_time(found: Sketch, decimal: str) -> None:
    description = found.description
    if description.time:
        found.rate_hz = description.rate_hz or 0.0
        if description.device_clock:
            found.time["zone"] = Fact(
                DEVICE, "the device keeps a clock without a zone", "put its zone here if you know it"
            )
            found.time_columns = (description.time,)
        return
    forms = _time_forms(description.columns, decimal)
    if not forms:
        rate = description.rate_hz
        found.rate_hz = rate or 50.0
        reason = "the file states this rate" if rate else ""
        found.time["rate_hz"] = Fact(
            f"{found.rate_hz:g}", reason, "" if rate else "no column of times and no rate: give the rate"
        )
        return
    columns, form = forms[0]
    found.time_columns = tuple(column.name for column in columns)
    found.time["form"] = Fact(form.kind, form.reason, form.doubt)
    if form.kind == "pattern":
        found.time["pattern"] = Fact(form.pattern, form.reason)
    if form.local:
        found.time["zone"] = Fact(DEVICE, "the times say no zone", "put the zone here, such as Europe/Vienna")
    times = _first_times(columns, form, decimal)
    steps = np.diff(times)
    if len(steps) and (steps == 0).mean() > 0.3:
        found.time["spread"] = Fact(
            "true", f"{100 * (steps == 0).mean():.0f} % of the rows share a stamp with the one before"
        )
        inner = np.flatnonzero(np.diff(times) > 0)
        stamps = times[inner + 1]
        found.rate_hz = float((inner[-1] - inner[0]) / (stamps[-1] - stamps[0])) if len(inner) > 1 else 1.0
    elif (steps > 0).any():
        found.rate_hz = 1 / float(np.median(steps[steps > 0]))


def _time_forms(columns: Sequence[Column], decimal: str) -> list[tuple[tuple[Column, ...], TimeForm]]:
    forms: list[tuple[int, tuple[Column, ...], TimeForm]] = []
    dates = [
        column
        for column in columns
        if column.cells and all(looks_like_date(cell) for cell in column.cells[:20] if cell)
    ]
    for column in columns:
        name = f"{column.name} [{column.unit}]" if column.unit else column.name
        form = recognize_time(name, column.cells, decimal)
        if form is None:
            continue
        if form.kind == "clock" and dates:
            cells = [f"{a} {b}" for a, b in zip(dates[0].cells, column.cells, strict=False)]
            joined = recognize_time(column.name, cells, decimal)
            if joined is not None:
                forms.append((0, (dates[0], column), joined))
                continue
        rank = 0 if form.kind in ("iso", "pattern") else 1 if not form.doubt else 2
        forms.append((rank + (3 if form.kind == "clock" else 0), (column,), form))
    return [(found, form) for _, found, form in sorted(forms, key=lambda entry: entry[0])]


def _first_times(columns: Sequence[Column], form: TimeForm, decimal: str) -> Float64Array:
    cells = [" ".join(parts) for parts in zip(*(column.cells for column in columns), strict=False)]
    if form.kind in ("iso", "pattern", "clock"):
        times = TextClock(form).seconds(cells)
    else:
        times = numbers_to_seconds(_values(columns[0], decimal), form.kind)
    finite: Float64Array = times[np.isfinite(times)]
    return finite


def _numeric(column: Column, decimal: str) -> bool:
    cells = [cell for cell in column.cells if cell]
    return not cells or sum(_is_number(cell, decimal) for cell in cells) > 0.9 * len(cells)


def _is_number(cell: str, decimal: str) -> bool:
    try:
        float(cell.replace(",", ".") if decimal == "," else cell)
    except ValueError:
        return False
    return True


def _values(column: Column, decimal: str) -> Float64Array:
    cells = [cell.replace(",", ".") if decimal == "," else cell for cell in column.cells]
    return np.array([float(cell) if _is_number(cell, ".") else np.nan for cell in cells], np.float64)


def slug(name: str) -> str:
    """Return a channel name from a column's name: lower case, words joined by underscores, units left out."""
    base = name_column(name).base or name
    return re.sub(r"\W+", "_", base.lower()).strip("_") or "channel"


def convertible(unit: str, to: str) -> bool:
    """Whether values in one unit can be turned into the other."""
    return unit in UNITS and to in UNITS and UNITS[unit][0] == UNITS[to][0]
