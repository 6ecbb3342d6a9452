"""Bytes from a stream to whole lines, bounded, and lines to chunks with the bad ones counted."""

from __future__ import annotations

import time
from collections.abc import Callable

from fsq_edge_runtime.sources.base import Chunk
from fsq_edge_runtime.sources.parsing import MAX_LINE_BYTES, CsvRows, JsonRows, Row, RowError, split_cells, to_chunks


class LineBuffer:
    """Splits bytes into lines; a line that is too long is dropped up to its end."""

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
            self._rest, self._skipping = b"", True
            self.dropped += 1
        return [line.rstrip(b"\r") for line in lines if line.strip()]

    def finish(self) -> list[bytes]:
        """Return the last line, which has no end, if there is one."""
        rest, self._rest = self._rest, b""
        return [] if self._skipping or not rest.strip() else [rest]


class LineParser:
    """Turns lines into chunks: JSON where a line begins with a brace, else CSV.

    Args:
        channels: names in the model's order.
        counters: ``malformed`` is counted here.
        header: the first CSV line names the columns; else rows are ``[time,] x1, ..., xC``.
        origin: what an error calls the input.
        clock: monotonic nanoseconds.

    Attributes:
        first_error: why the first malformed line was refused.
    """

    def __init__(
        self,
        channels: tuple[str, ...],
        counters: dict[str, int],
        *,
        header: bool,
        origin: str,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._channels, self._counters, self._origin, self._clock = channels, counters, origin, clock
        self._json = JsonRows(len(channels))
        self._csv = None if header else CsvRows(channels, None, origin)
        counters.setdefault("malformed", 0)
        self.first_error = ""
        self._speaks_json = False

    def parse(self, lines: list[bytes]) -> list[Chunk]:
        """Return the samples of whole lines.

        Raises:
            DataError: the header lacks a channel.
        """
        rows: list[Row] = []
        for line in lines:
            try:
                rows += self._rows(line)
            except (RowError, UnicodeDecodeError) as error:
                self._counters["malformed"] += 1
                self.first_error = self.first_error or str(error)
        return to_chunks(rows, self._clock())

    def _rows(self, line: bytes) -> list[Row]:
        text = line.decode("utf-8").removeprefix("\ufeff")
        if text.lstrip().startswith("{"):
            rows = self._json.rows(text)
            self._speaks_json = True
            return rows
        if self._csv is None and self._speaks_json:
            raise RowError("not JSON, as the lines before it were")  # and no header in the middle of a stream
        if self._csv is None:
            self._csv = CsvRows(self._channels, split_cells(text), self._origin)
            return []
        return [self._csv.row(text)]
