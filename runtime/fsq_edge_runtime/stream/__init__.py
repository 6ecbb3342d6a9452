"""The stream engine's parts: grid, resampling, ring of samples, quality, counters, records."""

from fsq_edge_runtime.backends.base import BackendSwitch
from fsq_edge_runtime.stream.counters import StreamCounters
from fsq_edge_runtime.stream.records import Decision, Gap, Predictions, Record, StreamEvent
from fsq_edge_runtime.stream.settings import StreamSettings

__all__ = [
    "BackendSwitch",
    "Decision",
    "Gap",
    "Predictions",
    "Record",
    "StreamCounters",
    "StreamEvent",
    "StreamSettings",
]
