"""From a file's blocks to samples in time order, with every row kept or counted as dropped by reason."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fsq_edge.data.importing.import_map import ColumnSource, FileSection, ImportMap
from fsq_edge.data.importing.labels_column import LabelNumbers
from fsq_edge.data.importing.reader import Block, Content, Description, find_column
from fsq_edge.data.importing.row_times import RowTimes, TimeOrder
from fsq_edge_runtime.arrays import AnyArray, BoolArray, Float32Array, Float64Array, Int16Array, Int64Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tables.units import UNITS, conversion, name_column

MAX_NOTES = 20
MAX_GROUPS = 10_000
Group = tuple[str, str]  # subject and session, as the columns say; empty where the file as a whole decides
Samples = tuple[Group, Float64Array, Float32Array, Int16Array]  # times (n,), samples (n, C), labels (n,)


@dataclass(frozen=True, slots=True)
class ChannelPlan:
    """One channel of a file: its column, what turns the column's values into the data set's unit, its range there."""

    channel: str
    column: str
    unit: str
    factor: float
    full_scale: float | None = None


@dataclass(slots=True)
class RowCounts:
    """What became of a file's rows.

    Attributes:
        read: rows that the file holds.
        kept: rows that became samples.
        dropped: reason -> rows.
        others: lines or records that are no rows.
        notes: the first of each kind, in words.
        missing: channel -> kept rows without a value.
    """

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)

    def take_back(self, rows: int, reason: str) -> None:
        """Count kept rows as dropped after all."""
        self.kept -= rows
        self.dropped[reason] += rows

    def note(self, text: str) -> None:
        """Keep a note, if there is room."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(text)


def plan_channels(section: FileSection, wanted: ImportMap, description: Description, name: str) -> list[ChannelPlan]:
    """Decide which column gives which channel, and the factor to the data set's unit.

    Args:
        section: of the map.
        wanted: the whole map, for the units of the data set.
        description: of the file.
        name: of the file, for messages.

    Raises:
        DataError: a column is not in the file, or two units measure different things.
    """
    columns = {column.name: column for column in description.columns}
    plans = []
    for channel, source in section.channels.items():
        found = next(filter(None, (find_column(column, columns) for column in source.columns)), None)
        if found is None:
            if source.optional:
                continue
            raise DataError(_no_column(name, source.columns[0], columns), hint=f"change channels.{channel}.column")
        unit = source.unit or name_column(found, columns[found].unit).unit
        to = wanted.channels.get(channel, unit)
        try:
            factor = source.factor * (conversion(unit, to) if unit in UNITS or to in UNITS else 1.0)
        except ValueError as error:
            raise DataError(
                f"{name}: channel {channel} cannot be turned from {unit or 'no unit'} into {to}: {error}",
                hint=f"change files: channels.{channel}.unit or channels.{channel} in the map",
            ) from error
        scale = columns[found].full_scale
        plans.append(ChannelPlan(channel, found, to, factor, None if scale is None else scale * abs(factor)))
    if not plans:
        raise DataError(
            f"{name} has none of the columns {', '.join(section.channels)}", hint="change channels: in the map"
        )
    return plans


