"""Where records go: JSON lines, CSV, MQTT, a page in the browser, a Python function."""

from fsq_edge_runtime.sinks.base import CallbackSink, Sink
from fsq_edge_runtime.sinks.opening import open_sink
from fsq_edge_runtime.sinks.queued import QueuedSink

__all__ = ["CallbackSink", "QueuedSink", "Sink", "open_sink"]
