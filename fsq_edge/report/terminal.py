"""Sections and tables of a report on a terminal."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from fsq_edge.report.document import Section, Table, shown_cells

Shown = str | RichTable | Text


def rich_table(table: Table) -> RichTable:
    """Return a table for a console; columns of numbers are flush right."""
    rows, numeric = shown_cells(table)
    shown = RichTable(
        title=escape(table.caption), title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False,
        pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for name, right in zip(table.columns, numeric, strict=True):
        shown.add_column(escape(name), overflow="fold", justify="right" if right else "left")
    for row in rows:
        shown.add_row(*map(escape, row))
    return shown


def section_lines(section: Section) -> Iterator[Shown]:
    """Yield what a console prints of a section: its tables, then its text; facts and pictures are a page's."""
    for table in section.tables:
        yield rich_table(table)
        yield ""
    if section.text:
        yield Text(section.heading, style="bold")
        yield Text(section.text)
        yield ""
