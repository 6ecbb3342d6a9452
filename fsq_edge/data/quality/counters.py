"""The measurements, one family a class, fed block by block: missing values, moments, stuck and saturated values.

A block is (W, C, L). Either its W windows stand apart, or (``joined``, W = 1) it continues the recording that the
block before belonged to; then nothing depends on where the blocks are cut. ``end`` ends a recording.
"""

from __future__ import annotations

import numpy as np

from fsq_edge.data.quality.runs import RunFollower, Runs
from fsq_edge_runtime.arrays import BoolArray, Float32Array, Float64Array, Int64Array

RAIL_SAMPLES = 3  # equal extremes in a row that no moving signal gives by chance


class MissingCounter:
    """Counts NaN, Inf and gaps.

    Args:
        channels: C.
        max_gap_samples: longest gap that can be interpolated.
    """

    def __init__(self, channels: int, max_gap_samples: int) -> None:
        self._max_gap = max_gap_samples
        self._runs = RunFollower(channels)
        self.n = 0  # samples a channel
        self.nan: Int64Array = np.zeros(channels, np.int64)
        self.inf: Int64Array = np.zeros(channels, np.int64)
        self.longest_gap: Int64Array = np.zeros(channels, np.int64)
        self.beyond_gap: Int64Array = np.zeros(channels, np.int64)  # samples in gaps too long to fill
        self.samples_affected = 0  # samples with any channel missing
        self.windows = 0
        self.windows_affected = 0
        self.windows_lost = 0  # with a gap too long to fill

    def feed(self, block: Float32Array, *, joined: bool = False) -> BoolArray | None:
        """Count a block.

        Returns:
            (W, C, L) what is finite, or None where everything is.
        """
        count, channels, length = block.shape
        self.n += count * length
        self.windows += 0 if joined else count
        finite = np.isfinite(block)
        if finite.all():
            self._take(self._runs.close(), channels)
            return None
        missing = ~finite
        nan = np.isnan(block)
        n_nan = np.count_nonzero(nan, axis=(0, 2))
        self.nan += n_nan
        self.inf += np.count_nonzero(missing, axis=(0, 2)) - n_nan
        affected: BoolArray = np.asarray(missing.any(axis=1))
        self.samples_affected += int(np.count_nonzero(affected))
        if joined:
            self._take(self._runs.feed(missing[0]), channels)
            return finite
        self.windows_affected += int(np.count_nonzero(affected.any(axis=1)))
        runs = _runs_apart(missing)
        self._take(runs, channels)
        self.windows_lost += len(np.unique(runs.row[runs.length > self._max_gap] // channels))
        return finite

    def end(self) -> None:
        """End a recording."""
        self._take(self._runs.close(), len(self.nan))

    def _take(self, runs: Runs, channels: int) -> None:
        if not len(runs.row):
            return
        channel = runs.row % channels
        np.maximum.at(self.longest_gap, channel, runs.length)
        long = runs.length > self._max_gap
        np.add.at(self.beyond_gap, channel[long], runs.length[long])


class MomentCounter:
    """Mean, standard deviation and extremes of the finite values.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        self._reference = np.full(channels, np.nan, np.float32)  # first finite value: keeps the sums small
        self._sum = np.zeros(channels)
        self._squares = np.zeros(channels)
        self.count: Int64Array = np.zeros(channels, np.int64)
        self.min: Float64Array = np.full(channels, np.inf)
        self.max: Float64Array = np.full(channels, -np.inf)

    def feed(self, block: Float32Array, finite: BoolArray | None) -> None:
        """Add a block; ``finite`` says which values count, None all."""
        for channel in np.flatnonzero(np.isnan(self._reference)):
            values = block[:, channel] if finite is None else block[:, channel][finite[:, channel]]
            if values.size:
                self._reference[channel] = values.ravel()[0]
        known = ~np.isnan(self._reference)
        reference = np.where(known, self._reference, np.float32(0))[:, None]
        if finite is None:
            self.count += block.shape[0] * block.shape[2]
        else:
            self.count += np.count_nonzero(finite, axis=(0, 2))
            # The reference is a value of the channel: in the place of a missing one it changes no sum and no extreme.
            block = np.where(finite, block, reference)
        centred = block - reference
        self._sum += centred.sum(axis=(0, 2), dtype=np.float64)
        self._squares += np.einsum("wcl,wcl->c", centred, centred, dtype=np.float64)
        self.min = np.where(known, np.minimum(self.min, block.min(axis=(0, 2))), self.min)
        self.max = np.where(known, np.maximum(self.max, block.max(axis=(0, 2))), self.max)

    @property
    def mean(self) -> Float64Array:
        """(C,), NaN where nothing is finite."""
        return np.where(self.count > 0, self._reference + self._sum / np.maximum(self.count, 1), np.nan)

    @property
    def std(self) -> Float64Array:
        """(C,) population standard deviation, NaN where nothing is finite."""
        n = np.maximum(self.count, 1)
        variance = np.maximum(self._squares / n - (self._sum / n) ** 2, 0.0)
        return np.where(self.count > 0, np.sqrt(variance), np.nan)


class StuckCounter:
    """Finds values that stand exactly still: stuck stretches, and extremes that repeat (saturation).

    Args:
        channels: C.
        flat_samples: equal samples in a row that count as stuck, at least 2.
    """

    def __init__(self, channels: int, flat_samples: int) -> None:
        self._flat_samples = max(flat_samples, 2)
        self._runs = RunFollower(channels)
        self._last = np.full((channels, 1), np.nan, np.float32)
        self.flat: Int64Array = np.zeros(channels, np.int64)
        self.longest_flat: Int64Array = np.zeros(channels, np.int64)
        self._rail = np.stack([np.full(channels, np.inf), np.full(channels, -np.inf)])  # low, high
        self._at_rail = np.zeros((2, channels), np.int64)

    def feed(self, block: Float32Array, finite: BoolArray | None = None, *, joined: bool = False) -> None:
        """Add a block; ``finite`` says which values count, None all."""
        if finite is not None:
            block = np.where(finite, block, np.float32(np.nan))  # equal infinities are missing, not stuck
        channels = block.shape[1]
        same = np.empty(block.shape, np.bool_)
        np.equal(block[..., 1:], block[..., :-1], out=same[..., 1:])
        if joined:
            same[0, :, :1] = block[0, :, :1] == self._last
            self._last = block[0, :, -1:].copy()
            self._take(self._runs.feed(same[0], block[0]), channels)
        else:
            same[..., 0] = False
            self._take(_runs_apart(same, block), channels)

    def end(self) -> None:
        """End a recording."""
        self._take(self._runs.close(), self._last.shape[0])
        self._last[:] = np.nan

    def saturated(self, low: Float64Array, high: Float64Array) -> Int64Array:
        """Return the samples (C,) that stand at the extremes of the channel, ``RAIL_SAMPLES`` or more in a row.

        Args:
            low: (C,) smallest value of each channel.
            high: (C,) largest; a channel with ``low == high`` is dead, not saturated.
        """
        at = self._at_rail * (self._rail == np.stack([low, high]))
        return np.asarray(np.where(high > low, at.sum(axis=0), 0), np.int64)

    def _take(self, runs: Runs, channels: int) -> None:
        channel, length = runs.row % channels, runs.length + 1  # k equal neighbours are k + 1 samples
        flat = length >= self._flat_samples
        np.add.at(self.flat, channel[flat], length[flat])
        np.maximum.at(self.longest_flat, channel, length)
        rail = length >= RAIL_SAMPLES
        channel, length, value = channel[rail], length[rail], runs.value[rail].astype(np.float64)
        for side, sign in ((0, -1.0), (1, 1.0)):
            extreme = np.full(channels, -np.inf)
            np.maximum.at(extreme, channel, sign * value)
            further = extreme > sign * self._rail[side]
            self._rail[side, further] = sign * extreme[further]
            self._at_rail[side, further] = 0
            here = value == self._rail[side, channel]
            np.add.at(self._at_rail[side], channel[here], length[here])


def _runs_apart(flags: BoolArray, values: Float32Array | None = None) -> Runs:
    """Stretches within the windows of a block; rows count through (W, C)."""
    rows = flags.shape[0] * flags.shape[1]
    follower = RunFollower(rows)
    flat_values = None if values is None else values.reshape(rows, -1)
    inside, at_end = follower.feed(flags.reshape(rows, -1), flat_values), follower.close()
    return Runs(
        np.concatenate([inside.row, at_end.row]),
        np.concatenate([inside.length, at_end.length]),
        np.concatenate([inside.value, at_end.value]),
    )
