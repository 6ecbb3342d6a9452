"""Bytes from a stream to whole lines, bounded, and lines to chunks with the bad ones counted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.sources.base import Chunk
from fsq_edge_runtime.sources.columns import Wanted, find_columns, names_channels, shown
from fsq_edge_runtime.sources.named_values import JsonRows, NamedRows, named_in_text
from fsq_edge_runtime.sources.notices import Notices
from fsq_edge_runtime.sources.parsing import (
    MAX_LINE_BYTES,
    CsvRows,
    Row,
    RowError,
    Taught,
    as_wanted,
    bare_delimiter,
    split_cells,
    to_chunks,
)
from fsq_edge_runtime.tables.dialect import is_number

HEADER_WITHIN = 32  # lines in which a header must come: a preamble, or the rest of a line that was joined in the middle
NONE_GOOD = 20  # so many lines without one sample are said aloud
SHOWN_LINE = 60
DELIMITERS = (",", ";", "\t", "|", " ")


class LineBuffer:
    """Splits bytes into lines; a line that is too long is dropped up to its end.

    Attributes:
        dropped: lines that were too long.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False
        self.dropped = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the lines that are now complete, without their ends."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._skipping and lines:
            self._skipping = False
            lines = lines[1:]
        if len(self._rest) > MAX_LINE_BYTES:
            self.dropped += not self._skipping
            self._rest, self._skipping = b"", True
        elif self._skipping:
            self._rest = b""
        return [line.rstrip(b"\r") for line in lines if line.strip() and not self._too_long(line)]

    def finish(self) -> list[bytes]:
        """Return the last line, which has no end, if there is one."""
        rest, self._rest = self._rest, b""
        return [] if self._skipping or not rest.strip() else [rest]

    def _too_long(self, line: bytes) -> bool:
        long = len(line) > MAX_LINE_BYTES
        self.dropped += long
        return long


