"""The time of each row, and rows whose times do not rise."""

from __future__ import annotations

from datetime import tzinfo

import numpy as np

from fsq_edge.data.importing.import_map import DEVICE, TimeSection
from fsq_edge.data.importing.reader import Block, Content, Description, find_column
from fsq_edge_runtime.arrays import AnyArray, BoolArray, Float32Array, Float64Array, Int16Array, Int64Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tables.times import TextClock, TimeForm, numbers_to_seconds, recognize_time
from fsq_edge_runtime.tables.zones import LocalClock, LocalTimeError, open_zone


class RowTimes:
    """Gives the rows of one file their times, float64 seconds.

    Args:
        name: of the file, for messages.
        section: of the map; None where the format says the times.
        description: of the file.

    Attributes:
        columns: that must be read.
        content: what the reader should make of them.
        absolute: whether times count from 1970.
        decision: what was decided about the zone, for the report.

    Raises:
        DataError: no form can be recognised, a zone is missing or unknown, or no rate is known.
    """

    def __init__(self, name: str, section: TimeSection | None, description: Description) -> None:
        self._name = name
        section = section or TimeSection(column=description.time)
        names = [column.name for column in description.columns]
        self.columns = tuple(find_column(column, names) or column for column in section.columns)
        if not self.columns and description.time and not section.rate_hz:
            self.columns = (description.time,)
        self._zone = _zone(section, name)
        self._device: LocalClock | None = None
        self._done = 0
        self.absolute = False
        self.content: Content = "time"
        if not self.columns:
            self._free_running(section, description)
        elif self.columns == (description.time,):
            self._form: TimeForm | None = TimeForm("s")
            self.absolute = description.device_clock
            if description.device_clock and self._zone is not None:
                self._device = LocalClock(self._zone, section.ambiguous)
            self.decision = _decided(section.zone or (DEVICE if description.device_clock else ""))
        else:
            self._form = self._find_form(section, description)
            if self._form.local and not section.zone:
                raise DataError(
                    f"{name}, column {' '.join(self.columns)}: the times say no zone",
                    hint="set time.zone in the map to a zone such as Europe/Vienna, "
                    f"or to {DEVICE} to take them as they stand",
                )
            if self._form.kind in ("iso", "pattern", "clock"):
                self.content = "text"
            self._clock = TextClock(self._form, self._zone, section.ambiguous)
            self.absolute = self._form.kind in ("iso", "pattern")
            self.decision = "the times say their zone" if self._form.zoned else _decided(section.zone)

    def of(self, block: Block) -> Float64Array:
        """Return the times of a block's rows, float64 (n,); NaN where a cell is no time.

        Raises:
            DataError: a local time occurs twice or never.
        """
        if not self.columns:
            times = self._start + (self._done + np.arange(len(block))) / self._rate
            self._done += len(block)
            return np.asarray(times, np.float64)
        cells = [block.columns[column] for column in self.columns]
        try:
            return self._read(cells)
        except LocalTimeError as error:
            raise DataError(
                f"{self._name}, line {block.line(error.position)}, column {' '.join(self.columns)}: {error}",
                hint="set time.ambiguous in the map to earlier, later or order",
            ) from error

    def _read(self, cells: list[AnyArray]) -> Float64Array:
        if self._form is None:
            raise TypeError("a file with a column of times has a form")
        if self._form.kind in ("iso", "pattern", "clock"):
            texts = [" ".join(map(str, parts)) for parts in zip(*cells, strict=True)] if len(cells) > 1 else None
            return self._clock.seconds(texts if texts is not None else [str(cell) for cell in cells[0].tolist()])
        values = cells[0]
        if values.dtype.kind not in "fiu":
            values = _numbers(values)
        times = numbers_to_seconds(values, self._form.kind)
        if times.size and np.abs(times[np.isfinite(times)]).max(initial=0) >= 1e9:
            self.absolute = True
        if self._device is not None:
            times = times - self._device.offsets(times)
        return times

    def _find_form(self, section: TimeSection, description: Description) -> TimeForm:
        found = [column for column in description.columns if column.name in self.columns]
        by_name = {column.name: column for column in found}
        if section.form == "pattern":
            return TimeForm("pattern", section.pattern, zoned="%z" in section.pattern)
        if any(name not in by_name for name in self.columns):
            return TimeForm(section.form or "s")  # the missing column is reported by who looks for it
        cells = [" ".join(parts) for parts in zip(*(by_name[name].cells for name in self.columns), strict=False)]
        decimal = description.dialect.decimal if description.dialect else "."
        unit = by_name[self.columns[0]].unit
        name = f"{self.columns[0]} [{unit}]" if unit else self.columns[0]
        form = recognize_time(name, cells, decimal)
        if section.form is not None and (form is None or form.kind != section.form):
            return TimeForm(section.form)
        if form is None:
            shown = ", ".join(repr(cell) for cell in cells[:3])
            raise DataError(
                f"{self._name}, column {' '.join(self.columns)}: {shown} are no times that rise",
                hint="set time.form in the map: s, ms, us, ns, iso, clock or pattern; or time.rate_hz without a column",
            )
        return form

    def _free_running(self, section: TimeSection, description: Description) -> None:
        rate = section.rate_hz or description.rate_hz
        if not rate:
            raise DataError(
                f"{self._name} has no column of times and states no rate",
                hint="set time.column or time.rate_hz in the map",
            )
        self._form, self._rate, self._start = None, rate, 0.0
        self.decision = f"{rate:g} Hz from the first row on"
        start = section.start or str(description.facts.get("start", ""))
        if start:
            clock = TextClock(TimeForm("iso"), self._zone, section.ambiguous)
            self._start = float(clock.seconds([start])[0])
            if np.isnan(self._start):
                raise DataError(f"time.start: {start!r} is not an ISO 8601 time")
            self.absolute = True


