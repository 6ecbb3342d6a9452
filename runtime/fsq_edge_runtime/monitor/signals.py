"""The signals of one stream as least and largest value of each channel in short bins of time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fsq_edge_runtime.arrays import Float16Array, Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.monitor.budget import Blocks, Budget

BIN_S = 0.04  # 25 bins a second: more than a screen shows of half a minute
BLOCK_BINS = 512
KEEP_S = 3600.0
LARGEST = 6e4  # half precision holds no more
ROUNDING = 1e-6  # of a bin: 1.16 s belongs to the bin that begins there, whatever binary makes of it
MAX_TIME_S = 1e11  # beyond it a timestamp is noise


class Curve(NamedTuple):
    """A stretch of the signals.

    Attributes:
        t: (n,) begin of each bin, seconds of the source.
        step_s: length of a bin.
        low: (n, C) least value of each channel; NaN where there is none.
        high: (n, C) largest value.
    """

    t: Float64Array
    step_s: float
    low: Float32Array
    high: Float32Array


class SignalHistory:
    """Bins of one stream for an hour.

    Args:
        channels: C.
        rate_hz: samples a second, to give samples without timestamps a time.
        budget: shared by all streams.

    Cost: 2 KB a second of a sensor with six channels at any rate above 25 Hz is the most; 0.6 KB as a rule.
    """

    def __init__(self, channels: int, rate_hz: float, budget: Budget) -> None:
        self._channels, self._period_s = channels, 1.0 / rate_hz
        size = 2 * BLOCK_BINS * channels * 2
        keep = int(KEEP_S / BIN_S / BLOCK_BINS) + 1
        self._blocks: Blocks[Float16Array] = Blocks(budget, self._empty, size, keep)
        self._counted_s = 0.0

    def anchor(self, t_s: float) -> None:
        """Set the time of the next sample without a timestamp, where the stream's own count went another way."""
        self._counted_s = t_s

    @property
    def counted_s(self) -> float:
        """Time of the next sample without a timestamp."""
        return self._counted_s

    def add(self, samples: Float32Array, times: Float64Array | None) -> tuple[int, int] | None:
        """Take samples (n, C) and their times (n,) in seconds; return the first and the last bin touched."""
        if times is None:
            times = np.asarray(self._counted_s + np.arange(len(samples)) * self._period_s, dtype=np.float64)
            self._counted_s += len(samples) * self._period_s
        sound = np.isfinite(times) & (np.abs(times) < MAX_TIME_S)
        samples, bins = samples[sound], np.floor(times[sound] / BIN_S + ROUNDING).astype(np.int64)
        if not len(samples):
            return None
        starts = np.concatenate([[0], np.flatnonzero(np.diff(bins)) + 1])
        values = np.clip(samples, -LARGEST, LARGEST).astype(np.float16)
        low, high = np.fmin.reduceat(values, starts, axis=0), np.fmax.reduceat(values, starts, axis=0)
        self._merge(bins[starts], low, high)
        return int(bins.min()), int(bins.max())

    def between(self, first: int, last: int) -> Curve:
        """Return the bins from ``first`` to ``last``."""
        parts = []
        for number, block in self._blocks.between(first // BLOCK_BINS, last // BLOCK_BINS):
            k = number * BLOCK_BINS + np.arange(BLOCK_BINS)
            wanted = (k >= first) & (k <= last) & ~np.isnan(block[0]).all(axis=1)
            parts.append((k[wanted], block[0][wanted], block[1][wanted]))
        if not parts:
            empty = np.empty((0, self._channels), dtype=np.float32)
            return Curve(np.empty(0), BIN_S, empty, empty)
        k, low, high = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Curve(k * BIN_S, BIN_S, low.astype(np.float32), high.astype(np.float32))

    def view(self, from_s: float, to_s: float, points: int) -> Curve:
        """Return the stretch from ``from_s`` to ``to_s`` in at most about ``points`` bins."""
        found = self.between(int(np.floor(from_s / BIN_S)), int(np.ceil(to_s / BIN_S)))
        join = max(1, int(np.ceil((to_s - from_s) / BIN_S / max(1, points))))
        if join == 1 or not len(found.t):
            return found
        wide = np.floor(np.round(found.t / BIN_S) / join)
        starts = np.concatenate([[0], np.flatnonzero(np.diff(wide)) + 1])
        low, high = np.fmin.reduceat(found.low, starts, axis=0), np.fmax.reduceat(found.high, starts, axis=0)
        return Curve(wide[starts] * join * BIN_S, join * BIN_S, low, high)

    def clear(self) -> None:
        """Give up every bin."""
        self._blocks.clear()

    @property
    def oldest_s(self) -> float | None:
        """Begin of the oldest block, seconds."""
        oldest = self._blocks.oldest
        return None if oldest is None else oldest * BLOCK_BINS * BIN_S

    def _empty(self) -> Float16Array:
        return np.full((2, BLOCK_BINS, self._channels), np.nan, dtype=np.float16)

    def _merge(self, bins: Int64Array, low: Float16Array, high: Float16Array) -> None:
        numbers = bins // BLOCK_BINS
        for number in np.unique(numbers).tolist():
            own = numbers == number
            block, places = self._blocks.open(number), bins[own] - number * BLOCK_BINS
            if len(np.unique(places)) == len(places):  # times in order: each bin once
                block[0][places] = np.fmin(block[0][places], low[own])
                block[1][places] = np.fmax(block[1][places], high[own])
            else:
                np.fmin.at(block[0], places, low[own])
                np.fmax.at(block[1], places, high[own])