class LineParser:
    """Turns lines into chunks: JSON where a line begins with a brace, else rows of numbers.

    Args:
        channels: names in the model's order, or pairs of name and unit.
        counters: ``malformed`` is counted here.
        header: a line must name the columns before rows can be read; else rows are ``[time,] x1, ..., xC``, and a
            header that comes is heeded.
        origin: what an error calls the input.
        clock: monotonic nanoseconds.
        notices: hears of lines that are all malformed, and of headers that do not fit.

    Attributes:
        first_error: why the first malformed line was refused.
    """

    def __init__(
        self,
        channels: Sequence[str | Wanted],
        counters: dict[str, int],
        *,
        header: bool,
        origin: str,
        clock: Callable[[], int] = time.monotonic_ns,
        notices: Notices | None = None,
    ) -> None:
        self._wanted = as_wanted(channels)
        self._counters, self._origin, self._clock = counters, origin, clock
        self._json = JsonRows(self._wanted, origin)
        self._named = NamedRows(self._wanted, origin)
        self._needs_header = header
        self._csv = None if header else CsvRows(self._wanted, None, origin, None)
        self._notices = notices or Notices()
        counters.setdefault("malformed", 0)
        self.first_error = ""
        self._speaks_json = False
        self._before_header: list[str] = []
        self._good = False

    def parse(self, lines: list[bytes], too_long: int = 0) -> list[Chunk]:
        """Return the samples of whole lines.

        Args:
            lines: without their ends.
            too_long: lines that were dropped because they were too long; they count as malformed.

        Raises:
            DataError: no line of the first ones names the channels, or the header names one twice.
        """
        rows: list[Row | Taught] = []
        self._counters["malformed"] += too_long
        for line in lines:
            try:
                rows += self._rows(line)
            except (RowError, UnicodeDecodeError) as error:
                self._refuse(line, error)
        self._good = self._good or bool(rows)
        return to_chunks(rows, self._clock())

    def finish(self) -> None:
        """Say what kept the input from being read, now that it has ended.

        Raises:
            DataError: no line named the channels.
        """
        if self._csv is None and self._before_header and not self._speaks_json:
            raise self._no_header()

    def _refuse(self, line: bytes, error: Exception) -> None:
        self._counters["malformed"] += 1
        self.first_error = self.first_error or str(error)
        if not self._good and self._counters["malformed"] == NONE_GOOD:
            self._say_none_good(line, error)

    def _say_none_good(self, line: bytes, error: Exception) -> None:
        names = ", ".join(channel.name for channel in self._wanted)
        example = line[:SHOWN_LINE].decode("utf-8", "replace")
        self._notices.say(
            f"none good {self._origin}",
            f"{self._origin}: none of the first {NONE_GOOD} lines could be read, such as {example!r} ({error}); "
            f'a line is [time,] {names} or {{"t": seconds, "x": [{len(self._wanted)} values]}}',
        )

    def _rows(self, line: bytes) -> list[Row | Taught]:
        text = line.decode("utf-8").removeprefix("\ufeff")
        if text.lstrip().startswith(("{", "[")):
            rows = self._json.rows(text)
            self._speaks_json = True
            self._counters["malformed"] += len(self._before_header)  # such as the end of a line joined in its middle
            self._before_header = []
            return rows
        has_header = self._csv is not None and self._csv.columns is not None
        named = None if has_header else named_in_text(text)
        if named is not None:
            return [self._named.row(*named)]
        if self._csv is None and self._speaks_json:
            raise RowError("not JSON, as the lines before it were")  # and no header in the middle of a stream
        if self._csv is None:
            return self._look_for_header(text)
        try:
            return [self._csv.row(text)]
        except RowError:
            if self._is_header(text):
                return []
            raise

    def _look_for_header(self, text: str) -> list[Row | Taught]:
        for delimiter in DELIMITERS:
            cells = split_cells(text, delimiter)
            if len(cells) >= len(self._wanted) and names_channels(cells, self._wanted):
                self._csv = CsvRows(self._wanted, cells, self._origin, delimiter)
                self._counters["malformed"] += len([one for one in self._before_header if not _is_sep(one)])
                self._before_header = []
                self._say_columns(cells)
                return []
        self._before_header.append(text[: 1 << 12])
        if len(self._before_header) == HEADER_WITHIN:
            raise self._no_header()
        return []

    def _no_header(self) -> DataError:
        first = self._before_header[0]
        if "\x00" in first:
            return DataError(f"{self._origin} is no UTF-8 text", hint="UTF-16, perhaps: convert it to UTF-8 first")
        if self._named.refusal:
            return DataError(self._named.refusal, hint="every line must hold each channel under its name")
        bare = [_cells(one) for one in self._before_header if _is_bare(one)]
        words = [_cells(one) for one in self._before_header if re.search(r"[a-zA-Z]", one) and not _is_bare(one)]
        if len(bare) * 2 >= len(self._before_header):
            words = [cells for cells in words if len(cells) == len(bare[-1])]  # a header in names of its own
            if not words:
                return self._only_numbers(bare[-1])
        try:
            find_columns((words or [_cells(first)])[0], self._wanted, self._origin)
        except DataError as error:
            return error
        return DataError(f"{self._origin}: no line names the channels; the first is {first[:SHOWN_LINE]!r}")

    def _only_numbers(self, cells: Sequence[str]) -> DataError:
        values = len(cells)
        line = next(one for one in reversed(self._before_header) if _is_bare(one)).strip()
        names = ",".join(channel.name for channel in self._wanted)
        if values not in (len(self._wanted), len(self._wanted) + 1) or not all(map(is_number, map(str.strip, cells))):
            hint = f"name every value in one line before them; the bundle needs {names}"
        else:
            hint = f"put the line {'timestamp,' * (values > len(self._wanted))}{names} before them, in their order"
        return DataError(
            f"{self._origin}: no line names the channels; its lines hold {values} values, such as "
            f"{line[:SHOWN_LINE]!r}; the bundle has {len(self._wanted)} channels",
            hint=hint,
        )

    def _is_header(self, text: str) -> bool:
        """Whether a line among rows is a header; one that names the channels decides on their order from now on."""
        cells = [cell.strip() for cell in split_cells(text, bare_delimiter(text))]
        if self._csv is not None and self._csv.repeats_header(cells):
            return True
        if self._needs_header or not len(self._wanted) <= len(cells) or not all(map(_is_word, cells)):
            return False
        if names_channels(cells, self._wanted):
            try:
                self._csv = CsvRows(self._wanted, cells, self._origin, bare_delimiter(text))
            except DataError as error:  # a sensor that is plugged in must not end the run
                self._notices.say(f"header {self._origin}", error.message)
                return False
            self._say_columns(cells)
            return True
        names = ", ".join(channel.name for channel in self._wanted)
        said = (
            f"{self._origin}: the line {shown(cells)!r} does not name the channels; values are taken as [time,] {names}"
        )
        self._notices.say(f"header {self._origin}", said)
        return False

    def _say_columns(self, cells: Sequence[str]) -> None:
        columns = self._csv.columns if self._csv is not None else None
        if columns is not None and columns.unused:
            said = f"{self._origin}: columns that are not read: {shown(columns.unused)}"
            self._notices.say(f"unused {self._origin}", said)
        if columns is not None and columns.time is not None and cells[columns.time].strip().lower() != "timestamp":
            said = f"{self._origin}: column {cells[columns.time].strip()!r} is taken as the time"
            self._notices.say(f"time {self._origin}", said)


def _is_word(cell: str) -> bool:
    return re.match(r"[^\W\d_]", cell) is not None and cell.lower() not in ("nan", "inf", "na", "null", "none")


def _cells(line: str) -> list[str]:
    """Return the cells of a line that no header named; none where it is not CSV."""
    try:
        return [cell.strip() for cell in split_cells(line, bare_delimiter(line))]
    except RowError:
        return []


def _is_bare(line: str) -> bool:
    """Whether most cells of a line are numbers."""
    cells = [cell for cell in _cells(line) if cell]
    return len(cells) > 1 and sum(is_number(cell) for cell in cells) * 2 > len(cells)


def _is_sep(line: str) -> bool:
    return re.match(r'"?sep=.', line.strip()) is not None
