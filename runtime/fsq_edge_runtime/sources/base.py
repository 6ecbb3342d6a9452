"""The seam between where samples come from and the engine."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from fsq_edge_runtime.arrays import Float32Array, Float64Array

POLL_S = 0.2  # how long a source may block before it looks whether it should stop


class Chunk(NamedTuple):
    """Consecutive samples of one stream, as they arrived.

    Attributes:
        stream: id of the stream.
        samples: (n, C) float32, raw units; NaN is missing.
        timestamps: (n,) float64 seconds of the source's clock, or None where it gives none.
        arrived_ns: monotonic nanoseconds of their arrival.
        taught: there are no samples, but what the stream's wearer does from now on: a class, or "" for none of them.
    """

    stream: str
    samples: Float32Array
    timestamps: Float64Array | None
    arrived_ns: int
    taught: str | None = None


def worker_of(stream: str, workers: int) -> int:
    """Return which of ``workers``, from 0, answers a stream, the same in every process and on every machine."""
    return zlib.crc32(stream.encode()) % workers


class Backoff:
    """Doubling waits.

    Args:
        first_s: the first wait.
        longest_s: no wait is longer.
    """

    def __init__(self, first_s: float = 0.1, longest_s: float = 5.0) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._wait_s = first_s

    def next_s(self) -> float:
        """Return the next wait, seconds."""
        wait, self._wait_s = self._wait_s, min(2 * self._wait_s, self._longest_s)
        return wait

    def reset(self) -> None:
        """Start anew: it worked."""
        self._wait_s = self._first_s


class Source(Protocol):
    """Where samples come from.

    Attributes:
        live: samples arrive in real time: they must be taken as they come, and what is late is lost.
        counters: what happened so far, by name.
    """

    live: bool
    counters: dict[str, int]

    def chunks(self, stop: threading.Event) -> Iterator[Chunk]:
        """Yield chunks until the source ends or ``stop`` is set (noticed within ``POLL_S``).

        Raises:
            DataError: a recording that cannot be read.
            UnavailableError: a device or broker that was never there; one that was lost is waited for.
        """

    def close(self) -> None:
        """Release what the source holds; a second call does nothing."""
