"""One stream of a session: its grid, its samples, its windows as they become due, its decision chain, its counters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.decision import DecisionChain, DecisionSettings
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.preprocess import PreprocessConfig
from fsq_edge_runtime.stream.counters import StreamCounters
from fsq_edge_runtime.stream.grid import Break, Cause, Grid, Piece
from fsq_edge_runtime.stream.records import Gap
from fsq_edge_runtime.stream.resampler import Polyphase
from fsq_edge_runtime.stream.ring import SampleRing
from fsq_edge_runtime.stream.settings import StreamSettings

if TYPE_CHECKING:
    from fsq_edge_runtime.drift.past import StreamPast
    from fsq_edge_runtime.personal.teaching import Lesson
    from fsq_edge_runtime.personal.wearer import Wearer

MAX_UPSAMPLING = 8.0


class StreamState:
    """Everything that one stream carries from push to push.

    Args:
        name: id of the stream.
        config: the model's grid.
        settings: policies.
        decision: settings of the decision chain.
        on_gap: called with every gap, before the windows after it are given.

    Attributes:
        ahead: True while the latest samples went to the ring only: the grid needs the last one before it interpolates.
        chain: the state of its decisions.
        counters: what happened so far.
        ring: the samples that windows still need.
        t0: source time of the segment's first grid sample, seconds.
        next_start: grid index at which the next window begins.
        seq: number of the next window.
        doubted_until: windows before this number are doubted, since one before them turned faster than it can.
        wearer: whoever wears the sensor, where the stream has an overlay.
        lesson: what the stream is being taught; None while nobody teaches it.
        past: what the drift watch knows of it; None where it is not watched, and before the first common push.

    Raises:
        UsageError: the source's rate cannot be brought to the model's.
    """

    __slots__ = (
        "_hop",
        "_on_gap",
        "_rate",
        "_size",
        "_window_steps",
        "ahead",
        "chain",
        "counters",
        "doubted_until",
        "grid",
        "lesson",
        "name",
        "next_start",
        "past",
        "resampler",
        "ring",
        "seq",
        "t0",
        "wearer",
    )

    def __init__(
        self,
        name: str,
        config: PreprocessConfig,
        settings: StreamSettings,
        decision: DecisionSettings,
        on_gap: Callable[[StreamState, Gap], None],
    ) -> None:
        source, rate, channels = settings.source_rate(config), config.sample_rate_hz, len(config.channels)
        if source * MAX_UPSAMPLING < rate:
            raise UsageError(
                f"a source of {source:g} Hz is too slow for a model of {rate:g} Hz",
                hint=f"at least {rate / MAX_UPSAMPLING:g} Hz is needed",
            )
        filtered = settings.uses_polyphase(config)
        self.name = name
        self.counters = StreamCounters()
        self.grid = Grid(
            channels,
            rate_hz=source if filtered else rate,
            source_rate_hz=source,
            max_gap_s=config.max_gap_ms / 1000.0,
            jitter_tolerance=settings.jitter_tolerance,
            clock_jump_s=settings.clock_jump_s,
            late_limit=settings.late_limit,
            counters=self.counters,
        )
        self.resampler = Polyphase(channels, source, rate) if filtered else None
        self.ring = SampleRing(channels, config.window_samples)
        self.chain = DecisionChain(decision, 1000.0 * config.hop_samples / rate)
        self._window_steps = (config.window_samples - 1) * source / rate  # samples that a window should take
        self.t0 = 0.0
        self.next_start = 0
        self.seq = 0
        self.doubted_until = 0
        self.wearer: Wearer | None = None
        self.lesson: Lesson | None = None
        self.past: StreamPast | None = None
        self._size, self._hop, self._on_gap = config.window_samples, config.hop_samples, on_gap
        self._rate = rate
        self.ahead = False

    def take(self, samples: Float32Array, times: Float64Array | None) -> Iterable[int]:
        """Take samples (n, C) with times (n,) or None; give the grid index of each window that becomes due.

        A window is to be read before the next one is asked for, since the ring moves on.

        Cost: samples that each simply fill the next slot, as a sensor in good order sends them, go straight to the
        ring; they are placed as the grid would place them, which ``tests/property/test_stream_properties.py`` holds.
        """
        n, ring = len(samples), self.ring
        if self.resampler is not None or not 0 < n <= ring.room or not self.grid.follow(n, times):
            return self._place(self._pieces(samples, times))
        start = self.next_start
        ring.extend(samples, n, start)
        self.ahead = True
        beyond = ring.end - start - self._size
        if beyond < 0:
            return ()
        if beyond < self._hop:  # one, as when a push is a hop
            self.next_start = start + self._hop
            return (start,)
        return self.due()

    def keeps_step(self) -> bool:
        """Return whether it may join a :class:`fsq_edge_runtime.stream.cohort.Cohort`."""
        plain = self.resampler is None and self.wearer is None and self.lesson is None and self.chain.span == 1
        regular = self.grid.steady and self.ring.irregular_until <= self.next_start and self.seq >= self.doubted_until
        return plain and regular and 0 <= self.ring.end - self.next_start < self._size

    def catch_up(self, latest: Float32Array, taken: int, last_t: float | None, next_start: int, seq: int) -> None:
        """Stand where a cohort has brought it.

        Args:
            latest: (m, C), what the next window needs of the samples so far, at least the last.
            taken: samples since it joined.
            last_t: timestamp of the last; None where none was given.
            next_start: grid index at which the next window begins.
            seq: its number.
        """
        if taken:
            self.ring.restore(latest, self.ring.end + taken)
            self.grid.advance(taken, last_t)
            self.ahead = True
        self.next_start, self.seq = next_start, seq

    @property
    def until_due(self) -> int:
        """Samples in good order until a window is due, at least 1; 1 while they are in none, or are filtered."""
        if self.resampler is not None or not self.grid.steady:
            return 1
        return max(1, self.next_start + self._size - self.ring.end)

    @property
    def time(self) -> float:
        """Source time just behind the latest sample that was placed on the grid, seconds."""
        return self.t0 + self.ring.end / self._rate

    def finish(self, cause: Cause) -> Iterator[int]:
        """End the segment because of ``cause``; give the windows that only a filter's delay held, as :meth:`take`."""
        self.grid.interrupt(cause)
        return self._place([] if self.resampler is None else self.resampler.finish())

    def hand_over(self, on_gap: Callable[[StreamState, Gap], None]) -> None:
        """Report gaps to another session from now on."""
        self._on_gap = on_gap

    def rate(self, start: int) -> float | None:
        """Return the source's rate over the nominal one in the window at ``start``; None where samples are missing."""
        if self.ring.irregular_until <= start:
            return 1.0
        if self.ring.imputed(start):
            return None
        return self.ring.used(start) / self._window_steps

    def pause(self, n: int) -> None:
        """Count n samples that are dropped."""
        self.counters.received += n
        self.counters.paused += n
        self.grid.skip(n)

    def lose(self, n: int) -> None:
        """Count n samples that the engine was too slow to take; what follows is a new segment."""
        self.counters.received += n
        self.counters.overrun += n
        self.grid.skip(n)
        self.grid.interrupt("overrun")

    def _pieces(self, samples: Float32Array, times: Float64Array | None) -> Iterator[Piece]:
        """Return the samples as pieces of the model's grid."""
        if self.ahead:
            self.grid.remember(self.ring.last())
            self.ahead = False
        for piece in self.grid.pieces(samples, times):
            if self.resampler is None:
                yield piece
            else:
                yield from self.resampler.take(piece)

    def _place(self, pieces: Iterable[Piece]) -> Iterator[int]:
        """Put pieces on the ring and give the windows that become due."""
        ring = self.ring
        for piece in pieces:
            if piece.begins is not None:
                self._begin(piece.begins)
            first, n = 0, len(piece.rows)
            while first < n:
                last = min(n, first + ring.room)
                ring.append(piece, first, last, self.next_start)
                first = last
                yield from self.due()

    def due(self) -> Iterator[int]:
        """Give the grid index of each window that is due, and move on."""
        while self.ring.end - self.next_start >= self._size:
            start = self.next_start
            self.next_start = start + self._hop
            yield start

    def _begin(self, begins: Break) -> None:
        """Start a segment: no window reaches across. Who hears of the gap resets the chain when its turn has come."""
        self.t0 = begins.t_start
        self.next_start = 0
        self.ring.clear()
        if begins.cause != "start":
            self._on_gap(self, Gap(self.name, begins.cause, begins.t_before, begins.t_start))
