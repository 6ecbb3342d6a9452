"""JSON objects to samples, from any transport. Input is not trusted."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

from fsq_edge_runtime.sources.columns import Wanted
from fsq_edge_runtime.sources.named_values import NamedRows, named_in_object
from fsq_edge_runtime.sources.parsing import DEFAULT_STREAM, MAX_STREAM_ID, Row, RowError, Taught, stream_id


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
