"""Lines of text to samples: CSV rows, from any transport, and rows to chunks. Input is not trusted."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from fsq_edge_runtime.sources.base import Chunk
from fsq_edge_runtime.sources.columns import Wanted, find_columns
from fsq_edge_runtime.tables import TextClock, recognize_time
from fsq_edge_runtime.tables.dialect import MISSING
from fsq_edge_runtime.tables.times import looks_like_time

MAX_LINE_BYTES = 1 << 20
MAX_STREAM_ID = 128
DEFAULT_STREAM = "0"

Row = tuple[str, float | None, list[float]]  # stream, time, values


class Taught(NamedTuple):
    """A line that says what the wearer of a stream does from now on.

    Attributes:
        stream: id of the stream.
        label: a class; empty ends the lesson.
    """

    stream: str
    label: str


class RowError(ValueError):
    """One row cannot be used; the message says why."""


class CsvRows:
    """Reads CSV rows whose columns a header named, or bare rows of ``[time,] x1, ..., xC``.

    Args:
        channels: names in the model's order, or pairs of name and unit; the file may have them in any order, and more
            columns.
        header: names of the columns, or None for bare rows.
        origin: what an error calls the input.
        delimiter: between the columns; None finds it in each bare row.

    Raises:
        DataError: the header lacks a channel, names one twice, or states another unit.
    """

    def __init__(
        self,
        channels: Sequence[str | Wanted],
        header: Sequence[str] | None,
        origin: str,
        delimiter: str | None = ",",
    ) -> None:
        self._size, self._delimiter = len(channels), delimiter
        self._header = None if header is None else tuple(cell.strip() for cell in header)
        self.columns = None if self._header is None else find_columns(self._header, as_wanted(channels), origin)
        self._clock: TextClock | None = None

    def row(self, line: str) -> Row:
        """Return one row.

        Raises:
            RowError: too few columns or not numbers.
        """
        return self.cells(split_cells(line, bare_delimiter(line) if self._delimiter is None else self._delimiter))

    def cells(self, cells: Sequence[str]) -> Row:
        """Return one row that is already split; errors as :meth:`row`."""
        columns = self.columns
        if columns is None:
            if len(cells) == self._size + 2 and not cells[-1].strip():
                cells = cells[:-1]  # a separator at the end of every line
            if len(cells) not in (self._size, self._size + 1):
                raise RowError(f"{len(cells)} values, expected [time and] {self._size} channels")
            timed = len(cells) > self._size
            return DEFAULT_STREAM, self._time(cells[0]) if timed else None, [_number(cell) for cell in cells[timed:]]
        try:
            values = [_number(cells[column]) for column in columns.channels]
            at = None if columns.time is None else self._time(cells[columns.time])
            stream = DEFAULT_STREAM if columns.stream is None else stream_id(cells[columns.stream])
        except IndexError as error:
            raise RowError(f"{len(cells)} columns, the header has more") from error
        return stream, at, values

    def repeats_header(self, cells: Sequence[str]) -> bool:
        """Whether a row is the header again, as a logger writes it when it starts anew."""
        return self._header is not None and tuple(cell.strip() for cell in cells) == self._header

    def _time(self, cell: str) -> float:
        text = cell.strip()
        if self._clock is None and not looks_like_time(text):
            return _time(text)
        if self._clock is None:
            form = recognize_time("time", [text])
            if form is None or form.kind not in ("iso", "clock", "pattern"):
                raise RowError(f"{text[:40]!r} is no time that is known")
            self._clock = TextClock(form)
        at = float(self._clock.seconds([text])[0])
        if not math.isfinite(at):
            raise RowError(f"{text[:40]!r} is no time as those before it")
        return at


def as_wanted(channels: Sequence[str | Wanted]) -> tuple[Wanted, ...]:
    """Return channels as pairs of name and unit."""
    return tuple(Wanted(one) if isinstance(one, str) else one for one in channels)


def bare_delimiter(line: str) -> str:
    """Return what separates the values of a row without a header: the first that occurs of ``; tab , |``, or blanks."""
    return next((mark for mark in (";", "\t", ",", "|") if mark in line), " ")


def to_chunks(rows: Iterable[Row | Taught], arrived_ns: int) -> list[Chunk]:
    """Join consecutive rows of one stream, all with or all without a time, into chunks."""
    chunks: list[Chunk] = []
    held: list[Row] = []
    for row in rows:
        if isinstance(row, Taught):
            if held:
                chunks.append(_chunk(held, arrived_ns))
                held = []
            chunks.append(Chunk(row.stream, np.empty((0, 1), dtype=np.float32), None, arrived_ns, row.label))
            continue
        if held and (row[0] != held[-1][0] or (row[1] is None) != (held[-1][1] is None)):
            chunks.append(_chunk(held, arrived_ns))
            held = []
        held.append(row)
    return [*chunks, _chunk(held, arrived_ns)] if held else chunks


def split_cells(line: str, delimiter: str = ",") -> list[str]:
    """Return the cells of one line.

    Raises:
        RowError: not CSV.
    """
    if delimiter == " ":
        return line.split()
    try:
        return next(csv.reader((line,), delimiter=delimiter, skipinitialspace=True))
    except (csv.Error, StopIteration) as error:
        raise RowError(f"not a CSV row: {error}") from error


def stream_id(value: object) -> str:
    """Return a usable stream id.

    Raises:
        RowError: not text or a number, empty, too long or not printable.
    """
    name = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not name or len(name) > MAX_STREAM_ID or not name.isprintable():
        raise RowError("the stream id must be printable text of at most 128 characters")
    return name


def _chunk(rows: list[Row], arrived_ns: int) -> Chunk:
    with np.errstate(over="ignore"):  # beyond float32 becomes Inf, which is missing
        samples = np.asarray([values for _, _, values in rows], dtype=np.float32)
    times = None if rows[0][1] is None else np.asarray([at for _, at, _ in rows], dtype=np.float64)
    return Chunk(rows[0][0], samples, times, arrived_ns)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        text = cell.strip()
    if text.lower() in MISSING:
        return math.nan
    try:
        return float(text.replace(",", "."))  # a decimal comma: the cells are separated by something else
    except ValueError as error:
        raise RowError(f"{text[:40]!r} is not a number") from error


def _time(cell: str) -> float:
    at = _number(cell)
    if not math.isfinite(at):
        raise RowError(f"the time {cell[:40]!r} is not a finite number")
    return at
