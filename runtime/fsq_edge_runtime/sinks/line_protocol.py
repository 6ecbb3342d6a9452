"""A record as one line of InfluxDB's line protocol."""

from __future__ import annotations

import math
import re
from typing import Any, Final, Literal

from fsq_edge_runtime.stream.records import Decision, Record

WINDOWS, EVENTS = "fsq_edge", "fsq_edge_event"
EARLIEST_S, LATEST_S = 31_536_000, 2**32  # 1971 to 2106: what is below counts from a start of its own
FARTHEST_S = 9.2e9  # what nanoseconds in 64 bits can hold
LEAST = 1e-300  # smaller ones are no numbers to some parsers
Clock = Literal["auto", "source", "arrival"]
_TAG = re.compile(r"([,= ])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
MAX_TEXT: Final = 1024


class LineProtocol:
    """Writes records as lines: windows under ``fsq_edge``, everything else under ``fsq_edge_event``.

    Numbers of events are always floats, since InfluxDB refuses a field that changes its type.

    Args:
        clock: ``source`` takes the time of the window's last sample, ``arrival`` the time of this machine, ``auto``
            the former where it counts from 1970.

    Source: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
    """

    def __init__(self, clock: Clock = "auto") -> None:
        self._clock = clock

    def line(self, record: Record, arrived_ns: int) -> str | None:
        """Return the line without its end; None where the record has no field.

        Args:
            record: any.
            arrived_ns: when it came, nanoseconds since 1970.
        """
        if isinstance(record, Decision):
            name, tags, fields = WINDOWS, {"stream": record.stream}, _window_fields(record)
        else:
            facts = record.to_dict()
            tags = {"stream": record.stream, "type": record.kind}
            name, fields = EVENTS, _event_fields(facts)
        if not fields:
            return None
        heads = "".join(f",{key}={_tag(value)}" for key, value in sorted(tags.items()) if value)
        values = ",".join(f"{_TAG.sub(_escape, key)}={value}" for key, value in fields.items())
        return f"{name}{heads} {values} {self._time_ns(record, fields, arrived_ns)}"

    def _time_ns(self, record: Record, fields: dict[str, str], arrived_ns: int) -> int:
        end: float | None = getattr(record, "t_end", None)
        if end is None and "t_end" in fields:
            end = float(fields["t_end"])
        if end is None or self._clock == "arrival" or not abs(end) < FARTHEST_S:
            return arrived_ns
        if self._clock == "source" or EARLIEST_S <= end <= LATEST_S:
            return round(end * 1e9)
        return arrived_ns


def _window_fields(record: Decision) -> dict[str, str]:
    fields = {"seq": f"{record.seq}i", "t_start": _number(record.t_start), "t_end": _number(record.t_end)}
    texts = {"label": record.label, "raw_label": record.raw_label, "missed": record.missed, "backend": record.backend}
    fields |= {key: _text(value) for key, value in texts.items() if value is not None}
    if record.quality:
        fields["quality"] = _text(" ".join(record.quality))
    if record.labels is not None:
        fields["labels"] = _text(" ".join(record.labels))
    if record.confidence is not None and math.isfinite(record.confidence):
        fields["confidence"] = _number(record.confidence)
    if record.code is not None:
        fields["code"] = f"{record.code}i"
    fields["latency_us"] = repr(record.stages_ns[-1] / 1e3)
    return fields


def _event_fields(facts: dict[str, Any]) -> dict[str, str]:
    """Return the texts and numbers of an event; lists and tables are left out, since no field can hold them."""
    fields = {}
    for key, value in facts.items():
        if key in ("type", "stream"):
            continue
        if isinstance(value, bool):
            fields[key] = "true" if value else "false"
        elif isinstance(value, int | float) and math.isfinite(value):
            fields[key] = _number(value)
        elif isinstance(value, str):
            fields[key] = _text(value)
    return fields


def _number(value: float) -> str:
    return repr(float(value)) if abs(value) > LEAST else "0.0"


def _text(value: str) -> str:
    plain = _CONTROL.sub(" ", value)[:MAX_TEXT].replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'


def _tag(value: str) -> str:
    # A backslash at the end of a tag would escape what follows, and there is no way to write one: it becomes a slash.
    return _TAG.sub(_escape, _CONTROL.sub(" ", value)[:MAX_TEXT].replace("\\", "/"))


def _escape(match: re.Match[str]) -> str:
    return "\\" + match[0]
