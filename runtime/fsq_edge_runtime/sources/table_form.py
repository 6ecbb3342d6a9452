"""How a recording in a text table is written: recognised from its first bytes, said where it is not the plain form."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.sources.columns import Columns, Wanted, find_columns, names_channels, shown
from fsq_edge_runtime.sources.notices import Notices
from fsq_edge_runtime.sources.time_unit import TimeColumn
from fsq_edge_runtime.tables import Dialect, recognize_dialect, spell_unit, split_line
from fsq_edge_runtime.tables.dialect import recognize_encoding
from fsq_edge_runtime.tables.units import TIME_UNITS

HEADER_LINES = 64  # a header further down is not looked for
DELIMITERS = (",", ";", "\t", "|", " ")
NAMES = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'", " ": "blanks"}


@dataclass(frozen=True, slots=True)
class TableForm:
    """Where the rows of a table are and what their cells mean.

    Args:
        dialect: encoding, delimiter, decimal mark, comment mark, line of the header and of the units.
        header: names of the columns.
        columns: those that are read.
        clock: reads the times; None where the table has none.
    """

    dialect: Dialect
    header: tuple[str, ...]
    columns: Columns
    clock: TimeColumn | None


def read_form(
    sample: bytes, whole: bool, name: str, wanted: Sequence[Wanted], period_s: float, notices: Notices
) -> TableForm:
    """Recognise a table by its first bytes.

    Args:
        sample: the first bytes.
        whole: they are all.
        name: of the file, for messages.
        wanted: the model's channels.
        period_s: nominal time between two samples, seconds.
        notices: hears what is not as in a plain table.

    Raises:
        DataError: no header that names the channels, a channel named twice, or another unit.
    """
    if not sample.strip():
        hint = "the header must name the channels " + ", ".join(channel.name for channel in wanted)
        raise DataError(f"{name} is empty", hint=hint)
    try:
        dialect = recognize_dialect(sample, whole=whole).dialect
    except ValueError:  # too short to say, or no table: the header decides
        dialect = Dialect(encoding=recognize_encoding(sample))
    text = sample.decode(dialect.encoding, "replace").lstrip("\ufeff")
    lines = [line.rstrip("\r\n") for line in io.StringIO(text, newline="")]  # as a file's lines are counted
    at, header, delimiter = _find_header(lines, dialect, wanted)
    units_line, units = _units_row(lines, at, delimiter)
    written = f"line {at + 1}, separated by {NAMES.get(delimiter, repr(delimiter))}"
    columns = find_columns(header, wanted, name, units=units, units_line=units_line, written=written)
    decimal = dialect.decimal if dialect.delimiter == delimiter else "."
    first = (units_line or at + 1) + 1
    dialect = Dialect(dialect.encoding, delimiter, decimal, at + 1, units_line, first, dialect.comment)
    clock = _clock(lines, dialect, header, columns, period_s)
    _say(dialect, lines, header, columns, clock, name, notices)
    if clock is None and (columns.unused or dialect.header_line > 1):  # a logger's own file, not one made for a model
        rate = f"{1.0 / period_s:.6g} Hz (--source-rate)"
        notices.say(f"time {name}", f"{name}: no column holds the time: samples are taken to come at {rate}")
    return TableForm(dialect, header, columns, clock)


def _find_header(lines: Sequence[str], dialect: Dialect, wanted: Sequence[Wanted]) -> tuple[int, tuple[str, ...], str]:
    """Return the position of the header, its cells and its delimiter; where none fits, the one that looks like it."""
    for delimiter in dict.fromkeys((dialect.delimiter, *DELIMITERS)):
        for at, line in enumerate(lines[:HEADER_LINES]):
            cells = _split(line.lstrip("#%/ \ufeff") if delimiter != " " else line, delimiter)
            if len(cells) >= len(wanted) and names_channels(cells, wanted):
                return at, cells, delimiter
    at = max(0, dialect.header_line - 1)
    return at, _split(lines[at] if lines else "", dialect.delimiter), dialect.delimiter


def _split(line: str, delimiter: str) -> tuple[str, ...]:
    try:
        return tuple(split_line(line, delimiter))
    except ValueError:
        return (line,)


def _units_row(lines: Sequence[str], header_at: int, delimiter: str) -> tuple[int, tuple[str, ...]]:
    """Return the number of the line of units behind the header, and its cells; 0 and nothing where there is none."""
    if header_at + 1 >= len(lines):
        return 0, ()
    cells = _split(lines[header_at + 1], delimiter)
    filled = [cell for cell in cells if cell]
    known = [cell for cell in filled if spell_unit(cell) or cell.lower().strip("[]()") in TIME_UNITS]
    return (header_at + 2, cells) if filled and len(known) >= max(1, len(filled) / 2) else (0, ())


def _clock(
    lines: Sequence[str], dialect: Dialect, header: Sequence[str], columns: Columns, period_s: float
) -> TimeColumn | None:
    if columns.time is None:
        return None
    rows = [_split(line, dialect.delimiter) for line in lines[dialect.first_row_line - 1 :][:512]]
    rows = [row for row in rows[:-1] or rows if len(row) > columns.time]  # the last may be cut
    if columns.stream is not None and rows:
        first = rows[0][columns.stream : columns.stream + 1]
        rows = [row for row in rows if row[columns.stream : columns.stream + 1] == first]
    cells = [row[columns.time] for row in rows if row[columns.time]]
    return TimeColumn(header[columns.time], cells, dialect.decimal, period_s)


def _say(
    dialect: Dialect,
    lines: Sequence[str],
    header: Sequence[str],
    columns: Columns,
    clock: TimeColumn | None,
    name: str,
    notices: Notices,
) -> None:
    if dialect.header_line > 1:
        first = lines[0].strip()
        said = f"the header is line {dialect.header_line}; what is above it, from line 1 {first[:40]!r}, is skipped"
        notices.say(f"preamble {name}", f"{name}: {said}")
    if dialect.delimiter != "," or dialect.decimal == ",":
        comma = ", numbers are written with a decimal comma" if dialect.decimal == "," else ""
        notices.say(
            f"separator {name}",
            f"{name}: columns are separated by {NAMES.get(dialect.delimiter, repr(dialect.delimiter))}{comma}",
        )
    if dialect.units_line:
        said = f"{name}: line {dialect.units_line} holds units; they are the bundle's where they are known"
        notices.say(f"units {name}", said)
    if clock is not None and columns.time is not None:
        column = header[columns.time]
        if clock.said:
            notices.say(f"time {name}", f"{name}: {clock.said}")
        elif column.strip().lower() != "timestamp":
            notices.say(f"time {name}", f"{name}: column {column!r} is taken as the time, in seconds")
    if columns.unused:
        notices.say(f"unused {name}", f"{name}: columns that are not read: {shown(columns.unused)}")
