"""The import map: which files there are, and how their columns become channels, times, labels and subjects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from fsq_edge.data.importing.packages import need_package
from fsq_edge_runtime.artefact import Artefact, StrictModel
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.faults import shown, yaml_problem
from fsq_edge_runtime.files import first_line, read_bounded
from fsq_edge_runtime.tables.dialect import Dialect
from fsq_edge_runtime.tables.units import UNITS

MAX_MAP_BYTES = 1 << 20
DEVICE = "device"  # the zone of a wall clock that nobody knows: times are taken as they stand

Text = Annotated[str, Field(min_length=1, max_length=1000)]
Line = Annotated[int, Field(ge=0, le=1_000_000)]


class TableSection(StrictModel):
    """How a text table is written.

    Attributes:
        delimiter: one character; a space stands for any run of spaces.
        decimal: the decimal mark.
        encoding: a Python codec.
        header_line: the line that names the columns, from 1; 0 where there is none.
        units_line: the line that holds units; 0 where there is none.
        first_row_line: the first line of values.
        comment: what begins a line that is no row.
    """

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    decimal: Literal[".", ","] = "."
    encoding: str = Field(default="utf-8", max_length=40)
    header_line: Line = 1
    units_line: Line = 0
    first_row_line: Line = 2
    comment: str = Field(default="", max_length=10)

    @property
    def dialect(self) -> Dialect:
        """The dialect that the reader takes."""
        return Dialect(
            self.encoding,
            self.delimiter,
            self.decimal,
            self.header_line,
            self.units_line,
            self.first_row_line,
            self.comment,
        )


class TimeSection(StrictModel):
    """When each row was taken: by a column, or by a start and a rate.

    Attributes:
        column: of the times (``*`` as above); two where date and clock stand apart. Empty takes start and rate.
        form: ``s``, ``ms``, ``us``, ``ns``, ``iso``, ``clock``, or ``pattern``; None recognises it in each file.
        pattern: of ``strptime``, such as ``%d.%m.%Y %H:%M:%S.%f``.
        zone: of local times: ``Europe/Vienna``, ``UTC``, or ``device`` to take them as they stand.
        ambiguous: what a local time means that occurs twice when clocks are set back.
        spread: rows that share one time stamp are spread evenly up to the next one.
        start: first time of a file without times, ISO 8601; empty begins at 0.
        rate_hz: rate of a file without times; None takes what the file states.
    """

    column: str | tuple[str, ...] = ""
    form: Literal["s", "ms", "us", "ns", "iso", "clock", "pattern"] | None = None
    pattern: str = ""
    zone: str = ""
    ambiguous: Literal["refuse", "earlier", "later", "order"] = "refuse"
    spread: bool = False
    start: str = ""
    rate_hz: float | None = Field(default=None, gt=0, le=1e6)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self.column if isinstance(self.column, tuple) else (self.column,) if self.column else ()

    @model_validator(mode="after")
    def _pattern_has_its_form(self) -> Self:
        if (self.form == "pattern") != bool(self.pattern):
            raise ValueError("form: pattern and pattern: belong together")
        return self


class ChannelSource(StrictModel):
    """Where a channel comes from.

    Attributes:
        column: its name, in which ``*`` stands for any letters; several are alternatives, the first found is taken.
        unit: of the values; empty takes what the column's name or the file says.
        factor: the values are multiplied by it, before units are converted; -1 turns an axis.
        optional: a file without the column is no error, as long as none of the data set's files has it.
    """

    column: Text | tuple[Text, ...]
    unit: str = Field(default="", max_length=32)
    factor: float = 1.0
    optional: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The alternatives."""
        return self.column if isinstance(self.column, tuple) else (self.column,)


class LabelSource(StrictModel):
    """A column of labels.

    Attributes:
        column: its name.
        none: values that mean no label.
        names: value -> class name, such as ``"1": walk``; others keep their own.
    """

    column: Text
    none: tuple[str, ...] = ("",)
    names: dict[str, str] = Field(default_factory=dict)


class ColumnSource(StrictModel):
    """A value that a column gives, row by row."""

    column: Text


