"""What training says a stream should look like: standardised input and the histogram of codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.preprocess import PreprocessConfig

GRAVITY = {"g": 1.0, "m/s2": 9.80665}
LEAST_GRAVITY = 0.5  # of the mean square in training, or the data had gravity removed
COMMON_CODES = 9  # bins of their own; the other codes of training share one, codes it never had another
LEAST_EXPECTED = 5.0  # occurrences, before a code that never came says something
PRIOR = 0.5  # added to each bin: an empty one would make the index infinite


class CodeReference:
    """The fingerprint of a bundle, as bins and as surprise.

    Args:
        counts: occurrences by code on the training split.

    Attributes:
        surprise: -log2 of a code's share in training, by code, bits; half an occurrence is added to each.
        bins: the bin of each code; the last bin holds what training never had.
        unseen: whether training never had the code, by code.
        perplexity: of training: how many codes it used, were all used equally often.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        seen = np.asarray(counts, dtype=np.int64)
        share = (seen + PRIOR) / (seen.sum() + PRIOR * len(seen))
        self.surprise: Float64Array = -np.log2(share)
        self.unseen: BoolArray = seen == 0
        self._share = seen / max(1, int(seen.sum()))
        self.perplexity = perplexity(seen)
        order = np.argsort(-seen, kind="stable")
        places = np.full(len(seen), COMMON_CODES, dtype=np.int64)
        common = order[:COMMON_CODES]
        places[common] = np.arange(len(common))
        places[seen == 0] = COMMON_CODES + 1
        self.bins: Int64Array = places
        self._expected = self._shares(np.bincount(places, seen, COMMON_CODES + 2).astype(np.int64))

    def dead_share(self, counts: Int64Array) -> float:
        """Return the share of training's windows whose codes should have come (five times or more) and never did.

        Args:
            counts: (codes,) occurrences now.
        """
        due = self._share * counts.sum() >= LEAST_EXPECTED
        return float(self._share[due & (counts == 0)].sum())

    def stability_index(self, counts: Int64Array) -> float:
        """Return the population stability index of binned counts (bins,) against training, 0 for equal shares.

        Source: Siddiqi 2006, Credit Risk Scorecards: the sum of (actual - expected) ln(actual / expected).
        """
        actual = self._shares(counts)
        return float(((actual - self._expected) * np.log(actual / self._expected)).sum())

    @staticmethod
    def _shares(counts: Int64Array) -> Float64Array:
        return np.asarray((counts + PRIOR) / (counts.sum() + PRIOR * len(counts)), dtype=np.float64)


def perplexity(counts: Int64Array) -> float:
    """Return the exponential of the entropy of counts: the number of codes in use, weighted by how often."""
    share = counts[counts > 0] / max(1, int(counts.sum()))
    return float(np.exp(-(share * np.log(share)).sum()))


class InputReference:
    """Sums of windows in training sigmas, and the length of their mean acceleration.

    Args:
        config: channels, training means and standard deviations, size of a window.

    Attributes:
        has_gravity: whether there is one accelerometer of three axes whose training data held gravity.
    """

    def __init__(self, config: PreprocessConfig) -> None:
        size = len(config.channels)
        self._mean: Float32Array = np.asarray(config.mean[:size], dtype=np.float32)[:, None]
        self._std: Float32Array = np.asarray(config.std[:size], dtype=np.float32)[:, None]
        self._scale: Float32Array = 1.0 / self._std
        self._size = config.window_samples
        axes = [at for at, channel in enumerate(config.channels) if channel.unit in GRAVITY]
        self._gravity = GRAVITY[config.channels[axes[0]].unit] if axes else 1.0
        square = sum(config.mean[at] ** 2 + config.std[at] ** 2 for at in axes)
        self.has_gravity = len(axes) == 3 and square > LEAST_GRAVITY * self._gravity**2
        self._axes = np.array(axes, dtype=np.int64)
        self._axis_mean, self._axis_std = (
            np.asarray(values, dtype=np.float64)[axes] for values in (config.mean, config.std)
        )

    def look(self, windows: Float32Array) -> tuple[Float64Array, Float64Array]:
        """Return the sums and the acceleration of windows (n, C, T), raw units; NaN where a value is missing.

        The sums (n, 3, C) are the mean, the mean square and the mean square step between samples. The acceleration (n,)
        is the length of the mean vector over standard gravity: 1 where the sensor is still, less where it turns.
        """
        x, found = (windows - self._mean) * self._scale, np.empty((len(windows), 3, windows.shape[1]))
        step = x[:, :, 1:] - x[:, :, :-1]
        np.add.reduce(x, axis=2, out=found[:, 0])
        np.einsum("nct,nct->nc", x, x, out=found[:, 1], casting="same_kind")
        np.einsum("nct,nct->nc", step, step, out=found[:, 2], casting="same_kind")
        found /= self._size
        means = found[:, 0, self._axes] * self._axis_std + self._axis_mean
        length: Float64Array = np.sqrt((means * means).sum(axis=1)) / self._gravity
        return found, length
