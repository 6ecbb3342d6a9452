"""Stuck axes of triads: a still body repeats values, and that is no fault; an axis that stands beside live ones is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsq_edge.data.recording import Channel
from fsq_edge.data.sensors import least_step
from fsq_edge.data.triads import find_triads
from fsq_edge_runtime.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.stream.settings import ALL_STILL, LIVE_STEPS

SAMPLES_LOOKED_AT = 1 << 16  # of a recording, for its step
BLOCK = 1 << 17


def triad_step(samples: Float32Array) -> float:
    """Return the step of a triad's sensor (n, 3): the middle one of its live axes, 0.0 where none is live."""
    some = _some(samples)
    steps = [step for step in (least_step(some[:, axis]) for axis in range(3)) if step]
    return float(np.median(steps)) if steps else 0.0


@dataclass(slots=True)
class _Run:
    """A run of one value that is still open: its length, and between what the other axes moved meanwhile."""

    length: int
    low: Float64Array
    high: Float64Array


class AxisRuns:
    """Follows one axis and adds up the samples of its runs that no live axis explains.

    Args:
        axis: 0, 1 or 2.
        step: of the sensor, above 0.
        least: samples of the shortest run that counts.
    """

    def __init__(self, axis: int, step: float, least: int) -> None:
        self.axis, self._others = axis, [other for other in range(3) if other != axis]
        self._limit, self._least = LIVE_STEPS * step, least
        self._open: _Run | None = None
        self.stuck = 0

    def feed(self, block: Float32Array, changed: BoolArray) -> None:
        """Take samples (n, 3), n > 0, and whether each differs from the one before on this axis (n,)."""
        begins = np.flatnonzero(changed)
        if not len(begins) or begins[0]:
            begins = np.concatenate(([0], begins))
        lengths = np.diff(begins, append=len(block))
        others = block[:, self._others]
        low = np.fmin.reduceat(others, begins, axis=0).astype(np.float64)
        high = np.fmax.reduceat(others, begins, axis=0).astype(np.float64)
        if self._open is not None and not changed[0]:
            lengths[0] += self._open.length
            low[0], high[0] = np.fmin(low[0], self._open.low), np.fmax(high[0], self._open.high)
        else:
            self.end()
        self._count(lengths[:-1], low[:-1], high[:-1])
        self._open = _Run(int(lengths[-1]), low[-1], high[-1])

    def end(self) -> None:
        """End the run that is still open."""
        if self._open is not None:
            self._count(np.array([self._open.length]), self._open.low[None], self._open.high[None])
            self._open = None

    def _count(self, lengths: Int64Array, low: Float64Array, high: Float64Array) -> None:
        with np.errstate(invalid="ignore"):
            moved = (high - low > self._limit).any(axis=1)
        self.stuck += int(lengths[(lengths >= self._least) & moved].sum())


def stuck_samples(samples: Float32Array, step: float, stretch: int) -> Int64Array:
    """Return the samples (3,) of each axis that are stuck.

    An axis is stuck as long as it keeps one value while another axis moves more than 20 steps, or where all three keep
    theirs for four stretches.

    Args:
        samples: (n, 3) of one triad; a missing sample ends a run.
        step: from :func:`triad_step`, above 0.
        stretch: samples of the shortest run that counts, at least 2.
    """
    axes = [AxisRuns(axis, step, stretch) for axis in range(3)]
    still = length = 0
    last = np.full((1, 3), np.nan, np.float32)
    for begin in range(0, len(samples), BLOCK):
        block = np.asarray(samples[begin : begin + BLOCK])
        changed = block != np.concatenate([last, block[:-1]])  # NaN differs from itself
        last = block[-1:]
        for axis in axes:
            axis.feed(block, changed[:, axis.axis])
        edges = np.flatnonzero(changed.any(axis=1))
        lengths = np.diff(np.concatenate(([0], edges, [len(block)])))
        lengths[0] += length
        length = int(lengths[-1])
        still += int(lengths[:-1][lengths[:-1] >= ALL_STILL * stretch].sum())
    still += length if length >= ALL_STILL * stretch else 0
    for axis in axes:
        axis.end()
    return np.array([min(axis.stuck + still, len(samples)) for axis in axes], np.int64)


def stuck_of_triads(
    channels: tuple[Channel, ...], samples: Float32Array, stretch: int, suspected: BoolArray
) -> dict[int, int]:
    """Return the stuck samples of every channel that belongs to a triad, by the channel's index.

    Args:
        channels: C.
        samples: (n, C) of one recording.
        stretch: shortest stuck stretch, samples.
        suspected: (C,) which channels keep one value that long at all; triads without one are left out.
    """
    found: dict[int, int] = {}
    for triad in find_triads(channels):
        axes = slice(triad.first, triad.first + 3)
        step = triad_step(samples[:, axes]) if suspected[axes].any() else 0.0
        if step:
            counts = stuck_samples(samples[:, axes], step, max(stretch, 2))
            found.update({triad.first + axis: int(count) for axis, count in enumerate(counts)})
    return found


def _some(samples: Float32Array) -> Float32Array:
    """Up to ``SAMPLES_LOOKED_AT`` samples in stretches from all over a recording."""
    pieces, size = 16, SAMPLES_LOOKED_AT // 16
    if len(samples) <= SAMPLES_LOOKED_AT:
        return samples
    starts = np.linspace(0, len(samples) - size, pieces).astype(np.int64)
    return np.concatenate([samples[s : s + size] for s in starts])
