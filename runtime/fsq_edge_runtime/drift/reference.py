"""What training says a stream should look like: standardised input and the histogram of codes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.preprocess import PreprocessConfig

GRAVITY = {"g": 1.0, "m/s2": 9.80665}
LEAST_GRAVITY = 0.5  # of the mean square in training, or the data had gravity removed
COMMON_CODES = 9  # bins of their own; the other codes of training share one, codes it never had another
PRIOR = 0.5  # added to each bin: an empty one would make the index infinite


class CodeReference:
    """The fingerprint of a bundle, as bins and as surprise.

    Args:
        counts: occurrences by code on the training split.

    Attributes:
        surprise: -log2 of a code's share in training, by code, bits; half an occurrence is added to each.
        bins: the bin of each code; the last bin holds what training never had.
        unseen: whether training never had the code, by code.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        seen = np.asarray(counts, dtype=np.int64)
        share = (seen + PRIOR) / (seen.sum() + PRIOR * len(seen))
        self.surprise: list[float] = (-np.log2(share)).tolist()
        self.unseen: list[bool] = (seen == 0).tolist()
        order = np.argsort(-seen, kind="stable")
        places = np.full(len(seen), COMMON_CODES, dtype=np.int64)
        common = order[:COMMON_CODES]
        places[common] = np.arange(len(common))
        places[seen == 0] = COMMON_CODES + 1
        self.bins: list[int] = places.tolist()
        self._expected = self._shares(np.bincount(places, seen, COMMON_CODES + 2).astype(np.int64))

    def stability_index(self, counts: Int64Array) -> float:
        """Return the population stability index of binned counts (bins,) against training, 0 for equal shares.

        Source: Siddiqi 2006, Credit Risk Scorecards: the sum of (actual - expected) ln(actual / expected).
        """
        actual = self._shares(counts)
        return float(((actual - self._expected) * np.log(actual / self._expected)).sum())

    @staticmethod
    def _shares(counts: Int64Array) -> Float64Array:
        return np.asarray((counts + PRIOR) / (counts.sum() + PRIOR * len(counts)), dtype=np.float64)


class InputReference:
    """A window's sums in training sigmas, and the length of its mean acceleration.

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
        self._centers = [(at, config.mean[at], config.std[at]) for at in axes]

    def look(self, window: Float32Array) -> tuple[Float64Array, float] | None:
        """Return the sums and the acceleration of a window (C, T), raw units, or None if a value is missing.

        The sums (3, C) are the mean, the mean square and the mean square step between samples. The acceleration is the
        length of the mean vector over standard gravity: 1 where the sensor is still, less where it turns.
        """
        x, found = (window - self._mean) * self._scale, np.empty((3, len(window)))
        step = x[:, 1:] - x[:, :-1]
        np.add.reduce(x, axis=1, out=found[0])
        np.einsum("ct,ct->c", x, x, out=found[1], casting="same_kind")
        np.einsum("ct,ct->c", step, step, out=found[2], casting="same_kind")
        found /= self._size
        if not math.isfinite(found.sum()):
            return None
        means = found[0].tolist()
        length = math.sqrt(sum((means[at] * std + mean) ** 2 for at, mean, std in self._centers))
        return found, length / self._gravity