class TimeOrder:
    """Keeps times rising: repeats and steps back are dropped and counted, shared stamps are spread where asked for."""

    def __init__(self, *, spread: bool) -> None:
        self._spread = spread
        self._last = -np.inf
        self._last_row: Float32Array | None = None
        self._held: tuple[Float64Array, Float32Array, Int16Array] | None = None
        self._step = 0.0
        self._counts: list[tuple[str, int, int]] = []

    def add(
        self, times: Float64Array, samples: Float32Array, labels: Int16Array
    ) -> tuple[Float64Array, Float32Array, Int16Array]:
        """Return the rows that are kept; with ``spread`` the last stamp's rows come later."""
        before = np.maximum.accumulate(np.concatenate(([self._last], times)))[:-1]
        late = times < before if self._spread else times <= before
        same = late & (times == before)
        if late.any():
            repeated = same & self._equal_before(samples)
            for reason, found in (
                ("repeated row", repeated),
                ("repeated time with other values", same & ~repeated),
                ("time that steps back", late & ~same),
            ):
                if found.any():
                    self._counts.append((reason, int(found.sum()), int(np.flatnonzero(found)[0])))
        if len(times):
            self._last = float(max(self._last, times.max()))
            self._last_row = samples[-1:].copy()
        kept = ~late
        found = (times[kept], samples[kept], labels[kept]) if late.any() else (times, samples, labels)
        return self._spread_out(*found) if self._spread else found

    def take_counts(self) -> list[tuple[str, int, int]]:
        """Return reason, rows and the position of the first, since the last call."""
        counts, self._counts = self._counts, []
        return counts

    def finish(self) -> tuple[Float64Array, Float32Array, Int16Array]:
        """Return what is held."""
        if self._held is None:
            return np.empty(0), np.empty((0, 0), np.float32), np.empty(0, np.int16)
        times, samples, labels = self._held
        self._held = None
        return times + np.arange(len(times)) * (self._step or 1.0) / len(times), samples, labels

    def _equal_before(self, samples: Float32Array) -> BoolArray:
        first = self._last_row if self._last_row is not None else np.full_like(samples[:1], np.inf)
        previous = np.concatenate([first, samples[:-1]])
        return np.asarray(((samples == previous) | (np.isnan(samples) & np.isnan(previous))).all(axis=1))

    def _spread_out(
        self, times: Float64Array, samples: Float32Array, labels: Int16Array
    ) -> tuple[Float64Array, Float32Array, Int16Array]:
        if self._held is not None:
            held_times, held_samples, held_labels = self._held
            times = np.concatenate([held_times, times])
            samples = np.concatenate([held_samples, samples])
            labels = np.concatenate([held_labels, labels])
        if not len(times):
            return times, samples, labels
        starts: Int64Array = np.flatnonzero(np.concatenate(([True], times[1:] != times[:-1])))
        cut = int(starts[-1])
        self._held = times[cut:], samples[cut:], labels[cut:]
        if len(starts) == 1:
            return times[:0], samples[:0], labels[:0]
        steps = np.diff(times[starts])
        usual = float(np.median(steps)) if not self._step else self._step
        self._step = usual
        counts = np.diff(starts)
        share = np.repeat(np.minimum(steps, usual if usual > 0 else steps) / counts, counts)
        within = np.arange(cut) - np.repeat(starts[:-1], counts)
        return times[:cut] + within * share, samples[:cut], labels[:cut]


def _zone(section: TimeSection, name: str) -> tzinfo | None:
    if section.zone in ("", DEVICE):
        return None
    try:
        return open_zone(section.zone)
    except ValueError as error:
        raise DataError(f"{name}: time.zone: {error}") from error


def _decided(zone: str) -> str:
    if zone == DEVICE:
        return "the clock of the device as it stands, no zone"
    return f"local times of {zone}" if zone else "seconds as they stand"


def _numbers(values: AnyArray) -> Float64Array:
    numbers = np.full(len(values), np.nan)
    for i, cell in enumerate(values):
        try:
            numbers[i] = float(str(cell))
        except ValueError:
            continue
    return numbers
