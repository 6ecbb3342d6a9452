"""Delimited text of every dialect: CSV, TSV, semicolons, decimal commas, preambles, rows of units."""

from __future__ import annotations

import codecs
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fsq_edge.data.importing.inputs import InputFile
from fsq_edge.data.importing.packages import need_package
from fsq_edge.data.importing.reader import HEAD_BYTES, Block, Column, Content, Description
from fsq_edge.data.importing.readers.arrow_table import ArrowTable
from fsq_edge.data.importing.readers.lines import LineFilter, read_lines
from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import first_line
from fsq_edge_runtime.tables.dialect import (
    SAMPLE_LINES,
    Dialect,
    TableHead,
    cells_of,
    column_names,
    recognize_dialect,
)

SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".dat", ".log", ".asc", ".data")
MAX_CELLS = 200  # first cells of a column that a description keeps
MAX_RATE_HZ = 1e6
_RATE = re.compile(r"(?i)(?:sampl\w*|measurement)[ _-]*(?:rate|freq\w*)\D{0,20}?(\d+(?:[.,]\d+)?)\s*(?:hz|\b)")
_AT_RATE = re.compile(r"(?i)\bat (\d+(?:\.\d+)?) ?hz")
_START_DATE = re.compile(r"Start Date (\d{1,2})[/.-](\d{1,2})[/.-](\d{4})")
_START_TIME = re.compile(r"Start Time (\d{2}:\d{2}:\d{2})")
_DATE_ORDER = re.compile(r"date format (\S+)")
EXTRA = "\x00rest"  # what stands after a delimiter at the end of the line


class DelimitedReader:
    """Reads text tables in blocks with the parsers of pyarrow and pandas; they never see rows of uneven width."""

    name = "csv"
    about = "CSV, TSV and other delimited text of any dialect, also packed (.gz, .zip)"

    def recognizes(self, file: InputFile, head: bytes) -> bool:
        """Whether it is text that splits into a table."""
        if file.suffix not in SUFFIXES and file.suffix:
            return False
        try:
            recognize_dialect(head, whole=len(head) < HEAD_BYTES)
        except ValueError:
            return False
        return True

    def describe(self, file: InputFile, dialect: Dialect | None) -> Description:
        """Recognise the dialect, or look at the file with the one given."""
        head = self._head(file, dialect)
        columns = tuple(
            Column(
                name,
                head.units[i] if head.units else "",
                tuple(row[i] for row in head.rows[:MAX_CELLS] if i < len(row)),
            )
            for i, name in enumerate(head.columns)
        )
        facts: dict[str, Any] = {"preamble": list(head.preamble[:20])} if head.preamble else {}
        rate, start = preamble_rate(head.preamble), preamble_start(head.preamble)
        if start:
            facts["start"] = start
        return Description(columns, rate_hz=rate, dialect=head.dialect, facts=facts, reasons=head.reasons)

    def blocks(self, file: InputFile, description: Description, columns: Mapping[str, Content]) -> Iterator[Block]:
        """Yield the rows; errors as :class:`fsq_edge.data.importing.reader.Reader`."""
        if description.dialect is None:
            raise TypeError("the description of a text table has a dialect")
        dialect, names = description.dialect, [column.name for column in description.columns]
        parse = _Parser(file.name, dialect, names, columns)
        with file.open() as stream:
            for data, number, lines in read_lines(stream, dialect, file.name):
                yield parse.block(data, number, lines)

    def _head(self, file: InputFile, dialect: Dialect | None) -> TableHead:
        sample = file.head(HEAD_BYTES)
        whole = len(sample) < HEAD_BYTES
        try:
            return (
                recognize_dialect(sample, whole=whole) if dialect is None else _read_head(sample, dialect, whole=whole)
            )
        except (ValueError, LookupError) as error:
            raise DataError(
                f"{file.name} is not a table of text: {first_line(error)}",
                hint="describe it under table: in the map (delimiter, header_line, first_row_line, encoding)",
            ) from error


def _read_head(sample: bytes, dialect: Dialect, *, whole: bool = False) -> TableHead:
    """Return the first rows of a table whose dialect is known; arguments as :func:`recognize_dialect`.

    Raises:
        ValueError: the header line is not there, or no row follows.
    """
    lines = codecs.getincrementaldecoder(dialect.encoding)("replace").decode(sample, whole).splitlines()
    rows = [cells_of(line, dialect.delimiter) for line in (lines if whole or len(lines) < 2 else lines[:-1])]
    rows = rows[: dialect.first_row_line + SAMPLE_LINES]
    marked = [bool(dialect.comment) and line.startswith(dialect.comment) for line in lines[: len(rows)]]
    start = max(dialect.first_row_line, dialect.header_line + 1, dialect.units_line + 1) - 1
    data = tuple(tuple(row) for row, mark in zip(rows[start:], marked[start:], strict=True) if any(row) and not mark)
    if not data:
        raise ValueError(f"no rows from line {start + 1} on")
    header = rows[dialect.header_line - 1] if dialect.header_line else []
    names = column_names(header, max(map(len, data)), data)
    units = tuple((rows[dialect.units_line - 1] + [""] * len(names))[: len(names)]) if dialect.units_line else ()
    return TableHead(dialect, names, units, data, tuple(lines[: max(0, dialect.header_line - 1)]))


