"""Recordings played back: npz and CSV files, as fast as possible or at their own pace."""

from __future__ import annotations

import csv
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.sources.base import Chunk
from fsq_edge_runtime.sources.parsing import DEFAULT_STREAM, CsvRows, Row, RowError, to_chunks

MAX_RECORDING_BYTES = 4 << 30  # unpacked
MAX_CSV_FIELD = 1 << 16


class ReplaySource:
    """A recording, in chunks.

    Args:
        chunks: makes the iterator of its chunks.
        rate_hz: nominal rate, for recordings without timestamps.
        paced: wait between chunks as the recording's clock says.

    Attributes:
        live: whether it is paced.
        counters: samples read.
    """

    def __init__(self, chunks: Callable[[], Iterator[Chunk]], rate_hz: float, *, paced: bool = False) -> None:
        self._open, self._rate, self.live = chunks, rate_hz, paced
        self.counters = {"samples": 0}

    def chunks(self, stop: threading.Event) -> Iterator[Chunk]:
        """Yield the recording's chunks; errors as :class:`fsq_edge_runtime.sources.Source`."""
        begun, first = time.monotonic(), None
        for chunk in self._open():
            self.counters["samples"] += len(chunk.samples)
            if self.live:
                last = self.counters["samples"] / self._rate
                if chunk.timestamps is not None and np.isfinite(chunk.timestamps[-1]):
                    last = float(chunk.timestamps[-1])
                first = last if first is None else first
                stop.wait(max(0.0, begun + last - first - time.monotonic()))
            if stop.is_set():
                return
            yield chunk._replace(arrived_ns=time.monotonic_ns())

    def close(self) -> None:
        """Nothing is held between runs."""


def open_npz(path: Path, channels: int, chunk: int, rate_hz: float, *, paced: bool = False) -> ReplaySource:
    """Open an npz recording: ``samples`` (n, C), optional ``timestamps`` (n,) seconds.

    Raises:
        MissingInputError: it cannot be read.
        DataError: not such a file, another channel count, too large, or no samples.
    """
    try:
        samples, times = _read_npz(path)
    except OSError as error:
        raise MissingInputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        hint = "an npz file with `samples` (n, channels) and, optionally, `timestamps` (n,)"
        raise DataError(f"{path} is not a recording: {error}", hint=hint) from error
    if samples.ndim != 2 or samples.shape[1] != channels:
        raise DataError(f"{path}: samples have shape {samples.shape}, the bundle expects (n, {channels})")
    if times is not None and times.shape != samples.shape[:1]:
        raise DataError(f"{path}: {times.shape} timestamps for {len(samples)} samples")
    if not len(samples):
        raise DataError(f"{path} holds no samples")

    def chunks() -> Iterator[Chunk]:
        for at in range(0, len(samples), chunk):
            yield Chunk(DEFAULT_STREAM, samples[at : at + chunk], None if times is None else times[at : at + chunk], 0)

    return ReplaySource(chunks, rate_hz, paced=paced)


def open_csv(path: Path, channels: tuple[str, ...], chunk: int, rate_hz: float, *, paced: bool = False) -> ReplaySource:
    """Open a CSV recording whose header names the channels and, optionally, ``timestamp`` and ``stream``.

    Raises:
        MissingInputError: it cannot be read.
        DataError: no header, a channel is missing, or no samples; while it is read, a row that cannot be used.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _csv_rows(file, path.name, channels)
            if next(rows, None) is None:
                raise DataError(f"{path} holds no samples")
    except OSError as error:
        raise MissingInputError(f"cannot read {path}: {error.strerror or error}") from error

    def chunks() -> Iterator[Chunk]:
        with path.open(encoding="utf-8-sig", newline="") as file:
            held: list[Row] = []
            for row in _csv_rows(file, path.name, channels):
                held.append(row)
                if len(held) == chunk:
                    yield from to_chunks(held, 0)
                    held = []
            yield from to_chunks(held, 0)

    return ReplaySource(chunks, rate_hz, paced=paced)


def _read_npz(path: Path) -> tuple[Float32Array, Float64Array | None]:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_RECORDING_BYTES:
        raise ValueError(f"it unpacks to {size} bytes, more than the {MAX_RECORDING_BYTES} allowed")
    with np.load(path, allow_pickle=False) as archive:
        samples = np.asarray(archive["samples"], dtype=np.float32)
        times = np.asarray(archive["timestamps"], dtype=np.float64) if "timestamps" in archive else None
    return samples, times


def _csv_rows(file: IO[str], name: str, channels: tuple[str, ...]) -> Iterator[Row]:
    csv.field_size_limit(MAX_CSV_FIELD)
    reader = csv.reader(file)
    try:
        header = next(reader, None)
        if header is None:
            raise DataError(f"{name} is empty", hint="the header must name the channels " + ", ".join(channels))
        rows = CsvRows(channels, header, name)
        for cells in reader:
            if cells:
                yield rows.cells(cells)
    except (RowError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{name}: line {reader.line_num}: {error}") from error
