"""How a text table is written: encoding, delimiter, decimal mark, the lines before its header.

The standard library's ``csv.Sniffer`` takes the decimal comma for a delimiter and knows neither a preamble nor a row of
units, so the form is recognised here from a sample of the file.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from fsq_edge_runtime.tables.times import looks_like_time
from fsq_edge_runtime.tables.units import spell_unit

SAMPLE_LINES = 400
SAMPLE_BYTES = 1 << 16
MAX_COLUMNS = 4096
RUN_OF_ROWS = 8
MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "--", "inf", "-inf", "#n/a"})
COMMENT_MARKS = ("//", "#", "%", "---")
_POINT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z")
_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?\Z")
_SPACES = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a table is written.

    Args:
        encoding: a Python codec's name.
        delimiter: one character; a space stands for any run of spaces and tabs.
        decimal: ``.`` or ``,``.
        header_line: number of the line that names the columns, from 1; 0 where there is none.
        units_line: number of the line that holds the columns' units; 0 where there is none.
        first_row_line: number of the first line of values.
        comment: what a line begins with that is no row; empty where there is no such mark.
    """

    encoding: str = "utf-8"
    delimiter: str = ","
    decimal: str = "."
    header_line: int = 1
    units_line: int = 0
    first_row_line: int = 2
    comment: str = ""


@dataclass(frozen=True, slots=True)
class TableHead:
    """The first rows of a table and what they show.

    Args:
        dialect: how it is written.
        columns: names, from the header, or ``column_1`` and so on; without the empty name after a last delimiter.
        units: one a column from the row of units; empty where there is none.
        rows: the first rows, as cells.
        preamble: the lines before the header.
        reasons: setting -> why it was chosen, for a person.
    """

    dialect: Dialect
    columns: tuple[str, ...]
    units: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    preamble: tuple[str, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)


def recognize_dialect(sample: bytes, *, whole: bool = False) -> TableHead:
    """Find out how a table is written.

    Args:
        sample: the file's first bytes; about 64 KiB are enough.
        whole: the sample is all of the file, so that its last line is complete.

    Returns:
        The dialect and the first rows. A file with one column has the delimiter ``,``.

    Raises:
        ValueError: no table: empty, binary, or no two lines that agree.
    """
    encoding = recognize_encoding(sample)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(sample, whole)
    lines = text.splitlines()
    if not whole and len(lines) > 1:
        lines = lines[:-1]  # probably cut in the middle
    lines = lines[:SAMPLE_LINES]
    if not any(line.strip() for line in lines):
        raise ValueError("it holds no lines of text")
    if "\x00" in text:
        raise ValueError("it is not text")
    reasons = {"encoding": f"the first bytes read as {encoding}"}
    delimiter, decimal = _delimiter(lines, reasons)
    return _head(lines, encoding, delimiter, decimal, reasons)


def recognize_encoding(sample: bytes) -> str:
    """Return the codec of a text: by its byte order mark, else UTF-8 where that fits, else Windows-1252."""
    if sample.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(sample) >= 4 and sample[1:40:2].strip(b"\x00") == b"" and sample[:40:2].strip(b"\x00"):
        return "utf-16-le"
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(sample)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def split_line(line: str, delimiter: str) -> list[str]:
    """Return the cells of one line, without spaces around them; quoted cells may hold the delimiter.

    Raises:
        ValueError: a cell is not closed, or larger than the csv module takes.
    """
    if delimiter == " ":
        return _SPACES.split(line.strip())
    try:
        return [cell.strip() for cell in next(csv.reader((line,), delimiter=delimiter, skipinitialspace=True), [])]
    except csv.Error as error:
        raise ValueError(f"not a row of a table: {error}") from error


def is_number(cell: str, decimal: str = ".") -> bool:
    """Whether a cell is a number, or stands for a missing one."""
    return (
        cell.lower() in MISSING
        or (_COMMA if decimal == "," else _POINT).match(cell) is not None
        or (decimal == "," and _POINT.match(cell) is not None and "." not in cell)
    )