def preamble_rate(lines: Sequence[str]) -> float | None:
    """Return the rate that the lines before the header state: ``Sample rate: 120.0Hz``, ``at 30 Hz``; else None."""
    text = "\n".join(lines)
    found = _RATE.search(text) or _AT_RATE.search(text)
    rate = float(found.group(1).replace(",", ".")) if found else 0.0
    return rate if 0 < rate <= MAX_RATE_HZ else None


def preamble_start(lines: Sequence[str]) -> str:
    """Return the start that ActiLife's preamble states, as ISO 8601; empty where there is none."""
    text = "\n".join(lines)
    date, clock, order = _START_DATE.search(text), _START_TIME.search(text), _DATE_ORDER.search(text)
    if not date or not clock:
        return ""
    first, second, year = (int(part) for part in date.groups())
    month, day = (second, first) if order and order.group(1).lower().startswith("d") else (first, second)
    return f"{year:04d}-{month:02d}-{day:02d}T{clock.group(1)}" if 1 <= month <= 12 and 1 <= day <= 31 else ""


class _Parser:
    """The parsers with the settings of one file; pandas, slow to import, only where pyarrow leaves a block to it."""

    def __init__(self, name: str, dialect: Dialect, names: list[str], columns: Mapping[str, Content]) -> None:
        self._name, self._columns = name, columns
        self._last = names[-1]
        self._runs = dialect.delimiter == " "
        self._filter = LineFilter(dialect, len(names))
        self._arrow = ArrowTable(dialect, names, columns)
        self._comment = dialect.comment.encode()
        wide = dialect.encoding.startswith("utf-16")
        self._settings: dict[str, Any] = {
            "header": None,
            "names": names,
            "usecols": list(dict.fromkeys([*columns, names[-1]])),
            "sep": r"\s+" if self._runs else dialect.delimiter,
            "decimal": dialect.decimal,
            "encoding": "utf-8" if wide or dialect.encoding == "utf-8-sig" else dialect.encoding,
            "encoding_errors": "replace",
            "dtype": {name: str for name, content in columns.items() if content == "text"},
            "na_filter": True,
            "low_memory": False,
            "skipinitialspace": True,
            "index_col": False,
            "engine": "c",
        }

    def block(self, data: bytes, number: int, lines: int) -> Block:
        if self._runs:
            return self._spaced(data, number)
        if self._filter.is_plain(data):
            columns = self._arrow.columns(data, lines)
            if columns is not None:
                return Block(columns, number)
        if self._filter.may_be_even(data, lines):
            frame = self._frame(data, [])
            if len(frame) == lines and not frame[self._last].isna().any():
                return Block({name: _values(frame[name]) for name in self._columns}, number)
        rows = self._filter.apply(data, number)
        columns = self._parse(rows.data, len(rows.lines), [EXTRA] if rows.trailing else [])
        others = {"comment": rows.comments} if rows.comments else {}
        return Block(columns, number, rows.dropped, others, rows.lines, rows.notes)

    def _spaced(self, data: bytes, number: int) -> Block:
        """Rows parted by runs of spaces: the width of a row cannot be counted by delimiters."""
        lines = data.split(b"\n")[:-1]
        width = len(self._settings["names"])
        counts = np.array([len(line.split()) for line in lines], np.int64)
        comment = np.array([bool(self._comment) and line.startswith(self._comment) for line in lines], np.bool_)
        good = (counts == width) & ~comment
        dropped = Counter(
            {
                "too few cells": int(((counts < width) & (counts > 0) & ~comment).sum()),
                "too many cells": int(((counts > width) & ~comment).sum()),
            }
        )
        kept = np.flatnonzero(good)
        columns = self._parse(b"".join(lines[i].strip() + b"\n" for i in kept), len(kept), [])
        others = {"comment": int(comment.sum())} if comment.any() else {}
        return Block(columns, number, +dropped, others, number + kept)

    def _parse(self, data: bytes, rows: int, more: list[str]) -> dict[str, AnyArray]:
        if not rows:
            return {name: np.empty(0, object) for name in self._columns}
        frame = self._frame(data, more)
        if len(frame) != rows:
            raise DataError(
                f"{self._name}: {rows} lines were read as {len(frame)} rows",
                hint="is a quote never closed? Does table: in the map describe this file?",
            )
        return {name: _values(frame[name]) for name in self._columns}

    def _frame(self, data: bytes, more: list[str]) -> Any:
        try:
            settings = {**self._settings, "names": [*self._settings["names"], *more]}
            return need_package("pandas", "reading a text table").read_csv(io.BytesIO(data), **settings)
        except (ValueError, OverflowError) as error:  # ParserError is a ValueError
            raise DataError(
                f"{self._name}: {first_line(error)}", hint="does table: in the map describe this file?"
            ) from error


def _values(series: Any) -> AnyArray:
    values: AnyArray = series.to_numpy()
    if values.dtype.kind in "fiub":
        return values
    return np.asarray(series.to_numpy(dtype=object, na_value=""), object)
