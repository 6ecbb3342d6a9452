"""Which column of a table is which channel, which is the time, and what to say when a header does not fit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tables import conversion, name_column, spell_unit

TIME, STREAM = "timestamp", "stream"
NO_INPUT = frozenset({"label", "labels", "class", "annotation"})  # columns that a recording may hold besides
SHOWN_NAMES = 12
MAX_SHOWN = 160
# Names under which loggers write the time of a row, in lower case, without their unit.
_TIME_NAMES = re.compile(
    r"time|ts?|times|sample_?time.*|time_?stamps?.*|time_.*|date_?time.*|epoch.*|unix_?.*|.*elapsed.*|millis|micros"
)


class Wanted(NamedTuple):
    """A channel of the model: its name, and its unit or an empty text where the unit is not checked."""

    name: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a table holds what is needed; positions count from 0.

    Args:
        channels: one position a channel, in the model's order.
        time: the time of a row; None where there is none.
        stream: the stream id of a row; None where there is none.
        unused: names of the columns that are not read.
    """

    channels: tuple[int, ...]
    time: int | None = None
    stream: int | None = None
    unused: tuple[str, ...] = ()


def plain_name(cell: str) -> str:
    """Return a column's name in lower case, without its unit, words joined by ``_``.

    Example:
        >>> plain_name("Acc X (m/s^2)"), plain_name("timestamp [ms]")
        ('acc_x', 'timestamp')
    """
    return re.sub(r"[\s_]+", "_", name_column(cell).base.strip().lower())


def names_channels(header: Sequence[str], wanted: Sequence[Wanted]) -> bool:
    """Whether a line of cells names every channel."""
    return all(_positions(header, channel.name) for channel in wanted)


def find_columns(
    header: Sequence[str],
    wanted: Sequence[Wanted],
    origin: str,
    *,
    units: Sequence[str] = (),
    units_line: int = 0,
    written: str = "",
) -> Columns:
    """Find the columns that a model needs. Names match exactly, else without case, unit and kind of blank.

    Args:
        header: names of the columns.
        wanted: the channels, in the model's order.
        origin: what an error calls the input.
        units: of the columns, where a row of the table gives them.
        units_line: number of that row, for an error.
        written: how the table is written, for an error, such as ``separated by ';'``.

    Raises:
        DataError: a channel has no column or several, or is in another unit than the model's.
    """
    found = [_one(header, channel.name, origin) for channel in wanted]
    for channel, at in zip(wanted, found, strict=True):
        if at is None:
            raise _missing(channel.name, header, wanted, origin, written)
    channels = tuple(at for at in found if at is not None)
    for channel, at in zip(wanted, channels, strict=True):
        stated = units[at] if at < len(units) else name_column(header[at]).unit
        where = f"line {units_line}: " if units_line and at < len(units) else ""
        check_unit(stated, channel, f"{origin}: {where}column {header[at]!r}")
    time, stream = _time(header, channels, origin), _one(header, STREAM, origin)
    used = {*channels, time, stream}
    unused = tuple(
        name for at, name in enumerate(header) if at not in used and name and plain_name(name) not in NO_INPUT
    )
    return Columns(channels, time, stream, unused)


def check_unit(stated: str, channel: Wanted, where: str) -> None:
    """Compare the unit that an input states with the model's.

    Args:
        stated: as written; words that are no unit of an inertial sensor are not judged.
        channel: name and unit of the model.
        where: what states it, for the error.

    Raises:
        DataError: they are not one unit.
    """
    ours, theirs = spell_unit(channel.unit), spell_unit(stated)
    if not ours or not theirs:
        return
    try:
        same = abs(conversion(theirs, ours) - 1.0) < 1e-9
    except ValueError:
        same = False
    if not same:
        raise DataError(
            f"{where} is in {theirs}, the bundle expects {channel.name} in {channel.unit}",
            hint="fsq-edge data import converts them, told by its map's line "
            f"`channels: {{{channel.name}: {channel.unit}}}`",
        )


def shown(names: Sequence[str]) -> str:
    """Return the names of columns as one short text."""
    text = ", ".join(names[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."


def _positions(header: Sequence[str], name: str) -> list[int]:
    wanted = plain_name(name)
    for same in (
        lambda cell: cell.strip() == name,
        lambda cell: cell.strip().lower() == name.lower(),
        lambda cell: plain_name(cell) == wanted,
    ):
        found = [at for at, cell in enumerate(header) if same(cell)]
        if found:
            return found
    return []


def _one(header: Sequence[str], name: str, origin: str) -> int | None:
    found = _positions(header, name)
    if len(found) > 1:
        at = " and ".join(str(position + 1) for position in found)
        raise DataError(
            f"{origin}: two columns are called {header[found[0]].strip()!r} (columns {at})",
            hint="which one is meant cannot be known: rename one of them",
        )
    return found[0] if found else None


def _time(header: Sequence[str], channels: Sequence[int], origin: str) -> int | None:
    found = _one(header, TIME, origin)
    if found is not None:
        return found
    others = [at for at in range(len(header)) if at not in channels]
    return next((at for at in others if _TIME_NAMES.fullmatch(plain_name(header[at]))), None)


def renaming(header: Sequence[str], wanted: Sequence[Wanted]) -> str:
    """Return which columns may be channels under another name, such as ``'AccX' may be acc_x: rename it``."""
    close: list[str] = []
    for channel in wanted:
        ours = name_column(channel.name).channel or plain_name(channel.name)
        cell = next((cell for cell in header if name_column(cell).channel == ours), "")
        if cell and not _positions(header, channel.name):
            close.append(f"{cell!r} {'' if close else 'may be '}{channel.name}")
    return f"{', '.join(close[:SHOWN_NAMES])}: rename {'them' if len(close) > 1 else 'it'}" if close else ""


def _missing(name: str, header: Sequence[str], wanted: Sequence[Wanted], origin: str, written: str) -> DataError:
    hint = "the header must name the channels " + ", ".join(channel.name for channel in wanted)
    close = renaming(header, wanted)
    if close:
        hint += f"; {close}, or let fsq-edge data import --guess read the file"
    how = f" ({written})" if written else ""
    return DataError(f"{origin}: no column {name!r}; the header found{how} is: {shown(header) or 'empty'}", hint=hint)
