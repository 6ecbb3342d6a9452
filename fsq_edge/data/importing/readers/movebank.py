"""Movebank acceleration exports: a burst of raw samples in one cell of each row.

Source: Movebank attribute dictionary: ``eobs:accelerations-raw``, ``eobs:acceleration-axes``,
``eobs:acceleration-sampling-frequency-per-axis``; times of Movebank are UTC.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import IO

import numpy as np

from fsq_edge.data.importing.inputs import InputFile
from fsq_edge.data.importing.reader import BLOCK_ROWS, Block, Column, Content, Description
from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import first_line
from fsq_edge_runtime.tables.dialect import Dialect
from fsq_edge_runtime.tables.times import TextClock, TimeForm

RAW = ("eobs:accelerations-raw", "accelerations-raw", "acceleration-raw")
RATE = ("eobs:acceleration-sampling-frequency-per-axis", "acceleration-sampling-frequency-per-axis")
AXES = ("eobs:acceleration-axes", "acceleration-axes")
START = ("eobs:start-timestamp", "start-timestamp", "timestamp")
SUBJECT = ("individual-local-identifier", "tag-local-identifier")
MAX_CELL = 1 << 20
READ_BYTES = 1 << 20
TIME = "time"
INDIVIDUAL = "individual"


class MovebankReader:
    """Reads bursts; x, y and z come as raw counts, since their scale depends on the tag."""

    name = "movebank"
    about = "Movebank acceleration exports with raw bursts (.csv)"

    def recognizes(self, file: InputFile, head: bytes) -> bool:
        """Whether the header names a column of bursts."""
        first = head.partition(b"\n")[0].decode("utf-8", "replace").lower()
        return any(name in first for name in RAW)

    def describe(self, file: InputFile, dialect: Dialect | None) -> Description:
        """Look at the first burst."""
        with file.open() as stream:
            first = next(_bursts(stream, file.name, Counter()), None)
        if first is None:
            raise DataError(f"{file.name} holds no burst of accelerations")
        _, rate, axes, _, values, _ = first
        columns = tuple(
            Column(f"acc_{axis}", "", tuple(str(v) for v in values[:200, i])) for i, axis in enumerate(axes)
        )
        return Description(
            (Column(TIME, "s"), *columns, Column(INDIVIDUAL)),
            time=TIME,
            rate_hz=rate,
            facts={"axes": axes},
            reasons={"reader": "its header names raw accelerations, as Movebank does"},
        )

    def blocks(self, file: InputFile, description: Description, columns: Mapping[str, Content]) -> Iterator[Block]:
        """Yield the samples of the bursts; errors as :class:`fsq_edge.data.importing.reader.Reader`."""
        wanted = str(description.facts["axes"])
        dropped: Counter[str] = Counter()
        held: list[tuple[AnyArray, AnyArray, str]] = []
        row = 1
        with file.open() as stream:
            for start, rate, axes, who, values, _ in _bursts(stream, file.name, dropped):
                if axes != wanted:
                    dropped["burst of other axes"] += len(values)
                    continue
                held.append((start + np.arange(len(values)) / rate, values, who))
                if sum(len(times) for times, _, _ in held) >= BLOCK_ROWS:
                    block = _block(held, wanted, row, dropped)
                    yield block
                    row, held, dropped = row + len(block), [], Counter()
        yield _block(held, wanted, row, dropped)


Burst = tuple[float, float, str, str, AnyArray, int]


def _block(held: list[tuple[AnyArray, AnyArray, str]], axes: str, row: int, dropped: Counter[str]) -> Block:
    if not held:
        return Block({TIME: np.empty(0)}, row, dropped)
    values = np.concatenate([values for _, values, _ in held])
    who = np.concatenate([np.full(len(times), name, object) for times, _, name in held])
    columns: dict[str, AnyArray] = {TIME: np.concatenate([times for times, _, _ in held]), INDIVIDUAL: who}
    columns |= {f"acc_{axis}": values[:, i] for i, axis in enumerate(axes)}
    return Block(columns, row, dropped)


def _bursts(stream: IO[bytes], name: str, dropped: Counter[str]) -> Iterator[Burst]:
    """Yield start, rate, axes, individual, values (n, axes) and line of each burst; bad ones are counted."""
    csv.field_size_limit(MAX_CELL)
    reader = csv.DictReader(_text_lines(stream))
    clock = TextClock(TimeForm("iso"))
    try:
        for cells in reader:
            lower = {str(key).lower(): value or "" for key, value in cells.items() if isinstance(value, str | None)}
            raw = _first(lower, RAW)
            if not raw:
                dropped["row without a burst"] += 1
                continue
            axes = _first(lower, AXES).lower() or "xyz"
            try:
                values = np.array(raw.split(), np.float64)
                rate = float(_first(lower, RATE))
                start = float(clock.seconds([_first(lower, START)])[0])
            except ValueError:
                dropped["burst that cannot be read"] += 1
                continue
            if not len(values) or len(values) % len(axes) or not rate > 0 or np.isnan(start) or set(axes) - set("xyz"):
                dropped["burst that cannot be read"] += 1
                continue
            yield start, rate, axes, _first(lower, SUBJECT), values.reshape(-1, len(axes)), reader.line_num
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num}: {first_line(error)}") from error


def _text_lines(stream: IO[bytes]) -> Iterator[str]:
    rest = b""
    while data := stream.read(READ_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > MAX_CELL:
            raise csv.Error("a line is too long")
        for line in lines:
            yield line.decode("utf-8", "replace").lstrip("\ufeff") + "\n"
    if rest:
        yield rest.decode("utf-8", "replace")


def _first(cells: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((cells[name].strip() for name in names if cells.get(name)), "")
