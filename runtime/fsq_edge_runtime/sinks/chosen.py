"""A sink that gets records of one kind only."""

from __future__ import annotations

from fsq_edge_runtime.sinks.base import Sink
from fsq_edge_runtime.sinks.delivery import DeliverySink
from fsq_edge_runtime.stream.records import Record, StreamEvent


class AlertsOnly:
    """Passes ``alert`` records on, and nothing else.

    Args:
        sink: closed with this one.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.name, self.counters = f"alerts to {sink.name}", sink.counters

    @property
    def error(self) -> OSError | None:
        """Why the last record that was lost did not arrive; None while all did."""
        error: OSError | None = getattr(self._sink, "error", None)
        return error

    def write(self, record: Record) -> None:
        """Pass an alert on; at the end of a replay, wait until all are delivered."""
        if isinstance(record, StreamEvent) and record.kind == "alert":
            self._sink.write(record)
        elif isinstance(record, StreamEvent) and record.kind == "end" and isinstance(self._sink, DeliverySink):
            self._sink.flush()

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()
