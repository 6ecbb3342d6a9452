"""Streams with faults, and a session's records in a form that can be compared."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np

from fsq_edge_compile.packing.batching import symbolic_batch
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import with_files
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.stream import Record

Chunk = tuple[np.ndarray, np.ndarray | None]


def cut(samples: np.ndarray, times: np.ndarray | None, sizes: Iterable[int]) -> list[Chunk]:
    """Cut a stream into chunks of these sizes; the last takes what is left."""
    chunks: list[Chunk] = []
    at = 0
    for size in sizes:
        chunks.append((samples[at : at + size], None if times is None else times[at : at + size]))
        at += size
    chunks.append((samples[at:], None if times is None else times[at:]))
    return chunks


def lines(records: Iterable[Record]) -> list[dict[str, object]]:
    """Return records as JSON lines without latencies."""
    return [record.to_dict(latency=False) if hasattr(record, "seq") else record.to_dict() for record in records]


def stream(bundle: Bundle, chunks: Iterable[Chunk], **options: object) -> list[dict[str, object]]:
    """Push chunks through a fresh session, without a deadline; return every record, drained at the end."""
    records: list[Record] = []
    options = {"deadline_ms": 0.0, **options}  # a busy machine must not turn an answer into a miss
    with bundle.open_session(backend="onnx", on_record=records.append, **options) as session:
        for samples, times in chunks:
            session.push(samples, times)
        session.drain()
    return lines(records)


def counters(session: Session) -> dict[str, int]:
    """Return the non-zero counters over all streams."""
    return {name: value for name, value in session.totals.to_dict().items() if value}


class Scripted:
    """The CPU backend with a script: a delay in seconds, or an exception, per call; ``script`` is what is left."""

    def __init__(self, bundle: Bundle, script: Iterable[Exception | float | None]) -> None:
        self.name = "scripted"
        self._inner = OnnxBackend(bundle.read("encoder"))
        self.script = iter(script)

    def infer(self, frame: np.ndarray) -> np.ndarray:
        step = next(self.script, None)
        if isinstance(step, Exception):
            raise step
        time.sleep(step or 0)
        return self._inner.infer(frame)

    def infer_batch(self, frames: np.ndarray) -> np.ndarray:
        return np.stack([self.infer(frame[None]).copy() for frame in frames])

    def close(self) -> None:
        self._inner.close()


def batched(bundle: Bundle) -> Bundle:
    """Return the bundle with a graph for batches."""
    graph = symbolic_batch(bundle.read("encoder"))
    return with_files(bundle, {("encoder-batch", None): ("encoder_batch.onnx", graph)})
