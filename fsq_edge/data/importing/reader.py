"""What a reader of a file format is: it describes a file and gives its rows in blocks.

A format of your own becomes known to ``data import`` by an entry point in the group ``fsq_edge.readers``; its value is
a class without arguments that follows :class:`Reader`. ``examples/fsq-edge-reader-demo`` is a whole package of that
kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.metadata import entry_points
from typing import Any, Literal, Protocol, runtime_checkable

from fsq_edge.data.importing.inputs import InputFile
from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.errors import DataError, UnavailableError
from fsq_edge_runtime.files import first_line
from fsq_edge_runtime.tables.dialect import Dialect

GROUP = "fsq_edge.readers"
HEAD_BYTES = 1 << 16
BLOCK_ROWS = 1 << 16

Content = Literal["number", "time", "text"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a file.

    Args:
        name: as the file calls it.
        unit: as the file states it; empty where it does not.
        cells: some of its first values as text, for recognising what it holds.
        full_scale: largest magnitude that its sensor can measure, where the file says so.
    """

    name: str
    unit: str = ""
    cells: tuple[str, ...] = ()
    full_scale: float | None = None


def find_column(wanted: str, names: Iterable[str]) -> str | None:
    """Return the column that a map means: of that name, else the first that fits where ``*`` stands for any letters."""
    names = list(names)
    if wanted in names:
        return wanted
    return next((name for name in names if fnmatchcase(name, wanted)), None) if "*" in wanted else None


@dataclass(frozen=True, slots=True)
class Description:
    """What a file says about itself before its rows are read.

    Args:
        columns: in the order of the file.
        time: the column that holds times, where the format fixes it; its blocks give float64 seconds.
        device_clock: those times are a wall clock without a zone.
        rate_hz: nominal rate, where the file states one.
        dialect: of a text table.
        subject: who was recorded, where the file says so.
        facts: what else is worth keeping, as JSON values: device, serial number, range in g, step in g.
        reasons: setting -> why it was recognised, for a person.
    """

    columns: tuple[Column, ...]
    time: str = ""
    device_clock: bool = False
    rate_hz: float | None = None
    dialect: Dialect | None = None
    subject: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive rows of a file.

    Args:
        columns: name -> values (n,): numbers of any kind, or objects that are texts.
        first_row: number of the first row, for messages: the line of a text file, else counted from 1.
        dropped: reason -> rows that the reader could not give; they are not among ``columns``.
        others: kind -> lines, records or pages that hold no rows of this table, such as comments and battery readings.
        lines: int64 (n,) the line of each row, where some between them were dropped; None where they follow on.
        notes: one line each about what was dropped first.
    """

    columns: Mapping[str, AnyArray]
    first_row: int = 1
    dropped: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)
    lines: AnyArray | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def line(self, row: int) -> int:
        """Return the number of a row, for messages."""
        return self.first_row + row if self.lines is None else int(self.lines[row])


@runtime_checkable
class Reader(Protocol):
    """Reads one format.

    Attributes:
        name: what a map calls it: ``reader: NAME``.
        about: one line for people.
    """

    name: str
    about: str

    def recognizes(self, file: InputFile, head: bytes) -> bool:
        """Whether this reader is for that file, from its name and first 64 KiB; must be quick and never raise."""
        ...

    def describe(self, file: InputFile, dialect: Dialect | None) -> Description:
        """Return what the file says about itself.

        Args:
            file: to look at; a few hundred rows are enough.
            dialect: of a text table as the map gives it; None recognises it.

        Raises:
            DataError: not a file of this format.
        """
        ...

    def blocks(self, file: InputFile, description: Description, columns: Mapping[str, Content]) -> Iterator[Block]:
        """Yield the rows, every one of them either in a block or counted as dropped.

        Args:
            file: to read, once, from front to end; memory must not grow with it.
            description: what :meth:`describe` returned.
            columns: the names that are wanted and what they hold; others may be left out. A text must stay as it
                is written (``007``); a number or a time may come as either, as suits the format.

        Raises:
            DataError: damaged so far that no reading on is possible.
        """
        ...


def known_readers() -> dict[str, Reader]:
    """Return every reader by name: those that ship, then those of installed packages.

    Raises:
        UnavailableError: an installed package's reader cannot be loaded.
    """
    from fsq_edge.data.importing.readers import SHIPPED

    readers: dict[str, Reader] = {reader.name: reader for reader in (make() for make in SHIPPED)}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            reader = point.load()()
        except Exception as error:
            raise UnavailableError(
                f"the reader {point.name!r} of {point.value} cannot be loaded: {first_line(error)}",
                hint="repair or remove the package that brings it",
            ) from error
        if not isinstance(reader, Reader):
            raise UnavailableError(
                f"the reader {point.name!r} of {point.value} lacks name, about, recognizes, describe or blocks",
                hint="its package must follow fsq_edge.data.importing.reader.Reader",
            )
        readers[reader.name] = reader
    return readers


def choose_reader(file: InputFile, named: str, readers: Mapping[str, Reader]) -> Reader:
    """Return the reader for a file: the one that the map names, else the first that recognises it.

    Raises:
        DataError: an unknown name, or no reader recognises the file.
    """
    if named:
        if named not in readers:
            raise DataError(
                f"there is no reader {named!r}; there are {', '.join(sorted(readers))}",
                hint="change reader: in the map",
            )
        return readers[named]
    head = file.head(HEAD_BYTES)
    # Readers of installed packages come first: who installs one wants it used.
    for reader in reversed(list(readers.values())):
        if reader.name != "csv" and reader.recognizes(file, head):
            return reader
    if "csv" in readers and readers["csv"].recognizes(file, head):
        return readers["csv"]
    raise DataError(
        f"{file.name}: no reader knows this kind of file ({len(head)} bytes looked at)",
        hint=f"leave it out, or name a reader in the map; there are {', '.join(sorted(readers))}",
    )