class FileRows:
    """Turns one file's blocks into samples.

    Args:
        name: of the file, for messages.
        section: of the map.
        description: of the file.
        plans: its channels.
        labels: numbers of class names, shared by all files.
        label: of all rows, where the section names no column of labels; empty for none.
    """

    def __init__(
        self,
        name: str,
        section: FileSection,
        description: Description,
        plans: Sequence[ChannelPlan],
        labels: LabelNumbers,
        label: str = "",
    ) -> None:
        self._name, self._section, self._plans, self._labels = name, section, plans, labels
        self._label = labels.number(label) if label and section.label is None else -1
        columns = {column.name: column for column in description.columns}
        self._decimal = description.dialect.decimal if description.dialect else "."
        self._times = RowTimes(name, section.time, description)
        self._order: dict[Group, TimeOrder] = {}
        self.counts = RowCounts()
        texts: list[tuple[str, str]] = [(column, "where") for column in section.where]
        if section.label is not None:
            texts.append((section.label.column, "label.column"))
        for key, value in (("subject", section.subject), ("session", section.session)):
            if isinstance(value, ColumnSource):
                texts.append((value.column, f"{key}.column"))
        for column, key in (*texts, *((column, "time.column") for column in self._times.columns)):
            if column not in columns:
                raise DataError(_no_column(name, column, columns), hint=f"change {key} in the map")
        self.columns: dict[str, Content] = {plan.column: "number" for plan in plans}
        self.columns |= dict.fromkeys(self._times.columns, self._times.content)
        self.columns |= {column: "text" for column, _ in texts}

    @property
    def times(self) -> RowTimes:
        """How the rows got their times."""
        return self._times

    def add(self, block: Block) -> Iterator[Samples]:
        """Take a block; yield times, samples and labels of each group that has rows in it.

        Raises:
            DataError: a local time without a single meaning.
        """
        counts = self.counts
        counts.read += len(block) + sum(block.dropped.values())
        counts.dropped.update(block.dropped)
        counts.others.update(block.others)
        for text in block.notes:
            counts.note(text)
        if not len(block):
            return
        keep = self._where(block)
        times = self._times.of(block)
        keep = self._judge(keep, np.isnan(times), "time that cannot be read", block, self._times.columns)
        samples, bad = self._samples(block)
        keep = self._judge(keep, bad >= 0, "value that is no number", block, [plan.column for plan in self._plans], bad)
        labels = self._label_numbers(block, keep)
        for group, rows in self._groups(block, keep):
            yield group, *self._ordered(group, block, rows, times, samples, labels)

    def finish(self) -> Iterator[Samples]:
        """Yield the rows that were held until the next time stamp came."""
        for group, order in self._order.items():
            times, samples, labels = order.finish()
            if len(times):
                self._count(samples)
                yield group, times, samples, labels

    def _where(self, block: Block) -> BoolArray:
        keep = np.ones(len(block), np.bool_)
        for column, value in self._section.where.items():
            keep &= np.array([str(cell) == value for cell in block.columns[column]], np.bool_)
        self.counts.dropped["row of another kind (where)"] += int((~keep).sum())
        return keep

    def _judge(
        self, keep: BoolArray, bad: BoolArray, reason: str, block: Block, columns: Sequence[str], which: Any = None
    ) -> BoolArray:
        lost = keep & bad
        if lost.any():
            at = int(np.flatnonzero(lost)[0])
            if reason not in self.counts.dropped and columns:
                column = columns[int(which[at]) if which is not None else 0]
                value = str(block.columns[column][at])[:40]
                self.counts.note(f"line {block.line(at)}, column {column}: {value!r} is a {reason}")
            self.counts.dropped[reason] += int(lost.sum())
        return keep & ~bad

    def _samples(self, block: Block) -> tuple[Float32Array, Int64Array]:
        """Return float32 (n, C), and for each row the first channel whose cell is no number, else -1."""
        samples = np.empty((len(block), len(self._plans)), np.float32)
        bad = np.full(len(block), -1, np.int64)
        for i, plan in reversed(list(enumerate(self._plans))):
            values, wrong = as_numbers(block.columns[plan.column], self._decimal)
            bad[wrong] = i
            if plan.factor != 1.0:
                values = values * plan.factor
            with np.errstate(over="ignore"):
                samples[:, i] = values
        if np.isinf(samples).any():
            samples[np.isinf(samples)] = np.nan
        return samples, bad

    def _label_numbers(self, block: Block, keep: BoolArray) -> Int16Array:
        if self._section.label is None:
            return np.full(len(block), self._label, np.int16)
        return self._labels.of(block.columns[self._section.label.column], self._section.label, keep)

    def _groups(self, block: Block, keep: BoolArray) -> Iterator[tuple[Group, Int64Array]]:
        rows = np.flatnonzero(keep)
        sources = (self._section.subject, self._section.session)
        if not any(isinstance(source, ColumnSource) for source in sources) or not len(rows):
            if len(rows):
                yield ("", ""), rows
            return
        found: dict[Group, list[int]] = {}
        cells = [block.columns[source.column] if isinstance(source, ColumnSource) else None for source in sources]
        for row in rows.tolist():
            group = tuple("" if column is None else str(column[row]).strip() for column in cells)
            found.setdefault((group[0], group[1]), []).append(row)
        for group in found:
            yield group, np.array(found[group], np.int64)

    def _ordered(
        self,
        group: Group,
        block: Block,
        rows: Int64Array,
        times: Float64Array,
        samples: Float32Array,
        labels: Int16Array,
    ) -> tuple[Float64Array, Float32Array, Int16Array]:
        if group not in self._order:
            if len(self._order) >= MAX_GROUPS:
                raise DataError(
                    f"{self._name} holds more than {MAX_GROUPS} subjects and sessions", hint="is it the column?"
                )
            spread = self._section.time is not None and self._section.time.spread
            self._order[group] = TimeOrder(spread=spread)
        lines = np.array([block.line(0)]) if not len(rows) else rows
        whole = len(rows) == len(block)  # then nothing need be copied
        part = (times, samples, labels) if whole else (times[rows], samples[rows], labels[rows])
        found = self._order[group].add(*part)
        for reason, count, at in self._order[group].take_counts():
            if reason not in self.counts.dropped:
                self.counts.note(f"line {block.line(int(lines[at]))}: a {reason}")
            self.counts.dropped[reason] += count
        self._count(found[1])
        return found

    def _count(self, samples: Float32Array) -> None:
        self.counts.kept += len(samples)
        gone = np.isnan(samples)
        if not gone.any():
            return
        for plan, missing in zip(self._plans, gone.sum(axis=0).tolist(), strict=True):
            if missing:
                self.counts.missing[plan.channel] += missing


def as_numbers(values: AnyArray, decimal: str = ".") -> tuple[Float64Array, BoolArray]:
    """Return a column as float64 with NaN where it is empty, and which cells hold text that is no number."""
    if values.dtype.kind in "fiub":
        return values.astype(np.float64, copy=False), np.zeros(len(values), np.bool_)
    numbers = np.full(len(values), np.nan)
    wrong = np.zeros(len(values), np.bool_)
    for i, cell in enumerate(values):
        text = str(cell).strip()
        if text.lower() in ("", "nan", "na", "null", "none", "n/a", "-"):
            continue
        try:
            numbers[i] = float(text.replace(",", ".") if decimal == "," else text)
        except ValueError:
            wrong[i] = True
    return numbers, wrong


def _no_column(name: str, wanted: str, columns: Mapping[str, Any]) -> str:
    plain = {re.sub(r"[\W_]+", "", column.lower()): column for column in columns}
    close = difflib.get_close_matches(re.sub(r"[\W_]+", "", wanted.lower()), plain, 3, 0.4)
    near = [plain[column] for column in close] or list(columns)[:8]
    return f"{name} has no column {wanted!r}; near it are {', '.join(map(repr, near))}"
