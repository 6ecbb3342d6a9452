"""The stream engine's parts: grid, resampling, ring of samples, quality, counters, records."""

from fsq_edge_runtime.stream.counters import StreamCounters
from fsq_edge_runtime.stream.records import Decision, Predictions, StreamEvent
from fsq_edge_runtime.stream.settings import StreamSettings

__all__ = ["Decision", "Predictions", "StreamCounters", "StreamEvent", "StreamSettings"]
