"""Chunks through a pipe, from the process that reads the sources to one of those that answer.

A chunk is a header, the stream's name, what its wearer does (where the chunk says that), the samples and the times;
both ends are this module. Nothing in it is executable, and every size is bounded before anything is allocated.
"""

from __future__ import annotations

import os
import select
import struct
import threading
from collections.abc import Iterator
from typing import Final

import numpy as np

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.sources.base import POLL_S, Chunk

_HEADER: Final = struct.Struct("<HHBIHq")  # bytes of name and lesson, flags, samples, channels, arrival in nanoseconds
_TIMED, _TAUGHT = 1, 2
_F4, _F8 = np.dtype("<f4"), np.dtype("<f8")
READY: Final = b"r"
MAX_TEXT: Final = 0xFFFF
MAX_CHUNK_BYTES: Final = 64 << 20
_READ_BYTES = 1 << 20


def append_chunk(data: bytearray, chunk: Chunk) -> None:
    """Append a chunk as bytes.

    Raises:
        DataError: its name is longer than a header can say.
    """
    stream, samples, times, arrived_ns, taught = chunk
    name = stream.encode()
    flags, lesson = _TIMED * (times is not None), b""
    if taught is not None:
        flags, lesson = flags | _TAUGHT, taught.encode()
    if len(name) > MAX_TEXT or len(lesson) > MAX_TEXT:
        raise DataError(f"a stream's name has {len(name)} bytes, at most {MAX_TEXT} go to a worker")
    count, channels = samples.shape if samples.ndim == 2 else (0, 0)
    data += _HEADER.pack(len(name), len(lesson), flags, count, channels, arrived_ns)
    data += name + lesson
    data += (samples if samples.dtype == _F4 else samples.astype(_F4)).tobytes()
    if times is not None:
        data += (times if times.dtype == _F8 else times.astype(_F8)).tobytes()


class PipeSource:
    """Reads chunks that :func:`append_chunk` made and somebody wrote to a pipe, until it is closed.

    Args:
        descriptor: the pipe's end for reading; closed with the source.
        live: the samples arrive in real time.
        ready: a pipe's end for writing, closed when the first chunk is waited for; None says it to nobody.

    Attributes:
        live: as given.
        counters: chunks and samples.
    """

    def __init__(self, descriptor: int, *, live: bool, ready: int | None = None) -> None:
        self.live = live
        self.counters = {"chunks": 0, "samples": 0}
        self._descriptor: int | None = descriptor
        self._ready = ready

    def chunks(self, stop: threading.Event) -> Iterator[Chunk]:
        """Yield chunks until the pipe is closed or ``stop`` is set.

        Raises:
            DataError: the pipe holds something else, or ends within a chunk.
        """
        if self._ready is not None:
            os.write(self._ready, READY)
            os.close(self._ready)
            self._ready = None
        buffer, filled = bytearray(_READ_BYTES), 0
        while not stop.is_set() and self._descriptor is not None:
            if not select.select([self._descriptor], [], [], POLL_S)[0]:
                continue
            if filled == len(buffer):
                buffer += bytes(len(buffer))
            with memoryview(buffer) as view:
                size = os.readv(self._descriptor, [view[filled:]])
            if not size:
                if filled:
                    raise DataError("the pipe of a worker ended within a chunk")
                return
            filled, taken = filled + size, 0
            while (found := _decode(buffer, taken, filled)) is not None:
                chunk, taken = found
                self.counters["chunks"] += 1
                self.counters["samples"] += len(chunk.samples)
                yield chunk
            buffer[: filled - taken] = buffer[taken:filled]
            filled -= taken

    def close(self) -> None:
        """Close the pipe."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _decode(data: bytearray, at: int, end: int) -> tuple[Chunk, int] | None:
    """Return the chunk that begins at ``at`` and where the next one does; None while it is not whole before ``end``."""
    begin = at + _HEADER.size
    if end < begin:
        return None
    name, lesson, flags, count, channels, arrived_ns = _HEADER.unpack_from(data, at)
    values = 4 * count * channels
    size = name + lesson + values + (8 * count if flags & _TIMED else 0)
    if size > MAX_CHUNK_BYTES or flags & ~(_TIMED | _TAUGHT):
        raise DataError("the pipe of a worker holds something else than chunks")
    if end < begin + size:
        return None
    text = begin + name + lesson
    try:
        stream, taught = data[begin : begin + name].decode(), data[begin + name : text].decode()
    except UnicodeDecodeError as error:
        raise DataError("the pipe of a worker holds something else than chunks") from error
    samples = np.ndarray((count, channels), _F4, data, text).astype(np.float32)
    times = np.ndarray(count, _F8, data, text + values).astype(np.float64) if flags & _TIMED else None
    return Chunk(stream, samples, times, arrived_ns, taught if flags & _TAUGHT else None), begin + size
