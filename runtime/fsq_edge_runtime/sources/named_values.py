"""Values that carry their names, such as ``acc_x: 0.12, acc_y: 0.98``, and JSON, to samples. Input is not trusted."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.sources.columns import Wanted, names_channels, renaming, shown
from fsq_edge_runtime.sources.parsing import (
    DEFAULT_STREAM,
    MAX_STREAM_ID,
    CsvRows,
    Row,
    RowError,
    Taught,
    as_wanted,
    stream_id,
)

MAX_DEPTH = 4
MAX_VALUES = 256
LEAST_PAIRS = 2  # fewer names in a line are a word before a number, such as "a/g: 12 4 16000"
_PAIR = re.compile(
    r"(?P<name>[^\W\d][\w./()-]*(?: [^\W\d][\w./()-]*)*) ?[:=]\s*(?P<value>[-+]?(?:\d|\.\d|nan\b)[^\s,;|]*)", re.I
)
_NUMBER = re.compile(r"(?<![\w^])\d")

Named = tuple[tuple[str, ...], tuple[str, ...]]  # names, cells


def named_in_object(value: Any) -> Named:
    """Return names and cells of a JSON value; names of nested objects are joined by ``_``.

    A list of objects that have a ``name`` and ``values``, as phones send them, is named by those names. More than
    ``MAX_VALUES`` values and more than ``MAX_DEPTH`` levels are left out; null is a missing value.

    Example:
        >>> named_in_object({"t": 1, "acc": {"x": 0.5}})
        (('t', 'acc_x'), ('1', '0.5'))
    """
    found = [pair for pair, _ in zip(_walk("", value, 0), range(MAX_VALUES), strict=False)]
    return tuple(name for name, _ in found), tuple(cell for _, cell in found)


def named_in_text(line: str) -> Named | None:
    """Return names and cells of a line of ``name: value`` pairs, whatever stands between; None for another line.

    Example:
        >>> named_in_text("ax: 0.1 | ay: 0.2")
        (('ax', 'ay'), ('0.1', '0.2'))
    """
    if ":" not in line and "=" not in line:
        return None
    found = [match for match, _ in zip(_PAIR.finditer(line), range(MAX_VALUES), strict=False)]
    if len(found) < LEAST_PAIRS or _NUMBER.search(_PAIR.sub("", line)):  # numbers without a name: times, or bare rows
        return None
    return tuple(match["name"] for match in found), tuple(match["value"] for match in found)


class NamedRows:
    """Reads lines whose values have names; the names may change from line to line.

    Args:
        channels: names in the model's order, or pairs of name and unit.
        origin: what an error calls the input.

    Attributes:
        refusal: why lines with the last names cannot be read; empty where they can.
    """

    def __init__(self, channels: Sequence[str | Wanted], origin: str) -> None:
        self._channels, self._origin = as_wanted(channels), origin
        self._names: tuple[str, ...] = ()
        self._rows: CsvRows | None = None
        self.refusal = ""

    def row(self, names: tuple[str, ...], cells: Sequence[str]) -> Row:
        """Return the sample of one line.

        Args:
            names: of its values.
            cells: its values as text.

        Raises:
            RowError: the names lack a channel, hold one twice or state another unit; or a value is no number.
        """
        if names != self._names:
            self._names, self._rows, self.refusal = names, None, ""
            try:
                self._rows = CsvRows(self._channels, names, self._origin)
            except DataError as error:
                lacks = f"{self._origin}: no value is named {self._lacking(names)}; there are {shown(names)}"
                self.refusal = f"{lacks}; {renaming(names, self._channels)}".rstrip("; ")
                if not self._lacking(names):  # a unit, or a name that is there twice
                    self.refusal = error.message
        if self._rows is None:
            raise RowError(self.refusal)
        return self._rows.cells(cells)

    def _lacking(self, names: tuple[str, ...]) -> str:
        return ", ".join(one.name for one in self._channels if not names_channels(names, (one,)))


class JsonRows:
    """Reads objects ``{"t": seconds, "x": [C values], "stream": optional}``, or ``{"teach": class, "stream": ...}``.

    ``t`` and ``x`` may also be lists of the same length, x then holding one list of C values per sample. ``t`` may be
    left out or null. A value that is null is missing. A ``teach`` that is null ends the lesson. An object without ``x``
    that names the channels is read by its names, see :class:`NamedRows`.

    Args:
        channels: names in the model's order, or pairs of name and unit; or only C, and then ``x`` must be there.
        origin: what an error calls the input.
    """

    def __init__(self, channels: int | Sequence[str | Wanted], origin: str = "the object") -> None:
        self._size = channels if isinstance(channels, int) else len(channels)
        self._named = None if isinstance(channels, int) else NamedRows(channels, origin)

    def rows(self, line: str | bytes, stream: str = DEFAULT_STREAM) -> list[Row | Taught]:
        """Return the samples of one object, or what it teaches.

        Args:
            line: JSON.
            stream: id where the object has none.

        Raises:
            RowError: not such an object.
        """
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RowError(f"not JSON: {error}") from error
        if isinstance(value, dict) and "teach" in value and "x" not in value:
            label = value["teach"] or ""
            if not isinstance(label, str) or len(label) > MAX_STREAM_ID or not label.isprintable():
                raise RowError('"teach" must be the name of a class, or null')
            return [Taught(stream_id(value.get("stream", stream)), label)]
        if not isinstance(value, dict) or not isinstance(value.get("x"), list):
            return [self._by_name(value, stream)]
        stream = stream_id(value.get("stream", stream))
        x, t = value["x"], value.get("t")
        if x and isinstance(x[0], list):
            times = [None] * len(x) if t is None else t
            if not isinstance(times, list) or len(times) != len(x):
                raise RowError('"t" and "x" differ in length')
            if self._is_plain(x, times):
                return list(zip(repeat(stream), times, x, strict=False))
            return [(stream, _json_time(at), self._values(values)) for at, values in zip(times, x, strict=True)]
        return [(stream, _json_time(t), self._values(x))]

    def _is_plain(self, x: list[Any], times: list[Any]) -> bool:
        """Whether all samples are as most are: as long as they must be, every value a float; a third of the time."""
        whole = set(map(type, x)) == {list} and set(map(len, x)) == {self._size}
        if not whole or set(map(type, chain.from_iterable(x))) != {float}:
            return False
        kinds = set(map(type, times))
        return kinds == {type(None)} or (kinds == {float} and all(map(math.isfinite, times)))

    def _values(self, values: Any) -> list[float]:
        if not isinstance(values, list) or len(values) != self._size:
            raise RowError(f'"x" must hold {self._size} values a sample')
        return [math.nan if value is None else _json_number(value) for value in values]

    def _by_name(self, value: Any, stream: str) -> Row:
        named = named_in_object(value)
        if self._named is None or not named[0]:
            raise RowError('not an object with "x"')
        own, at, values = self._named.row(*named)
        return own if own != DEFAULT_STREAM else stream, at, values


def _walk(name: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and depth < MAX_DEPTH:
        for key, part in value.items():
            yield from _walk(f"{name}_{key}" if name else str(key), part, depth + 1)
    elif isinstance(value, list) and depth < MAX_DEPTH:
        for at, part in enumerate(value):
            if isinstance(part, dict) and isinstance(part.get("name"), str) and "values" in part:
                yield from _walk(part["name"], part["values"], depth + 1)
            else:
                yield from _walk(f"{name}_{at}", part, depth + 1)
    elif value is None or isinstance(value, str | int | float):
        yield name, "" if value is None else str(value)


def _json_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowError(f"{str(value)[:40]!r} is not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise RowError("a number is too large") from error


def _json_time(value: Any) -> float | None:
    if value is None:
        return None
    at = _json_number(value)
    if not math.isfinite(at):
        raise RowError("the time is not finite")
    return at
