"""From timestamped samples to consecutive samples of a uniform grid, one segment at a time.

Everything is counted in slots: ``u = (t - t0) * rate`` is where a sample lies, the integers are the grid. Each formula
works on one sample and its predecessor, so the way the input is cut into chunks cannot change a bit.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.stream.counters import StreamCounters

Cause = Literal["start", "gap", "clock", "resume", "overrun"]

BLOCK = 4096  # samples handled at a time: bounds the temporaries of a large push
BLOCK_SLOTS = 1 << 15  # grid samples made at a time: gaps that are bridged may make a thousand of one sample
KEPT_OFFSETS = 64  # scratch of pushes up to this size is kept, larger ones make it anew: a stream costs memory for ever


@dataclass(slots=True)
class Break:
    """Why a segment begins: its cause, the last source time before it (None at the start) and its first."""

    cause: Cause
    t_before: float | None
    t_start: float


@dataclass(slots=True)
class Piece:
    """Consecutive grid samples of one segment.

    Attributes:
        rows: (m, C) float32; may be the caller's own array.
        begins: set when these are the first of a new segment.
        used: (m,) int64, source samples consumed by each grid sample; None means one each, taken as they are.
        imputed: (m,) bool, interpolated across a short gap; None exactly when ``used`` is.
    """

    rows: Float32Array
    begins: Break | None = None
    used: Int64Array | None = None
    imputed: BoolArray | None = None


class Grid:
    """Places one stream's samples on a uniform grid.

    Args:
        channels: C.
        rate_hz: rate of the grid.
        source_rate_hz: nominal rate of the source.
        max_gap_s: longest time without samples that is interpolated; at most ``BLOCK_SLOTS`` grid samples.
        jitter_tolerance: slots; a sample this close to a grid time is taken as it is.
        clock_jump_s: a longer backward step starts a new segment.
        late_limit: so many late samples running start a new segment.
        counters: the stream's counters, written to.

    Attributes:
        slot_times: (``BLOCK``,) seconds from a slot to those after it.
        source_rate_hz: as given.
        surely_s: a timestamp this close to its slot's time is taken as it is, whatever is rounded.
    """

    def __init__(
        self,
        channels: int,
        *,
        rate_hz: float,
        source_rate_hz: float,
        max_gap_s: float,
        jitter_tolerance: float,
        clock_jump_s: float,
        late_limit: int,
        counters: StreamCounters,
    ) -> None:
        self._rate = rate_hz
        self._tolerance = jitter_tolerance
        self._gap_s = min(max_gap_s, BLOCK_SLOTS / rate_hz) + 1.0 / source_rate_hz + jitter_tolerance / rate_hz
        self._imputed_slots = 1.5 * rate_hz / source_rate_hz
        self._clock_jump_s, self._late_limit = clock_jump_s, late_limit
        self._counters = counters
        self.source_rate_hz = source_rate_hz
        self._native = source_rate_hz == rate_hz
        self.surely_s = 0.99 * jitter_tolerance / rate_hz  # less than the tolerance by more than any rounding
        self.slot_times = _slot_times(rate_hz)
        self._base, self._offset = self.slot_times[:0], np.empty(0, dtype=np.float64)
        self._begin: Float64Array = np.empty((), dtype=np.float64)
        self._last_row: Float32Array = np.zeros(channels, dtype=np.float32)
        self._t0 = 0.0
        self._next = 0  # slot to be filled next
        self._waiting = 0  # samples accepted since the last filled slot
        self._last_t: float | None = None
        self._late_run = 0
        self._anchor, self._since = 0.0, -1  # last timestamp given, samples counted since
        self._counting = True  # no timestamp was ever given
        self._pending: Cause | None = None  # the next sample starts a new segment
        self._steady = False  # on the source's own grid, with every sample in its slot so far

    def interrupt(self, cause: Cause) -> None:
        """Let the next sample start a new segment, whatever its time."""
        if self._last_t is not None:
            self._pending, self._steady = cause, False

    def skip(self, n: int) -> None:
        """Let the time of n dropped samples pass, for a source without timestamps."""
        self._since += n

    def take(self, samples: Float32Array, times: Float64Array | None) -> list[Piece]:
        """Place samples; as :meth:`pieces`, all at once."""
        return list(self.pieces(samples, times))

    def pieces(self, samples: Float32Array, times: Float64Array | None) -> Iterator[Piece]:
        """Place samples, a bounded number of grid samples at a time; each piece must be taken before the next.

        Args:
            samples: (n, C) float32.
            times: (n,) float64 seconds, or None to count on from the last sample at the nominal rate.

        Returns:
            Pieces in order; they may alias ``samples``.
        """
        for at in range(0, len(samples), BLOCK):
            part = None if times is None else times[at : at + BLOCK]
            yield from self._take_block(samples[at : at + BLOCK], part)

    def follow(self, n: int, times: Float64Array | None) -> bool:
        """Accept n samples if each simply fills the next slot; False, and nothing done, if they need :meth:`take`.

        The caller keeps the last sample, for :meth:`remember`.
        """
        if not self._steady or n > BLOCK:
            return False
        if times is None:
            if not self._counting:
                return False
            self._since += n
        else:
            if not self._is_regular(times, n):
                return False
            self._counting = False
            self._anchor, self._since = float(times[-1]), 0
        self._last_t = self._anchor + self._since / self.source_rate_hz
        self._next += n
        self._late_run = 0
        counters = self._counters
        counters.received += n
        counters.accepted += n
        return True

    @property
    def steady(self) -> bool:
        """Whether every sample so far lay in its slot of the source's own grid, so that :meth:`follow` may serve."""
        return self._steady

    @property
    def counting(self) -> bool:
        """Whether no timestamp was ever given."""
        return self._counting

    def advance(self, n: int, last_t: float | None) -> None:
        """Account for n samples that followed, and were counted, elsewhere.

        Args:
            n: samples since the last :meth:`follow`.
            last_t: timestamp of the last of them; None where none was given.
        """
        if last_t is None:
            self._since += n
        else:
            self._counting = False
            self._anchor, self._since = last_t, 0
        self._last_t = self._anchor + self._since / self.source_rate_hz
        self._next += n
        self._late_run = 0

    def remember(self, row: Float32Array) -> None:
        """Take the last sample (C,) of those that followed, before the next :meth:`take`."""
        self._last_row[:] = row

    def _take_block(self, samples: Float32Array, times: Float64Array | None) -> Iterator[Piece]:
        n = len(samples)
        if self.follow(n, times):
            self.remember(samples[-1])
            yield Piece(samples)
            return
        self._counters.received += n
        if times is None:
            times = self._anchor + np.arange(self._since + 1, self._since + n + 1) / self.source_rate_hz
            self._since += n
        else:
            self._counting = False
            if math.isfinite(last := float(times[-1])):
                self._anchor, self._since = last, 0
        previous_t = self._last_t
        for begins, rows, when in self._segments(samples, times):
            # No step within a segment is longer than the longest gap, so few samples make few slots.
            size = max(1, int(BLOCK_SLOTS / max(1.0, self._gap_s * self._rate + 1.0)))
            for at in range(0, len(rows), size):
                piece = self._interpolate(
                    rows[at : at + size], when[at : at + size], begins if at == 0 else None, previous_t
                )
                previous_t = float(when[min(at + size, len(when)) - 1])
                if len(piece.rows):
                    yield piece

    def _is_regular(self, times: Float64Array, n: int) -> bool:
        """Return whether each sample stands for exactly the next slot, as :meth:`_interpolate` would find."""
        # Sufficient, not necessary: what this sees as regular, _interpolate would place in the same way to the bit.
        if n == 1:
            return abs(float(times[0]) - (self._t0 + self._next / self._rate)) <= self.surely_s  # NaN fails
        if n != len(self._offset):  # made again only when the size of a push changes
            base, scratch = self.slot_times[:n], np.empty(n, dtype=np.float64)
            if n <= KEPT_OFFSETS:
                self._base, self._offset = base, scratch
        else:
            base, scratch = self._base, self._offset
        offset = np.subtract(times, base, scratch)
        self._begin[()] = self._t0 + self._next / self._rate
        np.subtract(offset, self._begin, offset)
        if offset.dot(offset) <= self.surely_s * self.surely_s:  # then each is; NaN fails
            return True
        return bool(np.absolute(offset, offset).max() <= self.surely_s)

    def _segments(
        self, samples: Float32Array, times: Float64Array
    ) -> list[tuple[Break | None, Float32Array, Float64Array]]:
        """Apply the policy for late samples, gaps and clock jumps: what is accepted, by segment."""
        sound = False
        if self._last_t is not None and self._pending is None:
            steps = np.diff(times, prepend=self._last_t)
            sound = bool(((steps > 0) & (steps <= self._gap_s)).all())
        if sound:
            self._counters.accepted += len(times)
            self._late_run, self._last_t = 0, float(times[-1])
            return [(None, samples, times)]
        parts: list[tuple[Break | None, list[int]]] = []
        for index, t in enumerate(times.tolist()):
            verdict = self._judge(t)
            if isinstance(verdict, Break):
                parts.append((verdict, [index]))
            elif verdict and parts:
                parts[-1][1].append(index)
            elif verdict:
                parts.append((None, [index]))
        return [(begins, samples[kept], times[kept]) for begins, kept in parts]

    def _judge(self, t: float) -> Break | bool:
        """Decide on one sample: dropped (False), accepted (True), or accepted as the first of a new segment."""
        last, counters = self._last_t, self._counters
        cause: Cause | None = None
        if not math.isfinite(t):
            counters.bad_time += 1
            return False
        if last is None:
            cause = "start"
        elif self._pending is not None:
            cause, self._pending = self._pending, None
        elif t == last:
            counters.duplicate += 1
            return False
        elif t < last:
            if last - t <= self._clock_jump_s and self._late_run + 1 < self._late_limit:
                counters.late += 1
                self._late_run += 1
                return False
            cause = "clock"
            counters.clock_jumps += 1
        elif t - last > self._gap_s:
            cause = "gap"
            counters.gaps += 1
        counters.accepted += 1
        self._late_run, self._last_t = 0, t
        if cause is None:
            return True
        counters.segments += 1
        return Break(cause, last, t)

    def _interpolate(
        self, samples: Float32Array, times: Float64Array, begins: Break | None, previous_t: float | None
    ) -> Piece:
        """Fill every slot that accepted samples, each later than the one before, have reached."""
        if begins is not None or previous_t is None:
            self._t0 = previous_t = float(times[0])
            self._next = self._waiting = 0
        u = (times - self._t0) * self._rate
        reached = self._slot_reached(u)
        source = np.repeat(np.arange(len(u)), np.diff(reached, prepend=self._next - 1))  # who fills each slot
        slots = np.arange(self._next, self._next + len(source))
        u_before = np.concatenate(([(previous_t - self._t0) * self._rate], u[:-1]))[source]
        before = np.concatenate((self._last_row[None], samples[:-1]))[source]
        after = samples[source]
        taken = u[source] - slots <= self._tolerance
        span = u[source] - u_before
        share = ((slots - u_before) / np.where(span > 0, span, 1.0)).astype(np.float32)
        with np.errstate(invalid="ignore", over="ignore"):  # Inf is missing, and stays so
            rows = np.where(taken[:, None], after, before + (after - before) * share[:, None])
        imputed = ~taken & (span > self._imputed_slots)
        used = np.diff(source, prepend=-1 - self._waiting)
        self._waiting = len(u) - 1 - int(source[-1]) if len(source) else self._waiting + len(u)
        self._next += len(source)
        self._steady = self._native and self._waiting == 0
        self._last_row[:] = samples[-1]
        self._counters.skipped += int(np.maximum(used - 1, 0).sum())
        self._counters.interpolated += int(np.count_nonzero(~taken))
        self._counters.imputed += int(np.count_nonzero(imputed))
        return Piece(rows, begins, used, imputed)

    def _slot_reached(self, u: Float64Array) -> Int64Array:
        """Return for each sample the last slot k with u - k >= -tolerance."""
        return np.floor(u + self._tolerance).astype(np.int64)


@functools.lru_cache(maxsize=64)
def _slot_times(rate_hz: float) -> Float64Array:
    """Return the times of the first slots; one array serves all streams of a rate."""
    times: Float64Array = np.arange(BLOCK, dtype=np.float64) / rate_hz
    times.flags.writeable = False
    return times
