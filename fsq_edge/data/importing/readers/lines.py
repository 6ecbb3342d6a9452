"""A text file in blocks of whole lines, with the lines that are no rows of the table counted and taken out."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from fsq_edge_runtime.arrays import Int64Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tables.dialect import Dialect

BLOCK_BYTES = 8 << 20
MAX_LINE_BYTES = 1 << 20
_NEWLINE, _RETURN, _QUOTE = 10, 13, 34


@dataclass(frozen=True, slots=True, eq=False)
class LineBlock:
    """Lines that are rows of the table.

    Args:
        data: the lines with their ends, UTF-8 or the file's own single-byte encoding.
        lines: int64 (n,) their numbers, from 1.
        dropped: reason -> lines that are no rows of this table.
        comments: lines that begin with the comment mark.
        notes: one line about the first of each reason.
        trailing: a row ends with a delimiter.
    """

    data: bytes
    lines: Int64Array
    dropped: Counter[str]
    comments: int
    notes: tuple[str, ...]
    trailing: bool


class LineFilter:
    """Takes out what is no row: too few or too many cells, comments. Blank lines are no rows and are not counted.

    Args:
        dialect: of the table.
        width: cells of a row; one more is accepted where a delimiter ends the line.
    """

    def __init__(self, dialect: Dialect, width: int) -> None:
        self._delimiter = ord(dialect.delimiter)
        self._width = width
        self._comment = dialect.comment.encode()

    def is_plain(self, data: bytes) -> bool:
        """Whether there are no quotes and no comments."""
        return _QUOTE not in data and not (self._comment and self._comment in data)

    def may_be_even(self, data: bytes, lines: int) -> bool:
        """Whether there are as many delimiters as in even rows, and nothing that needs a closer look.

        If, besides, every line has a value in its last column, then every line is a row of the right width.
        """
        return self.is_plain(data) and _count(data, self._delimiter) == lines * (self._width - 1)

    def apply(self, data: bytes, first_line: int) -> LineBlock:
        """Return the rows among whole lines."""
        letters = np.frombuffer(data, np.uint8)
        breaks = np.flatnonzero(letters == _NEWLINE)
        cells = np.flatnonzero(letters == self._delimiter)
        ends = breaks
        if _QUOTE in data:
            quotes = np.flatnonzero(letters == _QUOTE)  # an odd number before a place: it is inside a quoted cell
            ends = breaks[np.searchsorted(quotes, breaks) % 2 == 0]
            cells = cells[np.searchsorted(quotes, cells) % 2 == 0]
        starts = np.concatenate(([0], ends[:-1] + 1)) if ends.size else ends
        numbers = first_line + np.searchsorted(breaks, starts)  # a quoted cell may hold a line break
        last = np.where((ends > starts) & (letters[np.maximum(ends - 1, 0)] == _RETURN), ends - 1, ends)
        blank = last == starts
        counts = np.diff(np.searchsorted(cells, ends), prepend=0)
        trailing = letters[np.maximum(last - 1, 0)] == self._delimiter
        short = ~blank & (counts < self._width - 1)
        long = ~blank & (counts > self._width - 1) & ~((counts == self._width) & trailing)
        comment = self._comments(data, starts) & ~blank
        dropped: Counter[str] = Counter()
        notes = []
        for reason, found in (("too few cells", short & ~comment), ("too many cells", long & ~comment)):
            if found.any():
                dropped[reason] = int(found.sum())
                at = int(np.flatnonzero(found)[0])
                notes.append(f"line {numbers[at]} has {counts[at] + 1} cells, expected {self._width}")
        good = ~(blank | short | long | comment)
        if not good.all():
            data = b"".join(data[starts[i] : ends[i] + 1] for i in np.flatnonzero(good))
        lines = np.asarray(numbers[good], np.int64)
        ended = bool((counts[good] == self._width).any())
        return LineBlock(data, lines, dropped, int(comment.sum()), tuple(notes), ended)

    def _comments(self, data: bytes, starts: Int64Array) -> np.typing.NDArray[np.bool_]:
        if not self._comment or self._comment not in data:
            return np.zeros(len(starts), np.bool_)
        return np.array([data.startswith(self._comment, int(at)) for at in starts], np.bool_)


def read_lines(
    file: IO[bytes], dialect: Dialect, name: str, *, size: int = BLOCK_BYTES
) -> Iterator[tuple[bytes, int, int]]:
    """Yield blocks of whole lines from the first row on, each with the number of its first line and how many there are.

    Args:
        file: at its start.
        dialect: of the table; wide encodings are turned into UTF-8, single-byte ones stay.
        name: for messages.
        size: bytes of a block.

    Raises:
        DataError: a line is longer than a mebibyte, or a wide encoding is damaged.
    """
    wide = dialect.encoding.startswith(("utf-16", "utf-32"))
    decoder = codecs.getincrementaldecoder(dialect.encoding)("strict") if wide else None
    skip = max(dialect.first_row_line, dialect.header_line + 1, dialect.units_line + 1) - 1
    number, rest = 1, b""
    old_mac: bool | None = None
    while True:
        data = file.read(size)
        final = not data
        if decoder is not None:
            try:
                data = decoder.decode(data, final).encode()
            except UnicodeDecodeError as error:
                raise DataError(f"{name} is not {dialect.encoding}: {error.reason}", hint="table.encoding") from error
        if old_mac is None and data:
            old_mac = b"\n" not in data and b"\r" in data
        if old_mac:
            data = data.replace(b"\r", b"\n")
        data = rest + data
        if final and data and not data.endswith(b"\n"):
            data += b"\n"
        cut = _cut(data, final)
        block, rest = data[:cut], data[cut:]
        if len(rest) > max(MAX_LINE_BYTES, size):
            raise DataError(
                f"{name}: line {number + block.count(_NEWLINE)} is longer than {MAX_LINE_BYTES} bytes, or a quote is "
                "never closed",
                hint="is it the table that table.delimiter describes?",
            )
        if skip and block:
            dropped, block = _skip(block, skip)
            skip -= dropped
            number += dropped
        if block:
            count = _count(block, _NEWLINE)
            yield block, number, count
            number += count
        if final:
            return


def _count(data: bytes, letter: int) -> int:
    """How often a letter occurs; four times as fast as ``bytes.count`` where it occurs in every tenth place."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == letter))


def _cut(data: bytes, final: bool) -> int:
    """Where the last whole line ends; not inside a quoted cell."""
    cut = data.rfind(b"\n") + 1
    if final or b'"' not in data:
        return len(data) if final else cut
    while cut > 0 and data.count(b'"', 0, cut) % 2:
        cut = data.rfind(b"\n", 0, cut - 1) + 1
    return cut


def _skip(block: bytes, lines: int) -> tuple[int, bytes]:
    at = 0
    for done in range(lines):
        end = block.find(b"\n", at)
        if end < 0:
            return done, b""
        at = end + 1
    return lines, block[at:]