class FileSection(StrictModel):
    """Files of one kind.

    Attributes:
        pattern: of their names below the folder that was named: ``*`` any letters, ``**`` any folders, ``{subject}``,
            ``{session}``, ``{label}`` (of the whole file) and other names in braces are taken from the name. Without
            ``/`` it is about the last part.
        reader: name of a reader; empty recognises it.
        table: how a text table is written; None recognises it in each file.
        time: when rows were taken; None where the format says it.
        channels: channel -> where it comes from, in this order.
        label: column of labels.
        subject: text, or a column; empty takes ``{subject}`` of the pattern, else what the file says, else its name.
        session: text, or a column; empty takes ``{session}``.
        where: column -> value: only such rows; the others are for other sections.
    """

    pattern: Text
    reader: str = ""
    table: TableSection | None = None
    time: TimeSection | None = None
    channels: dict[str, ChannelSource] = Field(min_length=1, max_length=1024)
    label: LabelSource | None = None
    subject: str | ColumnSource = ""
    session: str | ColumnSource = ""
    where: dict[str, str] = Field(default_factory=dict)


class GapSection(StrictModel):
    """What a hole in the times means.

    Attributes:
        longer_than_ms: a step longer than this is a hole.
        then: ``keep`` one recording with the hole in its times (no window spans it), or ``split`` it there.
        fill_ms: when sensors are put on one grid, the longest distance that is interpolated.
        idle_s: rows that repeat every value for at least this long are idle sleep that an export filled, and become a
            hole; 0 keeps them.
    """

    longer_than_ms: float = Field(default=1000.0, gt=0)
    then: Literal["keep", "split"] = "keep"
    fill_ms: float = Field(default=100.0, ge=0)
    idle_s: float = Field(default=0.0, ge=0)


class ImportMap(Artefact):
    """Content of a map, schema version 1.

    Attributes:
        name: of the data set.
        rate_hz: of the data set; None takes the files' nominal rate, else the measured one.
        resample: put every recording on a grid of that rate; without it, recordings of another rate are refused.
        channels: channel -> unit in the data set; what stands not here keeps the file's unit.
        files: kinds of files; the first pattern that fits a file counts. Files of several sections that agree in the
            names taken from the pattern are sensors of one recording.
        subjects: subject as found -> as written.
        gaps: holes.
        max_dropped_percent: more rows of a file than this dropped is an error.
        mirror, licence, source: of the data set.
    """

    KIND: ClassVar[str] = "import map"

    name: Text = "imported"
    rate_hz: float | None = Field(default=None, gt=0, le=1e6)
    resample: bool = False
    channels: dict[str, str] = Field(default_factory=dict)
    files: tuple[FileSection, ...] = Field(min_length=1, max_length=1000)
    subjects: dict[str, str] = Field(default_factory=dict)
    gaps: GapSection = GapSection()
    max_dropped_percent: float = Field(default=1.0, ge=0, le=100)
    mirror: tuple[int, ...] | None = None
    licence: str = ""
    source: str = ""

    @field_validator("channels")
    @classmethod
    def _units_are_known(cls, channels: dict[str, str]) -> dict[str, str]:
        for channel, unit in channels.items():
            if unit and unit not in UNITS and len(unit) > 32:
                raise ValueError(f"the unit of {channel} is too long")
        return channels


def read_map(path: Path) -> ImportMap:
    """Read a map from YAML.

    Raises:
        MissingInputError: the file cannot be read.
        DataError: not YAML, an unknown key, a wrong value.
    """
    text = read_bounded(path, MAX_MAP_BYTES, what="the map", hint="fsq-edge data import PATH --guess writes one")
    return parse_map(text, path.name)


def parse_map(text: bytes, where: str) -> ImportMap:
    """Read a map from YAML text; errors as :func:`read_map`."""
    yaml = need_package("yaml", "reading a map")
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(yaml_problem(error, where), hint="a tab or a missing space is the usual cause") from error
    if not isinstance(document, dict):
        raise DataError(f"{where}: expected keys such as `files:`, found {shown(document)}")
    return map_from(document, where)


def map_from(document: Mapping[str, Any], where: str) -> ImportMap:
    """Check a document and return the map; errors as :func:`read_map`."""
    try:
        text = json.dumps({"schema_version": ImportMap.VERSION, **document})
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: {first_line(error)}", hint="quote dates, times and keys that are numbers") from error
    return ImportMap.from_json(text, origin=where)
