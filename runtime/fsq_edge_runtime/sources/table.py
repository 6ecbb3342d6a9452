"""The rows of a recording in a text table, block by block."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.sources.notices import Notices
from fsq_edge_runtime.sources.parsing import DEFAULT_STREAM, RowError, stream_id
from fsq_edge_runtime.sources.table_form import TableForm
from fsq_edge_runtime.tables import split_line
from fsq_edge_runtime.tables.dialect import MISSING

MAX_LINE = 1 << 20
MAX_CELL = 1 << 16

Cells = tuple[str, Float64Array | None, list[list[float]]]  # stream, times or None, values: rows of one stream


class TableRows:
    """Reads the rows of a table.

    Args:
        file: opened with :func:`open_text`.
        form: of the table.
        name: of the file, for errors.
        notices: hears of missing values that are written in words.
    """

    def __init__(self, file: IO[str], form: TableForm, name: str, notices: Notices) -> None:
        self._file, self._form, self._name, self._notices = file, form, name, notices
        self._line = form.dialect.first_row_line - 1
        self._comma = form.dialect.decimal == ","
        self._ended = True  # the line that was read last has an end

    def blocks(self, rows: int) -> Iterator[Cells]:
        """Give the rows in order, consecutive ones of one stream together, at most ``rows`` at a time.

        Raises:
            DataError: a row cannot be used; it names the line.
        """
        held: list[list[float]] = []
        texts: list[str] = []
        lines: list[int] = []
        stream = DEFAULT_STREAM
        try:
            for cells in self._cells():
                one, text, values = self._row(cells)
                if held and (one != stream or len(held) == rows):
                    yield stream, self._times(texts, lines), held
                    held, texts, lines = [], [], []
                stream = one
                held.append(values)
                texts.append(text)
                lines.append(self._line)
        except (RowError, csv.Error, UnicodeDecodeError) as error:
            if self._ended or not held:
                raise DataError(f"{self._name}: line {self._line}: {error}") from error
            # A logger that lost its power, or a file that is still written.
            self._notices.say("cut line", f"{self._name}: the last line, {self._line}, is cut and skipped: {error}")
        if held:
            yield stream, self._times(texts, lines), held

    def _row(self, cells: list[str]) -> tuple[str, str, list[float]]:
        columns = self._form.columns
        try:
            try:
                values = [float(cells[column]) for column in columns.channels]
            except ValueError:
                values = [self._number(cells[column]) for column in columns.channels]
            text = "" if columns.time is None else cells[columns.time].strip()
            stream = DEFAULT_STREAM if columns.stream is None else stream_id(cells[columns.stream])
        except IndexError as error:
            raise RowError(f"{len(cells)} columns, the header has more") from error
        return stream, text, values

    def _times(self, texts: list[str], lines: list[int]) -> Float64Array | None:
        if self._form.clock is None or not self._form.clock.is_time:
            return None
        times = self._form.clock.seconds(texts)
        bad = np.flatnonzero(~np.isfinite(times))
        if bad.size:
            at = int(bad[0])
            what = f"the time {texts[at][:40]!r} is not a finite number" if texts[at] else "the time is missing"
            raise DataError(f"{self._name}: line {lines[at]}: {what}, nor a time as in the rows before")
        return times

    def _number(self, cell: str) -> float:
        try:
            return float(cell)
        except ValueError:
            text = cell.strip()
        if text.lower() in MISSING:
            if text and text.lower() != "nan":
                said = f"{self._name}: line {self._line}: {text!r} is read as a missing value"
                self._notices.say("missing words", said)
            return float("nan")
        if self._comma:
            try:
                return float(text.replace(",", "."))
            except ValueError:
                pass
        raise RowError(f"{text[:40]!r} is not a number")

    def _cells(self) -> Iterator[list[str]]:
        dialect, header = self._form.dialect, self._form.header
        csv.field_size_limit(MAX_CELL)
        lines = self._lines()
        if dialect.delimiter == " ":
            rows: Iterator[list[str]] = (split_line(line, " ") for line in lines if line.strip())
        else:
            rows = csv.reader(lines, delimiter=dialect.delimiter, skipinitialspace=True)
        for cells in rows:
            if not any(cells):
                continue
            if cells[0][:1] == header[0][:1] and tuple(cell.strip() for cell in cells) == header:
                said = f"{self._name}: line {self._line}: the header is repeated and skipped"
                self._notices.say("repeated header", said)
                continue
            yield cells

    def _lines(self) -> Iterator[str]:
        """Give the lines after the header, bounded, comments left out."""
        mark, skipped = self._form.dialect.comment, self._form.dialect.first_row_line - 1
        for _ in range(skipped):
            self._file.readline(MAX_LINE)
        while line := self._file.readline(MAX_LINE + 1):
            self._line += 1
            self._ended = line.endswith(("\n", "\r"))
            if len(line) > MAX_LINE:
                raise RowError(f"longer than {MAX_LINE} characters")
            if not (mark and line.startswith(mark)):
                yield line


def open_text(path: Path, encoding: str) -> IO[str]:
    """Open a table for reading as the csv module wants it."""
    return path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="")
