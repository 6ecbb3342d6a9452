"""Lines of text to samples: CSV rows and JSON objects, from any transport. Input is not trusted."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.sources.base import Chunk

MAX_LINE_BYTES = 1 << 20
MAX_STREAM_ID = 128
DEFAULT_STREAM = "0"
MISSING = ("", "nan", "NaN", "null", "NA")

Row = tuple[str, float | None, list[float]]  # stream, time, values


class RowError(ValueError):
    """One row cannot be used; the message says why."""


class CsvRows:
    """Reads CSV rows whose columns a header named, or bare rows of ``[time,] x1, ..., xC``.

    Args:
        channels: names in the model's order; the file may have them in any order, and more columns.
        header: names of the columns, or None for bare rows.
        origin: what an error calls the input.

    Raises:
        DataError: the header lacks a channel.
    """

    def __init__(self, channels: Sequence[str], header: Sequence[str] | None, origin: str) -> None:
        self._size = len(channels)
        self._columns: list[int] | None = None
        self._time: int | None = None
        self._stream: int | None = None
        if header is not None:
            names = [name.strip() for name in header]
            missing = [channel for channel in channels if channel not in names]
            if missing:
                hint = "the header must name the channels " + ", ".join(channels)
                raise DataError(f"{origin}: no column {missing[0]!r}", hint=hint)
            self._columns = [names.index(channel) for channel in channels]
            self._time = names.index("timestamp") if "timestamp" in names else None
            self._stream = names.index("stream") if "stream" in names else None

    def row(self, line: str) -> Row:
        """Return one row.

        Raises:
            RowError: too few columns or not numbers.
        """
        return self.cells(split_cells(line))

    def cells(self, cells: Sequence[str]) -> Row:
        """Return one row that is already split; errors as :meth:`row`."""
        if self._columns is None:
            if len(cells) not in (self._size, self._size + 1):
                raise RowError(f"{len(cells)} values, expected [time and] {self._size} channels")
            timed = len(cells) > self._size
            return DEFAULT_STREAM, _time(cells[0]) if timed else None, [_number(cell) for cell in cells[timed:]]
        try:
            values = [_number(cells[column]) for column in self._columns]
            at = None if self._time is None else _time(cells[self._time])
            stream = DEFAULT_STREAM if self._stream is None else stream_id(cells[self._stream])
        except IndexError as error:
            raise RowError(f"{len(cells)} columns, the header has more") from error
        return stream, at, values


class JsonRows:
    """Reads objects ``{"t": seconds, "x": [C values], "stream": optional}``.

    ``t`` and ``x`` may also be lists of the same length, x then holding one list of C values per sample. ``t`` may be
    left out or null. A value that is null is missing.

    Args:
        size: C.
    """

    def __init__(self, size: int) -> None:
        self._size = size

    def rows(self, line: str | bytes, stream: str = DEFAULT_STREAM) -> list[Row]:
        """Return the samples of one object.

        Args:
            line: JSON.
            stream: id where the object has none.

        Raises:
            RowError: not such an object.
        """
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RowError(f"not JSON: {error}") from error
        if not isinstance(value, dict) or not isinstance(value.get("x"), list):
            raise RowError('not an object with "x"')
        stream = stream_id(value.get("stream", stream))
        x, t = value["x"], value.get("t")
        if x and isinstance(x[0], list):
            times = [None] * len(x) if t is None else t
            if not isinstance(times, list) or len(times) != len(x):
                raise RowError('"t" and "x" differ in length')
            return [(stream, _json_time(at), self._values(values)) for at, values in zip(times, x, strict=True)]
        return [(stream, _json_time(t), self._values(x))]

    def _values(self, values: Any) -> list[float]:
        if not isinstance(values, list) or len(values) != self._size:
            raise RowError(f'"x" must hold {self._size} values a sample')
        return [math.nan if value is None else _json_number(value) for value in values]


def to_chunks(rows: Iterable[Row], arrived_ns: int) -> list[Chunk]:
    """Join consecutive rows of one stream, all with or all without a time, into chunks."""
    chunks: list[Chunk] = []
    held: list[Row] = []
    for row in rows:
        if held and (row[0] != held[-1][0] or (row[1] is None) != (held[-1][1] is None)):
            chunks.append(_chunk(held, arrived_ns))
            held = []
        held.append(row)
    return [*chunks, _chunk(held, arrived_ns)] if held else chunks


def split_cells(line: str) -> list[str]:
    """Return the cells of one CSV line.

    Raises:
        RowError: not CSV.
    """
    try:
        return next(csv.reader((line,)))
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
    text = cell.strip()
    if text in MISSING:
        return math.nan
    try:
        return float(text)
    except ValueError as error:
        raise RowError(f"{text[:40]!r} is not a number") from error


def _time(cell: str) -> float:
    at = _number(cell)
    if not math.isfinite(at):
        raise RowError(f"the time {cell[:40]!r} is not a finite number")
    return at


def _json_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowError(f"{str(value)[:40]!r} is not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise RowError("a number is too large") from error


def _json_time(value: Any) -> float | None:
    if value is None:
        return None
    at = _json_number(value)
    if not math.isfinite(at):
        raise RowError("the time is not finite")
    return at
