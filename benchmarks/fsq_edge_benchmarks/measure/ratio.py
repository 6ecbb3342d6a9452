"""The ratio of two medians of durations that were taken in turns, with an interval."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.artefact import StrictModel

RESAMPLES: Final = 1000
CONFIDENCE: Final = 0.95
BLOCKS: Final = 100  # neighbours in time are alike, so blocks of them are drawn, not single pairs
_CHUNK: Final = 50  # resamples held in memory at once


class Interval(StrictModel):
    """A figure with its bootstrap interval.

    Attributes:
        value: of all samples.
        low: lower end.
        high: upper end.
        confidence: that the interval aims at.
    """

    value: float
    low: float
    high: float
    confidence: float = Field(default=CONFIDENCE, gt=0, lt=1)

    def text(self) -> str:
        """Return ``1.62 (1.60 to 1.65)``."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def ratio_of_medians(ours: npt.ArrayLike, base: npt.ArrayLike, *, blocks: int = BLOCKS, seed: int = 0) -> Interval:
    """Return median(ours) / median(base) with a bootstrap interval over blocks of neighbouring pairs.

    Args:
        ours: (n,) durations, n >= 1.
        base: (n,) durations, each taken next to its partner in ``ours``.
        blocks: into how many to cut them; where each block is a process, the number of processes.
        seed: of the bootstrap.
    """
    value, drawn = _medians(ours, base, blocks, seed)
    return _interval(float(value[0] / value[1]), drawn[:, 0] / drawn[:, 1])


def difference_of_medians(ours: npt.ArrayLike, base: npt.ArrayLike, *, seed: int = 0) -> Interval:
    """Return median(ours) - median(base), in their unit; otherwise as :func:`ratio_of_medians`."""
    value, drawn = _medians(ours, base, BLOCKS, seed)
    return _interval(float(value[0] - value[1]), drawn[:, 0] - drawn[:, 1])


def _interval(value: float, drawn: Float64Array) -> Interval:
    low, high = np.percentile(drawn, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return Interval(value=value, low=float(low), high=float(high))


def _medians(ours: npt.ArrayLike, base: npt.ArrayLike, cut: int, seed: int) -> tuple[Float64Array, Float64Array]:
    """Return the medians (2,) of both sides, and those (R, 2) of the resamples."""
    pairs = np.stack([np.asarray(ours, dtype=np.float64), np.asarray(base, dtype=np.float64)], axis=1)
    length = max(1, len(pairs) // cut)
    blocks = pairs[: len(pairs) // length * length].reshape(-1, length, 2)
    draw = np.random.default_rng(seed).integers(0, len(blocks), (RESAMPLES, len(blocks)))
    drawn = [
        np.median(blocks[some].reshape(len(some), -1, 2), axis=1)
        for some in np.split(draw, range(_CHUNK, RESAMPLES, _CHUNK))
    ]
    return np.median(pairs, axis=0), np.concatenate(drawn)
