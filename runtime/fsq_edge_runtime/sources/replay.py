"""Recordings played back: npz and CSV files, as fast as possible or at their own pace."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from fsq_edge_runtime.arrays import AnyArray, Float32Array, Float64Array
from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.sources.arrangement import Arrangement, find_arrangement
from fsq_edge_runtime.sources.base import Chunk
from fsq_edge_runtime.sources.columns import Wanted
from fsq_edge_runtime.sources.notices import Notices
from fsq_edge_runtime.sources.npz_recording import BLOCK_ROWS, NpzRecording, as_numbers
from fsq_edge_runtime.sources.parsing import DEFAULT_STREAM
from fsq_edge_runtime.sources.table import TableRows, open_text
from fsq_edge_runtime.sources.table_form import read_form
from fsq_edge_runtime.sources.time_unit import LONG_NAMES, unit_of_step
from fsq_edge_runtime.tables import numbers_to_seconds
from fsq_edge_runtime.tables.dialect import recognize_encoding

ZIP_MAGIC = b"PK\x03\x04"
_TABLE = "save it as CSV where it was made, or let fsq-edge data import read it on a workstation"
HEAD_BYTES = 1 << 16  # from which a table's form is recognised
BINARY_WITHIN = 512  # a zero byte so early is a binary file; one further on may be what a power cut left of a line
MAX_STREAMS = 4096  # streams of one file whose rows are put in order
Block = tuple[str, Float32Array, Float64Array | None]  # stream, samples (n, C), times (n,) seconds or None


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


class Replay:
    """How recordings are read: what a model needs, and what is said about the files.

    Args:
        wanted: the model's channels.
        rate_hz: nominal rate of the source.
        chunk: samples handed over at a time.
        max_gap_s: longest time without a value that is interpolated.
        paced: at the recording's own pace.
        notices: hears how a file was read where that is not the plain way.
    """

    def __init__(
        self,
        wanted: Sequence[Wanted],
        rate_hz: float,
        *,
        chunk: int,
        max_gap_s: float = 0.1,
        paced: bool = False,
        notices: Notices | None = None,
    ) -> None:
        self._wanted, self._rate, self._chunk = wanted, rate_hz, chunk
        self._max_gap_s, self._paced = max_gap_s, paced
        self._notices = notices or Notices()

    def npz(self, path: Path, columns: Sequence[Wanted] = ()) -> ReplaySource:
        """Open an npz recording; see :class:`NpzRecording`.

        Args:
            path: the file.
            columns: names and units of its columns, where something beside the file states them.

        Raises:
            MissingInputError: it cannot be read, or is no regular file.
            DataError: not such a file, another channel count or unit, or no samples.
        """
        _require_file(path)
        try:
            recording = NpzRecording(path, self._wanted, self._notices, columns)
        except OSError as error:
            raise _unreadable(path, error) from error
        return self._source(lambda: self._npz_blocks(recording, path), path.name)

    def csv(self, path: Path) -> ReplaySource:
        """Open a table of text whose header names the channels and, optionally, ``timestamp`` and ``stream``.

        Raises:
            MissingInputError: it cannot be read, or is no regular file.
            DataError: no header that names the channels, or no samples; while it is read, a row that cannot be used.
        """
        _require_file(path)
        try:
            with path.open("rb") as file:
                head = file.read(HEAD_BYTES)
                whole = not file.read(1)
            if head.startswith(ZIP_MAGIC):
                if b".npy" not in head:
                    raise DataError(f"{path.name} is no table of text, it is a zip file, as .xlsx is", hint=_TABLE)
                raise DataError(f"{path.name} is no table of text, it is an npz file", hint=f"--source npz:{path}")
            if b"\x00" in head[:BINARY_WITHIN] and not recognize_encoding(head).startswith("utf-16"):
                raise DataError(f"{path.name} is no table of text, its bytes are no letters", hint=_TABLE)
            form = read_form(head, whole, path.name, self._wanted, 1.0 / self._rate, self._notices)
            with open_text(path, form.dialect.encoding) as text:
                if next(TableRows(text, form, path.name, self._notices).blocks(1), None) is None:
                    raise DataError(f"{path} holds no samples")
        except OSError as error:
            raise _unreadable(path, error) from error

        def blocks() -> Iterator[Block]:
            with open_text(path, form.dialect.encoding) as text:
                for stream, times, values in TableRows(text, form, path.name, self._notices).blocks(BLOCK_ROWS):
                    with np.errstate(over="ignore"):  # beyond float32 becomes Inf, which is missing
                        samples = np.asarray(values, dtype=np.float32)
                    yield stream, samples, times

        return self._source(blocks, path.name)

    def _source(self, blocks: Callable[[], Iterator[Block]], name: str) -> ReplaySource:
        return ReplaySource(lambda: self._chunks(self._arranged(blocks(), name)), self._rate, paced=self._paced)

    def _npz_blocks(self, recording: NpzRecording, path: Path) -> Iterator[Block]:
        unit = None
        for samples, times in recording.blocks():
            if times is None:
                yield DEFAULT_STREAM, samples, None
                continue
            numbers: AnyArray = as_numbers(times)
            if unit is None:
                unit = (
                    "ns" if times.dtype.kind == "M" else unit_of_step(np.asarray(numbers, np.float64), 1.0 / self._rate)
                )
                if unit != "s":
                    said = f"{path.name}: the steps of `timestamps` are those of {LONG_NAMES[unit]}: read as such"
                    self._notices.say(f"time {path.name}", said)
            yield DEFAULT_STREAM, samples, numbers_to_seconds(numbers, unit)

    def _arranged(self, blocks: Iterator[Block], name: str) -> Iterator[Block]:
        """Put each stream's rows in order where its first ones show that they are not."""
        found: dict[str, Arrangement | None] = {}
        for stream, samples, times in blocks:
            if times is None or len(found) >= MAX_STREAMS:
                yield stream, samples, times
                continue
            if stream not in found:
                found[stream] = find_arrangement(samples, times, 1.0 / self._rate, self._max_gap_s)
                if (arrangement := found[stream]) is not None:
                    self._notices.say(f"arrangement {name}", f"{name}: {arrangement.said}")
            arrangement = found[stream]
            yield (stream, samples, times) if arrangement is None else (stream, *arrangement.take(samples, times))
        for stream, arrangement in found.items():
            if arrangement is not None:
                yield (stream, *arrangement.finish())

    def _chunks(self, blocks: Iterator[Block]) -> Iterator[Chunk]:
        for stream, samples, times in blocks:
            for at in range(0, len(samples), self._chunk):
                some = None if times is None else times[at : at + self._chunk]
                yield Chunk(stream, samples[at : at + self._chunk], some, 0)


def _require_file(path: Path) -> None:
    """Refuse what is no regular file before it is opened: a device never ends, a pipe may never begin."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(mode):
        raise MissingInputError(
            f"cannot read {path}: it is not a regular file", hint="a pipe is read with --source stdin: < PIPE"
        )


def _unreadable(path: Path, error: Exception) -> MissingInputError:
    return MissingInputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}")
