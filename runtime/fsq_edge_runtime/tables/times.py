"""Times as files write them: which form a column has, and its values as float64 seconds.

A form is a number of seconds, ms, us or ns (since anything: the start or 1970), an ISO 8601 text with or without zone,
a clock (``HH:MM:SS.fff``, which starts anew at midnight, or ``MM:SS.f`` as spreadsheets save it, which starts anew
every hour), or a date and time by a ``strptime`` pattern.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final, Literal

import numpy as np

from fsq_edge_runtime.arrays import AnyArray, Float64Array
from fsq_edge_runtime.tables.zones import Ambiguous, LocalClock

NumberUnit = Literal["s", "ms", "us", "ns"]
Kind = Literal["s", "ms", "us", "ns", "iso", "clock", "pattern"]

PER_SECOND: Final[dict[Kind, int]] = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}
DAY: Final = 86400.0
HOUR: Final = 3600.0
_EPOCH = datetime(1970, 1, 1)
_ISO = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}([.,:]\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?(\s*\[[\w/+-]+\])?)?\Z"
)
# Two numbers without a fraction would be hours and minutes, which no logger writes for samples.
_CLOCK = re.compile(r"(\d{1,2}:\d{2}:\d{2}([.,:]\d+)?|[0-5]?\d:[0-5]\d[.,]\d+)\Z")
_DATE = re.compile(r"(\d{4}-\d{1,2}-\d{1,2}|\d{1,4}([/.])\d{1,2}\2\d{1,4})\Z")
_DATED = re.compile(
    r"(\d{1,4})([/.-])(\d{1,2})\2(\d{1,4})[ T]+\d{1,2}:\d{2}"
    r"(?P<seconds>:\d{2}(?P<dot>[.,])?\d*)?(?P<half>\s*[AaPp][Mm])?\Z"
)
# From this many seconds on a number is a time since 1970 (2001) and no longer one since the start (31 years).
_EPOCH_FROM, _EPOCH_TO = 1.0e9, 4.2e9
_NAMES: tuple[tuple[str, NumberUnit], ...] = (
    (r"[\[(]\s*ns\s*[\])]|nanos|(_|\b)ns\b", "ns"),
    (r"[\[(]\s*[uµμ]s\s*[\])]|micros|(_|\b)us\b", "us"),
    (r"[\[(]\s*ms\s*[\])]|milli|(_|\b)ms\b|msec", "ms"),
    (r"[\[(]\s*s(ec\w*)?\s*[\])]|second|sekund|segund|(_|\b)s(ec)?\b", "s"),
)
_TIME_NAME = re.compile(r"time|stamp|clock|date|\bt\b|^t_|elapsed|epoch|unix|\bsec|\butc\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TimeForm:
    """How a column writes its times.

    Args:
        kind: a unit of numbers, ``iso``, ``clock`` or ``pattern``.
        pattern: of ``datetime.strptime``, for the kind ``pattern``.
        zoned: the texts carry a zone themselves.
        reason: why this form was recognised, for a person.
        doubt: what cannot be decided from the values; empty where nothing is in doubt.
    """

    kind: Kind
    pattern: str = ""
    zoned: bool = False
    reason: str = ""
    doubt: str = ""

    @property
    def local(self) -> bool:
        """Whether the texts are dates of a wall clock whose zone they do not say."""
        return self.kind in ("iso", "pattern") and not self.zoned


def looks_like_time(cell: str) -> bool:
    """Whether a cell is the text of a date, of a date with time, or of a clock."""
    return bool(_ISO.match(cell) or _CLOCK.match(cell) or _DATED.match(cell) or _DATE.match(cell))


def looks_like_date(cell: str) -> bool:
    """Whether a cell is the text of a date without a time of day."""
    return _DATE.match(cell) is not None


def recognize_time(name: str, cells: Sequence[str], decimal: str = ".") -> TimeForm | None:
    """Find out whether and how a column holds times.

    Args:
        name: of the column; it decides the unit of a number where it says one.
        cells: its first values; at least two tell a time from a constant.
        decimal: the mark of the numbers.

    Returns:
        The form; None where the values cannot be times: no numbers or dates, not rising, or a mere counter.
    """
    filled = [cell for cell in cells if cell]
    if not filled:
        return None
    if all(len(cell) >= 12 and _ISO.match(cell) for cell in filled):
        zoned = all(re.search(r"(Z|[+-]\d{2}:?\d{2})(\s*\[[\w/+-]+\])?\Z", cell[10:]) for cell in filled)
        return TimeForm("iso", zoned=zoned, reason=f"values such as {filled[0]!r} are ISO 8601")
    if all(_CLOCK.match(cell) for cell in filled):
        return TimeForm("clock", reason=f"values such as {filled[0]!r} are a clock")
    if all(_DATED.match(cell) for cell in filled):
        return _dated(filled)
    try:
        numbers = [float(cell.replace(",", ".") if decimal == "," else cell) for cell in filled]
    except ValueError:
        return None
    return _numbered(name, np.asarray(numbers))


def numbers_to_seconds(values: AnyArray, kind: Kind) -> Float64Array:
    """Return numbers of a unit as float64 seconds; whole numbers of any width lose nothing before the division.

    Raises:
        ValueError: the kind is no unit of numbers.
    """
    per = PER_SECOND.get(kind)
    if per is None:
        raise ValueError(f"{kind} is no unit of numbers")
    if values.dtype.kind in "iu" and per > 1:
        whole, rest = np.divmod(values, per)
        seconds: Float64Array = whole.astype(np.float64) + rest.astype(np.float64) / per
        return seconds
    return np.asarray(values, np.float64) / per


class TextClock:
    """Turns the texts of one column into seconds, block by block.

    Seconds count from 1970 where a zone is known, from 1970 of the local clock where none is given (differences are
    right, the hour of a clock change is not), and from the first midnight (or full hour) for a clock.

    Args:
        form: of kind ``iso``, ``clock`` or ``pattern``.
        zone: of local times; None takes them as they stand.
        ambiguous: what a local time means that occurs twice, when clocks are set back.
    """

    def __init__(self, form: TimeForm, zone: tzinfo | None = None, ambiguous: Ambiguous = "refuse") -> None:
        self._form = form
        self._zone = LocalClock(zone, ambiguous) if zone is not None else None
        self._last_clock = -np.inf
        self._midnights = 0.0

    def seconds(self, cells: Sequence[str]) -> Float64Array:
        """Return seconds, float64 (n,); NaN where a cell is not a time of this form.

        Raises:
            LocalTimeError: a local time occurs twice, or never, in its zone; it carries the position.
        """
        if self._form.kind == "clock":
            return self._clock(cells)
        if self._form.kind == "iso":
            found = _uniform_iso(cells)
            naive, offset = found if found is not None else _each(cells, _read_iso)
        else:
            pattern = self._form.pattern
            naive, offset = _each(cells, lambda cell: datetime.strptime(cell.replace(",", "."), pattern))
        local = np.isnan(offset)
        if self._zone is not None and local.any():
            offset = np.where(local, self._zone.offsets(np.where(local, naive, np.nan)), offset)
        seconds: Float64Array = naive - np.where(np.isnan(offset), 0.0, offset)
        return seconds

    def _clock(self, cells: Sequence[str]) -> Float64Array:
        times = np.array([_read_clock(cell) for cell in cells], np.float64)
        for i in np.flatnonzero(np.isfinite(times)):
            turn = DAY if cells[i].count(":") > 1 else HOUR
            # Back by more than half a turn is midnight; less is a step back, which the reader of the rows judges.
            if times[i] < self._last_clock - turn / 2:
                self._midnights += turn
            self._last_clock = float(times[i])
            times[i] += self._midnights
        return times


def _numbered(name: str, numbers: Float64Array) -> TimeForm | None:
    steps = np.diff(numbers)
    rising = steps[steps > 0]
    if len(numbers) > 1 and (not rising.size or (steps < 0).sum() > 0.02 * len(steps)):
        return None
    first = float(abs(numbers[0]))
    by_size = next((u for u, per in PER_SECOND.items() if _EPOCH_FROM <= first / per <= _EPOCH_TO), None)
    by_name = next((unit for pattern, unit in _NAMES if re.search(pattern, name.lower())), None)
    if by_name:
        return TimeForm(by_name, reason=f"the name {name!r} says {by_name}")
    step = float(np.median(rising)) if rising.size else 0.0
    counter = step == 1.0 and bool((rising == 1.0).mean() > 0.95)
    named = _TIME_NAME.search(name) is not None
    if not named and (counter or by_size is None):
        return None
    if by_size:
        return TimeForm(by_size, reason=f"{numbers[0]:.10g} is a time since 1970 in {by_size}")
    if counter:
        return None
    unit: NumberUnit = "s" if step < 0.5 else "ms" if step < 2000 else "us" if step < 2e6 else "ns"
    return TimeForm(unit, reason=f"steps of {step:g} fit {unit}", doubt=f"nothing but the step says that it is {unit}")


def _dated(cells: Sequence[str]) -> TimeForm:
    found = [_DATED.match(cell) for cell in cells]
    first = [int(match.group(1)) for match in found if match]
    second = [int(match.group(3)) for match in found if match]
    match = found[0]
    if match is None:
        raise ValueError("not a date")
    mark, doubt = match.group(2), ""
    if len(match.group(1)) == 4:
        date = mark.join(("%Y", "%m", "%d"))
    else:
        year = "%Y" if len(match.group(4)) == 4 else "%y"
        month_first = max(second) > 12 or (max(first) <= 12 and mark == "/")
        date = mark.join(("%m", "%d", year) if month_first else ("%d", "%m", year))
        if max(first) <= 12 and max(second) <= 12 and any(a != b for a, b in zip(first, second, strict=True)):
            doubt = f"{cells[0]!r} could also begin with the {'day' if month_first else 'month'}"
    clock = "%I:%M" if match["half"] else "%H:%M"
    if match["seconds"]:
        clock += ":%S.%f" if match["dot"] else ":%S"
    pattern = f"{date} {clock}" + (" %p" if match["half"] else "")
    return TimeForm("pattern", pattern, reason=f"values such as {cells[0]!r} are {pattern}", doubt=doubt)


def _read_iso(cell: str) -> datetime:
    plain = re.sub(r"(:\d\d:\d\d):(?=\d)", r"\1.", cell.partition("[")[0].strip().replace(",", "."))
    whole, dot, rest = re.sub(r"\s+(?=[Z+-])", "", plain).partition(".")
    return datetime.fromisoformat(re.sub(r"(?<!\d)(\d)(?!\d)", r"0\1", whole) + dot + rest)


def _each(cells: Sequence[str], read: object) -> tuple[Float64Array, Float64Array]:
    """Read cell by cell: naive seconds and the offset that the cell states (NaN where none)."""
    naive = np.full(len(cells), np.nan)
    offset = np.full(len(cells), np.nan)
    for i, cell in enumerate(cells):
        try:
            at: datetime = read(cell)  # type: ignore[operator]  # one of the two functions above
        except (ValueError, TypeError):
            continue
        stated = at.utcoffset()
        if stated is not None:
            offset[i] = stated.total_seconds()
        # Microseconds as a whole number: exact, where a sum of float seconds is not.
        naive[i] = (at.replace(tzinfo=None) - _EPOCH) / timedelta(microseconds=1) / 1e6
    return naive, offset


def _uniform_iso(cells: Sequence[str]) -> tuple[Float64Array, Float64Array] | None:
    """Read ISO texts that all have one length and layout as columns of digits; None where they do not."""
    if not len(cells):
        return np.empty(0), np.empty(0)
    length = len(cells[0])
    if not 19 <= length <= 32 or not cells[0].isascii():
        return None
    try:
        joined = "".join(cells).encode("ascii")
    except (UnicodeEncodeError, TypeError):
        return None
    if len(joined) != length * len(cells):
        return None
    letters = np.frombuffer(joined, np.uint8).reshape(-1, length)
    model = letters[0]
    digit = (model >= 48) & (model <= 57)
    zone_at = next((i for i in range(19, length) if chr(model[i]) in "Z+-"), length)
    layout = "".join("9" if digit[i] else chr(model[i]) for i in range(min(zone_at, length))).replace(" ", "T")
    if not re.match(r"9999-99-99T99:99:99([.,:]9{1,9})?\Z", layout):
        return None
    same = (letters[:, ~digit] == model[~digit]).all() and ((letters[:, digit] >= 48) & (letters[:, digit] <= 57)).all()
    if not same:
        return None
    ints = letters.astype(np.int64) - 48
    value = {name: _digits(ints, at, n) for name, at, n in _FIELDS}
    if not ((value["month"] >= 1) & (value["month"] <= 12) & (value["day"] >= 1)).all():
        return None
    months = (value["year"] - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (value["month"] - 1)
    days = months.astype("datetime64[D]") + (value["day"] - 1)
    in_range = (value["hour"] < 24) & (value["minute"] < 60) & (value["second"] < 60)
    if not (in_range & (days.astype("datetime64[M]") == months)).all():
        return None
    seconds = days.astype(np.int64) * 86400 + value["hour"] * 3600 + value["minute"] * 60 + value["second"]
    digits = zone_at - 20
    fraction = _digits(ints, 20, digits) / 10**digits if digits > 0 else np.zeros(len(cells))
    offset = _stated_offset(ints, letters, zone_at, length)
    return None if offset is None else (seconds + fraction, offset)


_FIELDS = (("year", 0, 4), ("month", 5, 2), ("day", 8, 2), ("hour", 11, 2), ("minute", 14, 2), ("second", 17, 2))


def _digits(ints: AnyArray, at: int, count: int) -> AnyArray:
    value: AnyArray = np.zeros(len(ints), np.int64)
    for i in range(at, at + count):
        value = value * 10 + ints[:, i]
    return value


def _stated_offset(ints: AnyArray, letters: AnyArray, zone_at: int, length: int) -> Float64Array | None:
    if zone_at == length:
        return np.full(len(ints), np.nan)
    mark = chr(letters[0, zone_at])
    if mark == "Z":
        return np.zeros(len(ints)) if zone_at == length - 1 else None
    minute_at = {5: zone_at + 3, 6: zone_at + 4}.get(length - zone_at)
    if minute_at is None:
        return None
    seconds = _digits(ints, zone_at + 1, 2) * 3600 + _digits(ints, minute_at, 2) * 60
    return np.asarray(seconds, np.float64) * (-1 if mark == "-" else 1)


def _read_clock(cell: str) -> float:
    if not isinstance(cell, str) or not _CLOCK.match(cell):
        return np.nan
    parts = cell.replace(",", ".").split(":", 2)
    hours, minutes, rest = parts if len(parts) == 3 else ("0", *parts)
    return int(hours) * 3600 + int(minutes) * 60 + float(rest.replace(":", "."))
