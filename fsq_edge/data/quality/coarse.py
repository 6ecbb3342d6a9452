"""Stuck axes of sensors with coarse steps, where a still body repeats values and that is no fault."""

from __future__ import annotations

import numpy as np

from fsq_edge.data.recording import Channel
from fsq_edge.data.triads import find_triads
from fsq_edge_runtime.arrays import Float32Array, Int64Array

SAMPLES_LOOKED_AT = 1 << 16  # of a recording, for its step
SMALL_CHANGES = 0.1  # share of the changes that are one step: the step is as large as the noise
LIVE_STEPS = 2.5  # range of an axis within a stretch that neither its step nor noise of that size explains
BLOCK_STRETCHES = 1 << 14


def coarse_step(samples: Float32Array) -> float:
    """Return the step of a coarse sensor, or 0.0 where the step is small against the noise.

    The step is the least difference between neighbouring samples. The sensor is coarse where at least a tenth of
    all changes is one step; a channel that never changes has no say.

    Args:
        samples: (n, 3) of one triad, in the sensor's unit.
    """
    some = _some(samples)
    with np.errstate(invalid="ignore"):
        change = np.abs(np.diff(some.astype(np.float64), axis=0))
    change = change[np.isfinite(change) & (change > 0)]
    if not change.size:
        return 0.0
    step = float(change.min())
    return step if (change < 1.5 * step).mean() >= SMALL_CHANGES else 0.0


def stuck_samples(samples: Float32Array, step: float, stretch: int) -> Int64Array:
    """Return the samples (3,) of each axis that are stuck, in whole stretches.

    An axis is stuck in a stretch where it keeps one value while another axis moves more than step and noise explain,
    or where all three keep theirs.

    Args:
        samples: (n, 3) of one triad of a coarse sensor; a stretch with anything missing is not stuck.
        step: from :func:`coarse_step`, above 0.
        stretch: samples, at least 2; the last, shorter one is not looked at.
    """
    stuck: Int64Array = np.zeros(3, np.int64)
    whole = len(samples) // stretch
    for begin in range(0, whole, BLOCK_STRETCHES):
        end = min(begin + BLOCK_STRETCHES, whole)
        block = np.asarray(samples[begin * stretch : end * stretch]).reshape(-1, stretch, 3)
        with np.errstate(invalid="ignore"):  # Inf less Inf is missing, too
            extent = np.ptp(block, axis=1)
        most = extent.max(axis=1)
        judged = (most > LIVE_STEPS * step) | (most == 0)
        stuck += np.count_nonzero((extent == 0) & judged[:, None], axis=0) * stretch
    return stuck


def stuck_of_coarse(channels: tuple[Channel, ...], samples: Float32Array, stretch: int) -> dict[int, int]:
    """Return the stuck samples of every channel that belongs to a coarse triad, by the channel's index.

    Args:
        channels: C.
        samples: (n, C) of one recording.
        stretch: shortest stuck stretch, samples.
    """
    found: dict[int, int] = {}
    for triad in find_triads(channels):
        three = samples[:, triad.first : triad.first + 3]
        step = coarse_step(three)
        if step:
            counts = stuck_samples(three, step, max(stretch, 2))
            found.update({triad.first + axis: int(count) for axis, count in enumerate(counts)})
    return found


def _some(samples: Float32Array) -> Float32Array:
    """Up to ``SAMPLES_LOOKED_AT`` samples in stretches from all over a recording."""
    pieces, size = 16, SAMPLES_LOOKED_AT // 16
    if len(samples) <= SAMPLES_LOOKED_AT:
        return samples
    starts = np.linspace(0, len(samples) - size, pieces).astype(np.int64)
    return np.concatenate([np.vstack([samples[s : s + size], np.full((1, 3), np.nan, np.float32)]) for s in starts])
