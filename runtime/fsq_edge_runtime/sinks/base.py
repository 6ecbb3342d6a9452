"""The seam between the engine and where its records go."""

from __future__ import annotations

from typing import Protocol

from fsq_edge_runtime.stream.records import Record


class Sink(Protocol):
    """Where records go. One writer at a time.

    Attributes:
        name: for counters and messages.
        counters: what happened so far, by name.
    """

    name: str
    counters: dict[str, int]

    def write(self, record: Record) -> None:
        """Take one record, in order.

        Raises:
            OSError: it cannot be written.
        """

    def close(self) -> None:
        """Deliver what is left, within a bounded time, and let go; a second call does nothing."""
