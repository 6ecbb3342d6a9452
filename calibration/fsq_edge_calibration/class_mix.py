"""The training split seen as a mix of its classes, so that a set may hold them in other shares.

A class-balanced set of a data set that is nine tenths standing has other histograms than its training split, and is
sound. What matters is whether any mix of the training classes explains it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from fsq_edge_calibration.distribution import Distribution, bin_groups, group_counts
from fsq_edge_runtime.arrays import Float64Array, Int64Array

STEPS: Final = 300  # of expectation maximisation; the shares stand still long before
FLOOR: Final = 1e-4  # of a group's share, so that one empty group does not decide


def remixed(training: Distribution, found: Distribution) -> Distribution:
    """Return the training distribution in the mix of its classes that explains ``found`` best.

    Args:
        training: the training split; without its classes it is returned as it is.
        found: a set with the channels of ``training``.
    """
    if len(training.class_values) < 2:
        return training
    groups = [bin_groups(channel.counts) for channel in training.channels]
    seen = np.stack([group_counts(found.channels[row].counts, group) for row, group in enumerate(groups)])
    parts = _class_shares(training)
    weights = _mixing_weights(parts, seen)
    before = np.asarray([part.n_windows for part in training.class_values], dtype=np.float64)
    natural = np.tensordot(before / before.sum(), parts, axes=1)
    ratio = np.tensordot(weights, parts, axes=1) / np.maximum(natural, 1e-12)
    per_window = weights / before
    lag1 = _lag1(training, per_window)
    channels = tuple(
        channel.model_copy(
            update={
                "counts": tuple(int(count) for count in np.rint(np.asarray(channel.counts) * ratio[row][groups[row]])),
                "lag1": lag1[row],
            }
        )
        for row, channel in enumerate(training.channels)
    )
    noisy = float(per_window @ np.asarray([part.noisy for part in training.class_values]))
    return training.model_copy(update={"channels": channels, "noise_share": noisy})


def distance_to_any_mix(
    training: Distribution, values: Float64Array, low: Float64Array, high: Float64Array
) -> Float64Array:
    """Return (C,) PSI of values from the mix of training classes that is nearest to them.

    Args:
        training: the training split; its first C channels are compared.
        values: (C, n) in training sigmas.
        low: (C,) what is below was clipped to it, and is clipped in the training split too.
        high: (C,) what is above was clipped to it, and is clipped in the training split too.
    """
    parts = _class_shares(training)[:, : len(values)].copy()
    seen = np.zeros(parts.shape[1:])
    for row, channel in enumerate(training.channels[: len(values)]):
        groups, clip = bin_groups(channel.counts), training.clip_sigma
        bins = len(groups)

        def group_of(x: npt.ArrayLike, groups: Int64Array = groups, clip: float = clip, bins: int = bins) -> Int64Array:
            place = np.clip((np.asarray(x) + clip) * bins / (2 * clip), 0, bins - 1).astype(np.int64)
            return np.asarray(groups[place])

        first, last = int(group_of(low[row])), int(group_of(high[row]))
        kept = np.clip(np.arange(parts.shape[2]), first, last)
        parts[:, row] = np.stack([group_counts(part, kept) for part in parts[:, row]])
        seen[row] = np.bincount(kept[group_of(values[row])], minlength=parts.shape[2])
    mixed = np.tensordot(_mixing_weights(parts, seen), parts, axes=1)
    p, q = (np.maximum(shares / shares.sum(axis=1, keepdims=True), 1e-3) for shares in (mixed, seen))
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=1))


def _class_shares(training: Distribution) -> Float64Array:
    """Return (K, C', 20) shares of the groups of bins, by class and channel; K is 1 where classes are unknown."""
    if training.class_values:
        counts = np.asarray([part.groups for part in training.class_values], dtype=np.float64)
    else:
        rows = [group_counts(channel.counts, bin_groups(channel.counts)) for channel in training.channels]
        counts = np.stack(rows)[None]
    return np.asarray(counts / np.maximum(counts.sum(axis=2, keepdims=True), 1.0))


def _mixing_weights(parts: Float64Array, seen: Float64Array) -> Float64Array:
    """Return the shares (K,) of distributions ``parts`` (K, C, B) whose mix most likely made the counts ``seen``."""
    flat = np.maximum(parts, FLOOR).reshape(len(parts), -1)
    wanted = (seen / seen.sum()).ravel()
    weights = np.full(len(parts), 1.0 / len(parts))
    for _ in range(STEPS):
        weights *= flat @ (wanted / (weights @ flat))
        weights /= weights.sum()
    return weights


def _lag1(training: Distribution, per_window: Float64Array) -> list[float]:
    variance = per_window @ np.asarray([part.variance for part in training.class_values])
    shifted = per_window @ np.asarray([part.shifted for part in training.class_values])
    return [float(value) for value in shifted / np.maximum(variance, 1e-12)]
