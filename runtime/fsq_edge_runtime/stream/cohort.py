"""Streams that take their samples together: columns take the place of the steps of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.preprocess import PreprocessConfig
from fsq_edge_runtime.stream.chains import DecisionChains, Rows
from fsq_edge_runtime.stream.state import StreamState

EVERY = slice(None)


class Cohort:
    """Streams of equal settings, every sample of which simply fills its next slot, pushed equally long at a time.

    Samples of all lie in one array, the newest of each in one column, so that they are written and read by one copy;
    windows that become due are found by arithmetic. The streams' own states stand still, but for their counters, until
    :meth:`part` brings them up to date. ``tests/property/test_cohort_properties.py`` holds that nobody sees a
    difference.

    Args:
        states: each for which :meth:`StreamState.keeps_step` holds.
        config: the model's grid.
        classes: K.

    Attributes:
        names: of the streams.
        chains: their decision chains.
        parted: True once the states move by themselves again.
    """

    def __init__(self, states: Sequence[StreamState], config: PreprocessConfig, classes: int) -> None:
        self.states, self.names = states, [state.name for state in states]
        self.chains = DecisionChains([state.chain for state in states], classes)
        self.parted = False
        self._counters = [state.counters for state in states]
        self._grid = states[0].grid
        self._size, self._hop, self._rate = config.window_samples, config.hop_samples, config.sample_rate_hz
        self._t0: Float64Array = np.asarray([state.t0 for state in states])
        self._end: Int64Array = np.asarray([state.ring.end for state in states], dtype=np.int64)
        self._start: Int64Array = np.asarray([state.next_start for state in states], dtype=np.int64)
        self._seq: Int64Array = np.asarray([state.seq for state in states], dtype=np.int64)
        self._counting = all(state.grid.counting for state in states)
        self._last_times: Float64Array | None = None
        self._taken = 0
        channels, capacity = len(config.channels), self._size + self._hop  # small, so that caches hold more streams
        self._samples: Float32Array = np.zeros((len(states), channels, capacity), dtype=np.float32)
        self._at = self._size  # the column behind the newest sample of every stream
        for row, state in enumerate(states):
            kept = _kept(state.ring.end - state.next_start)
            self._samples[row, :, self._at - kept : self._at] = state.ring.latest(kept)

    def take(self, samples: Sequence[Float32Array], times: Sequence[Float64Array] | None) -> bool:
        """Take samples of every stream; False, and nothing done, where some do not simply fill the next slots.

        Args:
            samples: of each stream (n, C), with one n of at most a hop for all.
            times: of each stream (n,) seconds, or None.
        """
        n, streams = len(samples[0]), len(self.states)
        if times is None:
            if not self._counting:
                return False
        else:
            stamps = np.concatenate(times).reshape(streams, n)
            begin = self._t0 + self._end / self._rate
            offset = stamps - self._grid.slot_times[:n] - begin[:, None]
            if not np.absolute(offset, offset).max() <= self._grid.surely_s:  # NaN is not
                return False
            self._counting, self._last_times = False, stamps[:, -1].copy()
        if self._at + n > self._samples.shape[2]:
            kept = _kept(int((self._end - self._start).max()))
            self._samples[:, :, :kept] = self._samples[:, :, self._at - kept : self._at]
            self._at = kept
        rows = np.concatenate(samples).reshape(streams, n, -1)
        self._samples[:, :, self._at : self._at + n] = rows.transpose(0, 2, 1)
        self._at += n
        self._taken += n
        self._end += n
        for counters in self._counters:
            counters.received += n
            counters.accepted += n
        return True

    def due(self) -> tuple[Rows, int]:
        """Return which streams have a window that is due, and how many; none has two."""
        rows = np.flatnonzero(self._end - self._start >= self._size)
        return (EVERY if len(rows) == len(self.states) else rows), len(rows)

    def sampled(self, every: int) -> Iterator[tuple[str, int, Float32Array]]:
        """Yield stream, number and a view (C, T) of each due window whose number is a multiple of ``every``."""
        lags = self._end - self._start
        for row in np.flatnonzero((lags >= self._size) & (self._seq % every == 0)).tolist():
            first = self._at - int(lags[row])
            yield self.names[row], int(self._seq[row]), self._samples[row, :, first : first + self._size]

    def read(self, rows: Rows, out: Float32Array) -> None:
        """Write the due windows of streams to ``out`` (N, C, T)."""
        lags = (self._end - self._start)[rows]
        for lag in sorted(set(lags.tolist())):
            first = self._at - lag
            windows = self._samples[rows, :, first : first + self._size]
            alike = lags == lag
            if alike.all():
                np.copyto(out, windows)
            else:
                out[alike] = windows[alike]

    def of(self, rows: Rows) -> Sequence[StreamState]:
        """Return the states of streams."""
        return self.states if isinstance(rows, slice) else [self.states[row] for row in rows.tolist()]

    def pass_on(self, rows: Rows) -> tuple[list[int], list[str], list[float], list[float]]:
        """Take the due windows off their streams, all decided: return numbers, names, source times of both ends."""
        start, seq, t0 = self._start[rows], self._seq[rows], self._t0[rows]
        places = t0 + start / self._rate, t0 + (start + (self._size - 1)) / self._rate
        numbers = seq.tolist()  # before they move on: with all streams these are views
        self._start[rows], self._seq[rows] = start + self._hop, seq + 1
        names, counted = self.names, self._counters
        if not isinstance(rows, slice):
            picked = rows.tolist()
            names, counted = [names[row] for row in picked], [counted[row] for row in picked]
        for counters in counted:
            counters.windows += 1
            counters.decided += 1
        return numbers, names, places[0].tolist(), places[1].tolist()

    def part(self) -> None:
        """Bring the states up to date; windows that are due then are so there."""
        if self.parted:
            return
        self.parted = True
        self.chains.settle()
        columns = zip(self.states, self._end.tolist(), self._start.tolist(), self._seq.tolist(), strict=True)
        for row, (state, end, start, seq) in enumerate(columns):
            kept = _kept(end - start)
            latest = self._samples[row, :, self._at - kept : self._at].T
            last_t = None if self._last_times is None else float(self._last_times[row])
            state.catch_up(latest, self._taken, last_t, start, seq)


def _kept(lag: int) -> int:
    """Return how many of the latest samples a stream needs: those of its next window, and the last in any case."""
    return max(1, lag)
