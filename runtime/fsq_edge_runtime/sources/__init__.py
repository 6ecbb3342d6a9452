"""Where samples come from: recordings, standard input, UDP, serial ports, MQTT, Python."""

from fsq_edge_runtime.sources.base import Chunk, Source
from fsq_edge_runtime.sources.iterable import IterableSource
from fsq_edge_runtime.sources.notices import Notices
from fsq_edge_runtime.sources.opening import open_source

__all__ = ["Chunk", "IterableSource", "Notices", "Source", "open_source"]
