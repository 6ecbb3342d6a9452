"""In which unit a source counts its time: said by a name, or by the step between its samples."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.tables import TextClock, TimeForm, numbers_to_seconds, recognize_time
from fsq_edge_runtime.tables.times import PER_SECOND, NumberUnit
from fsq_edge_runtime.tables.units import TIME_UNITS

UNITS: tuple[NumberUnit, ...] = ("s", "ms", "us", "ns")
NOT_FAR = 1.5  # powers of ten: a unit whose step is within 30 times of the expected one is not doubted
LEAST_COUNTED = 7
CLOSE = 0.5  # powers of ten: at 500 to 2,000 Hz a step of one may well be a millisecond
LONG_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def unit_of_name(name: str) -> NumberUnit | None:
    """Return the unit of time that a column's name ends with, such as ``timestamp_ms`` or ``Time [us]``."""
    words = re.findall(r"[a-zµμ]+", name.lower())
    found = TIME_UNITS.get(words[-1]) if len(words) > 1 else None
    return next((unit for unit in UNITS if unit == found), None)


def unit_of_step(times: Float64Array, period_s: float, named: NumberUnit | None = None) -> NumberUnit:
    """Return the unit in which times step about as the nominal rate lets expect.

    Args:
        times: (n,) of one stream, in the unknown unit, repeated ones among them; not finite values and steps back are
            left out.
        period_s: nominal time between two samples, seconds.
        named: the unit that a name states: taken unless the steps are far from it.
    """
    steps = np.diff(times[np.isfinite(times)])
    rising = steps[steps > 0]
    if not rising.size:
        return named or "s"
    # A clock of whole seconds, or of packets, stands still between its steps.
    step = float(np.median(rising)) * len(rising) / np.count_nonzero(steps >= 0)
    far = {unit: abs(math.log10(step / PER_SECOND[unit] / period_s)) for unit in UNITS}
    return named if named and far[named] < NOT_FAR else min(UNITS, key=far.__getitem__)


def counts_samples(times: Float64Array, period_s: float) -> bool:
    """Whether values count samples, one by one, and are no times; arguments as :func:`unit_of_step`."""
    steps = np.diff(times[np.isfinite(times)])
    if len(steps) < LEAST_COUNTED or not (steps == 1.0).all():
        return False
    return not any(abs(math.log10(period_s * PER_SECOND[unit])) < CLOSE for unit in PER_SECOND)


class TimeColumn:
    """Reads the times of a table's rows.

    Args:
        name: of the column.
        cells: its first values, of one stream.
        decimal: mark of the numbers.
        period_s: nominal time between two samples, seconds.

    Attributes:
        said: how the times are read, where that is not plain seconds; else empty.
        is_time: False where the column only counts the rows.
    """

    def __init__(self, name: str, cells: Sequence[str], decimal: str, period_s: float) -> None:
        self._comma = decimal == ","
        self._clock: TextClock | None = None
        self._unit: NumberUnit = "s"
        self.said, self.is_time = "", True
        form = recognize_time(name, cells, decimal) if cells else None
        if form is not None and form.kind in ("iso", "clock", "pattern"):
            self._clock = TextClock(form)
            self.said = _describe(name, cells, form)
            return
        numbers = self._numbers(cells)
        if unit_of_name(name) is None and counts_samples(numbers, period_s):
            self.is_time = False
            self.said = f"column {name!r} counts the samples and is not read as a time: they come at the nominal rate"
            return
        self._unit = unit_of_step(numbers, period_s, unit_of_name(name))
        if self._unit != "s":
            steps = np.diff(numbers)
            step = float(np.median(steps[steps > 0])) if (steps > 0).any() else math.nan
            self.said = f"column {name!r} steps by {step:.6g}: read as {LONG_NAMES[self._unit]}"

    def seconds(self, cells: Sequence[str]) -> Float64Array:
        """Return seconds, float64 (n,); NaN where a cell is no time of this column's form."""
        if self._clock is not None:
            return self._clock.seconds(cells)
        return numbers_to_seconds(self._numbers(cells), self._unit)

    def _numbers(self, cells: Sequence[str]) -> Float64Array:
        return np.array([_number(cell.replace(",", ".") if self._comma else cell) for cell in cells], np.float64)


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _describe(name: str, cells: Sequence[str], form: TimeForm) -> str:
    what = {"iso": "ISO 8601", "clock": "a clock that starts anew at midnight"}.get(form.kind, form.pattern)
    local = ", a wall clock without a zone: taken as it stands" if form.local else ""
    return f"times of column {name!r} such as {cells[0]!r} are read as {what}{local}"
