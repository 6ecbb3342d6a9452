"""The stream engine's parts: grid, resampling, ring of samples, quality, counters, records."""

from fsq_edge_runtime.stream.counters import StreamCounters
from fsq_edge_runtime.stream.records import BackendSwitch, Decision, Gap, Predictions, Record, StreamEvent
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
