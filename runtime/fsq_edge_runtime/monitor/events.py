"""What happened beside the windows, in a sentence each: gaps, drift, switches of the backend, the end."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from fsq_edge_runtime.backends.base import BackendSwitch
from fsq_edge_runtime.stream.records import Gap, StreamEvent

MAX_EVENTS = 1000
MAX_TEXT = 500  # characters: a cause may quote a library

_CAUSES = {
    "gap": "no samples",
    "clock": "the clock was set",
    "resume": "paused or ended",
    "overrun": "samples lost: engine too slow",
}


class EventList:
    """The latest events of all streams; each is a dictionary with a number that grows by one.

    Attributes:
        latest: oldest first.
    """

    def __init__(self) -> None:
        self.latest: deque[dict[str, Any]] = deque(maxlen=MAX_EVENTS)
        self._count = 0

    def add(self, record: Gap | BackendSwitch | StreamEvent) -> dict[str, Any] | None:
        """Keep an event; return it as the page takes it, or None for what the page shows elsewhere (``stats``)."""
        told = _told(record)
        if told is None:
            return None
        t, text = told
        event = {"n": self._count, "type": record.kind, "stream": record.stream, "t": t, "wall": time.time()}
        event["text"] = text[:MAX_TEXT]
        if isinstance(record, Gap):
            event["from"] = record.t_start
        self._count += 1
        self.latest.append(event)
        return event


def _told(record: Gap | BackendSwitch | StreamEvent) -> tuple[float | None, str] | None:
    if isinstance(record, Gap):
        length = "" if record.t_start is None else f" of {record.t_end - record.t_start:.2f} s"
        return record.t_end, f"gap{length}: {_CAUSES.get(record.cause, record.cause)}"
    if isinstance(record, BackendSwitch):
        begun = f"{record.from_backend} → {record.to_backend}" if record.from_backend else record.to_backend
        return None, f"{begun}: {record.cause}"
    facts = record.facts
    if record.kind == "drift":
        moved = f"{facts['what']} is {facts['value']:g} {facts['unit']}, usually {facts['usual']:g}"
        return facts["t_end"], f"{moved} ({facts['test']} test): {facts['advice']}"
    if record.kind == "alert":
        return facts["t_end"], facts["message"]
    if record.kind == "end":
        return None, f"the run ended: {facts.get('decided', 0)} decided, {facts.get('missed', 0)} missed"
    return None if record.kind == "stats" else (None, record.kind)
