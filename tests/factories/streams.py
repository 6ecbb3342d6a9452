"""Streams with faults, and a session's records in a form that can be compared."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fsq_edge_runtime.bundle.bundle import Bundle
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
