"""A report as data: sections of text, facts, tables and pictures; ``markdown``, ``html`` and ``terminal`` write it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fsq_edge.report.parts import Fact, Picture

_NUMBER = re.compile(r"^[-+−±]?[\d.]+(?:[\d.,]|[eE][-+]?\d|\s×\s10[⁻⁰-⁹¹²³]+|\s?(?:%|[nuµm]?s|[kKMG]i?B|x))*$")

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns. Numbers are shown by ``cell_text``; None is a dash.

    Attributes:
        columns: C headings.
        rows: each of C cells.
        caption: one line above the table.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report, shown in the order text, facts, tables, figures.

    Attributes:
        heading: unique within the report.
        text: paragraphs parted by blank lines; lines that begin with ``- `` are a list; ``**bold**``, `` `code` ``
            and ``[text](address)`` are read, nothing else.
        facts: headline numbers.
        tables: tables.
        figures: pictures; Markdown points to their files.
    """

    heading: str
    text: str = ""
    facts: Sequence[Fact] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Picture] = ()


def cell_text(cell: Cell) -> str:
    """Return a cell as it is shown: whole numbers with separators, others with three decimals, None as a dash.

    Example:
        >>> [cell_text(cell) for cell in (1234, 0.5, None)]
        ['1,234', '0.500', '–']
    """
    if cell is None:
        return "–"
    if isinstance(cell, bool | str):
        return str(cell)
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.3f}"


def shown_cells(table: Table) -> tuple[list[list[str]], list[bool]]:
    """Return a table's cells as text, and which columns hold numbers only.

    Raises:
        ValueError: a row has not as many cells as columns.
    """
    rows = [[cell_text(cell) for cell in row] for row in table.rows]
    wrong = next((row for row in rows if len(row) != len(table.columns)), None)
    if wrong is not None:
        raise ValueError(f"a row has {len(wrong)} cells under {len(table.columns)} columns: {wrong}")
    columns = list(zip(*rows, strict=True)) or [()] * len(table.columns)
    return rows, [bool(column) and all(cell == "–" or _NUMBER.match(cell) for cell in column) for column in columns]


def finite(value: Any) -> Any:
    """Return ``value`` with numpy scalars and arrays as plain Python and non-finite numbers as None."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if hasattr(value, "tolist"):
        return finite(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
