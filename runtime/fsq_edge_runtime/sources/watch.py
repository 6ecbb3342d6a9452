"""A live source under watch: times in another unit are converted, and what would lose samples in silence is said."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np

from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.sources.arrangement import PACKED_SHARE, TURNS_SHARE
from fsq_edge_runtime.sources.base import Chunk, Source
from fsq_edge_runtime.sources.notices import Notices
from fsq_edge_runtime.sources.time_unit import LONG_NAMES, counts_samples, unit_of_step
from fsq_edge_runtime.tables.times import PER_SECOND

DECIDED_AT = 8  # times of a stream that decide on its unit: fewer may be one packet's
BACK_SHARE = 0.2  # of the samples whose time is before that of the one before
MOST_SEEN = 512  # times after which it is decided however few differ
LOOKED_AT = 64  # samples of a stream that are examined
MAX_STREAMS = 4096


class _Stream:
    """What the first samples of one stream show."""

    __slots__ = ("back", "lacking", "last", "looked", "per_second", "repeats", "seen")

    def __init__(self) -> None:
        self.per_second = 0  # 0 until it is decided; negative where the values count the samples
        self.seen: Float64Array = np.empty(0)
        self.last: Float64Array = np.empty(0)
        self.looked = self.repeats = self.lacking = self.back = 0


class WatchedSource:
    """Passes on the chunks of a source that cannot be read twice.

    The first samples of a stream whose times turn out to count milliseconds, microseconds or nanoseconds have been
    passed on as they came; from then on times are seconds, which is one backward step of the clock.

    Args:
        source: what is watched.
        period_s: nominal time between two samples, seconds.
        notices: hears what was found.

    Attributes:
        live: the source's.
        counters: the source's.
    """

    def __init__(self, source: Source, period_s: float, notices: Notices) -> None:
        self._source, self._period_s, self._notices = source, period_s, notices
        self.live, self.counters = source.live, source.counters
        self._streams: dict[str, _Stream] = {}

    def chunks(self, stop: threading.Event) -> Iterator[Chunk]:
        """Yield the source's chunks; errors as :class:`fsq_edge_runtime.sources.Source`."""
        for chunk in self._source.chunks(stop):
            stream = self._streams.get(chunk.stream)
            if stream is None:
                if len(self._streams) >= MAX_STREAMS:
                    self._streams.pop(next(iter(self._streams)))
                stream = self._streams[chunk.stream] = _Stream()
            if stream.looked < LOOKED_AT:
                self._look(stream, chunk)
            if chunk.timestamps is None:
                yield chunk
                continue
            if not stream.per_second:
                self._decide(stream, chunk)
            if stream.per_second < 0:
                yield chunk._replace(timestamps=None)
            else:
                seconds = chunk.timestamps / max(1, stream.per_second)
                yield chunk if stream.per_second <= 1 else chunk._replace(timestamps=seconds)

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _decide(self, stream: _Stream, chunk: Chunk) -> None:
        """Decide on the unit of a stream's times once enough different ones have come."""
        if chunk.timestamps is None:
            return
        stream.seen = np.concatenate((stream.seen, chunk.timestamps[-MOST_SEEN:]))
        if len(np.unique(stream.seen)) < DECIDED_AT and len(stream.seen) < MOST_SEEN:
            return
        if counts_samples(stream.seen, self._period_s):
            stream.per_second = -1
            said = f"the times of stream {chunk.stream!r} count the samples: from now on they come at the nominal rate"
            self._notices.say("live time", said)
            return
        unit = unit_of_step(stream.seen, self._period_s)
        stream.per_second = PER_SECOND[unit]
        if unit != "s":
            step = float(np.median(np.diff(np.unique(stream.seen))))
            self._notices.say(
                "live time",
                f"the times of stream {chunk.stream!r} step by {step:.6g}: read as {LONG_NAMES[unit]} from now on; "
                "the samples before this are lost",
            )
        stream.seen = np.empty(0)

    def _look(self, stream: _Stream, chunk: Chunk) -> None:
        present = np.isfinite(chunk.samples)
        stream.lacking += int((present.any(axis=1) & ~present.all(axis=1)).sum())
        if chunk.timestamps is not None:
            times = np.concatenate((stream.last, chunk.timestamps))
            stream.last = chunk.timestamps[-1:]
            steps = np.diff(times)
            stream.repeats += int((steps == 0).sum())
            stream.back += int((steps < 0).sum())
        stream.looked += len(chunk.samples)
        if stream.looked < LOOKED_AT:
            return
        if stream.repeats > PACKED_SHARE * stream.looked:
            self._notices.say(
                "live packets",
                f"{stream.repeats} of the first {stream.looked} samples of stream {chunk.stream!r} repeat a timestamp "
                "and are dropped: packets under one time; send a time for each sample, or none at all",
            )
        if stream.back > BACK_SHARE * stream.looked:
            self._notices.say(
                "live back",
                f"the time steps back in {stream.back} of {stream.looked} samples of stream {chunk.stream!r}: "
                "is the first value of a row really its time?",
            )
        if stream.lacking > TURNS_SHARE * stream.looked:
            self._notices.say(
                "live turns",
                f"{stream.lacking} of the first {stream.looked} samples of stream {chunk.stream!r} lack channels: "
                "sensors in turns; send every channel with each sample",
            )
