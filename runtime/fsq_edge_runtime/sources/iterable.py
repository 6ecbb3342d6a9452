"""Samples from Python: any iterable of arrays as a source."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.sources.base import Chunk
from fsq_edge_runtime.sources.parsing import DEFAULT_STREAM

Item = Chunk | Float32Array | tuple[Float32Array, Float64Array | None]


class IterableSource:
    """Wraps an iterable.

    Args:
        items: chunks, or samples (n, C), or pairs of samples and timestamps (n,) seconds.
        live: they come in real time, so that what is late counts as lost.
    """

    def __init__(self, items: Iterable[Item], *, live: bool = False) -> None:
        self._items, self.live = items, live
        self.counters = {"samples": 0}

    def chunks(self, stop: threading.Event) -> Iterator[Chunk]:
        """Yield the items as chunks; ``stop`` is looked at between items."""
        for item in self._items:
            if stop.is_set():
                return
            if isinstance(item, Chunk):
                chunk = item
            else:
                samples, times = item if isinstance(item, tuple) else (item, None)
                chunk = Chunk(DEFAULT_STREAM, samples, times, time.monotonic_ns())
            self.counters["samples"] += len(chunk.samples)
            yield chunk

    def close(self) -> None:
        """Nothing is held."""