def _delimiter(lines: Sequence[str], reasons: dict[str, str]) -> tuple[str, str]:
    said = re.match(r'"?sep=(.)"?\s*\Z', lines[0].strip("\ufeff"))
    candidates = [said.group(1)] if said else [";", "\t", ",", "|", " "]
    best: tuple[float, str, str, str] | None = None
    body = [line for line in lines[len(lines) // 3 :] if line.strip()] or [line for line in lines if line.strip()]
    for delimiter in candidates:
        score, decimal, why = _score(body, delimiter)
        if best is None or score > best[0] + 1e-9:
            best = (score, delimiter, decimal, why)
    if best is None or best[0] <= 0:
        reasons["delimiter"] = "no delimiter splits the lines evenly: one column"
        return ",", "."
    reasons["delimiter"] = "the first line says so" if said else best[3]
    reasons["decimal"] = "numbers are written with a comma" if best[2] == "," else "numbers are written with a point"
    return best[1], best[2]


def _score(body: Sequence[str], delimiter: str) -> tuple[float, str, str]:
    """How well a delimiter explains the body: even rows, cells that are numbers or times."""
    try:
        rows = [split_line(line, delimiter) for line in body]
    except ValueError:
        return 0.0, ".", ""
    width, count = Counter(map(len, rows)).most_common(1)[0]
    if width < 2 or width > MAX_COLUMNS:
        return 0.0, ".", ""
    cells = [cell for row in rows if len(row) == width for cell in row]
    commas = sum(_COMMA.match(cell) is not None for cell in cells) if delimiter != "," else 0
    points = sum("." in cell and _POINT.match(cell) is not None for cell in cells)
    decimal = "," if commas > points else "."
    sound = sum(is_number(cell, decimal) or looks_like_time(cell) for cell in cells) / len(cells)
    even = count / len(rows)
    why = f"{100 * even:.0f} % of the lines have {width} columns"
    # Spaces also stand inside times and names, so another delimiter that does as well is preferred.
    return even * (0.05 + sound) - (0.02 if delimiter == " " else 0.0), decimal, why


def _head(lines: Sequence[str], encoding: str, delimiter: str, decimal: str, reasons: dict[str, str]) -> TableHead:
    rows = [cells_of(line, delimiter) for line in lines]
    width = Counter(len(row) for row in rows[len(rows) // 3 :] if any(row)).most_common(1)[0][0]
    kinds = _column_kinds([row for row in rows[len(rows) // 3 :] if len(row) == width], decimal)
    sound = [_is_row(row, width, decimal) and _fits(row, kinds, decimal) for row in rows]
    filled = [i for i, row in enumerate(rows) if any(row)]
    # A preamble may hold lines of numbers too, so the values begin where a run of them does.
    first = next((i for at, i in enumerate(filled) if all(sound[j] for j in filled[at : at + RUN_OF_ROWS])), None)
    if first is None:
        raise ValueError(f"no {RUN_OF_ROWS} lines in a row hold numbers in evenly many columns")
    before = [i for i in range(first) if any(rows[i])]
    units_line = header_line = 0
    if before and _is_units(rows[before[-1]]) and len(before) > 1:
        units_line = before.pop() + 1
        reasons["units_line"] = f"line {units_line} holds unit words"
    if before and abs(len(rows[before[-1]]) - width) <= 1 and not _is_row(rows[before[-1]], width, decimal):
        header_line = before.pop() + 1
        reasons["header_line"] = f"line {header_line} is the last one before the numbers that begin in line {first + 1}"
    else:
        reasons["header_line"] = "no line names the columns"
    preamble = tuple(lines[i] for i in before)
    marks = [mark for mark in COMMENT_MARKS if any(line.lstrip().startswith(mark) for line in preamble)]
    dialect = Dialect(encoding, delimiter, decimal, header_line, units_line, first + 1, marks[0] if marks else "")
    data = tuple(tuple(row) for row in rows[first:] if any(row))
    names = column_names(rows[header_line - 1] if header_line else [], width, data)
    units = tuple((rows[units_line - 1] + [""] * len(names))[: len(names)]) if units_line else ()
    return TableHead(dialect, names, units, data, preamble, reasons)


def cells_of(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line; a line that cannot be split is one cell."""
    try:
        return split_line(line.lstrip("\ufeff"), delimiter)
    except ValueError:
        return [line]


def _is_row(row: Sequence[str], width: int, decimal: str) -> bool:
    """Whether cells are values: of about the usual width, a number or time among them, and little other text."""
    filled = [cell for cell in row if cell]
    if not filled or abs(len(row) - width) > 1:
        return False
    values = sum(is_number(cell, decimal) or looks_like_time(cell) for cell in filled)
    return values >= max(1, len(filled) / 3) and not (values < len(filled) and _is_units(row))


def _kind(cell: str, decimal: str) -> str:
    if cell.lower() in MISSING:
        return ""
    return "number" if is_number(cell, decimal) else "time" if looks_like_time(cell) else "text"


def _column_kinds(rows: Sequence[Sequence[str]], decimal: str) -> list[str]:
    """What most rows hold in each column."""
    kinds = []
    for column in zip(*rows, strict=True):
        counted = Counter(_kind(cell, decimal) for cell in column)
        counted.pop("", None)
        kinds.append(counted.most_common(1)[0][0] if counted else "")
    return kinds


def _fits(row: Sequence[str], kinds: Sequence[str], decimal: str) -> bool:
    """Whether no more than a quarter of the cells are of another kind than their column."""
    pairs = [(_kind(cell, decimal), kind) for cell, kind in zip(row, kinds, strict=False)]
    other = sum(bool(kind) and kind != usual and usual in ("number", "time") for kind, usual in pairs)
    return other <= len(pairs) / 4


def _is_units(row: Sequence[str]) -> bool:
    filled = [cell for cell in row if cell]
    known = [cell for cell in filled if spell_unit(cell) or cell.lower().strip("[]()") in UNIT_ROW_WORDS]
    return bool(filled) and len(known) >= max(1, (2 * len(filled) + 2) // 3) and not any(map(_POINT.match, filled))


UNIT_ROW_WORDS = frozenset(
    {"ms", "s", "us", "µs", "ns", "sec", "no_units", "no units", "unitless", "a.u.", "-", "hpa", "kpa", "pa", "%", "v"}
    | {"mv", "degrees celsius", "degrees celsius *", "°c", "c", "lux", "lx", "yyyy/mm/dd hh:mm:ss.sss", "local"}
)


def column_names(header: Sequence[str], width: int, data: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return a name for each of ``width`` columns, from the header where it has one."""
    names = list(header)
    while names and not names[-1] and not any(len(row) >= len(names) and row[len(names) - 1] for row in data):
        names.pop()  # a delimiter at the end of every line
    if not header:
        names = [f"column_{i + 1}" for i in range(width)]
    seen: Counter[str] = Counter()
    unique = []
    for i, name in enumerate(names):
        name = name or f"column_{i + 1}"
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}.{seen[name] - 1}")
    return tuple(unique)
