"""Records to a Python function."""

from __future__ import annotations

from collections.abc import Callable

from fsq_edge_runtime.stream.records import Record


class CallbackSink:
    """Calls a function with every record.

    Args:
        call: the function; it runs on the engine's thread unless the sink is wrapped in a ``QueuedSink``.
        name: for counters and messages.
    """

    def __init__(self, call: Callable[[Record], None], name: str = "callback") -> None:
        self.name, self._call = name, call
        self.counters = {"records": 0}

    def write(self, record: Record) -> None:
        """Call the function."""
        self._call(record)
        self.counters["records"] += 1

    def close(self) -> None:
        """Nothing is held."""
