"""The live page: what a run sees and decides, in the browser, with an hour of the past in bounded memory."""

from fsq_edge_runtime.monitor.sink import MonitorSink

__all__ = ["MonitorSink"]
