"""What is seen of a window's input: sums that add up over windows, and the figures that follow from them."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.drift.sphere import SPHERE_SUMS, sphere_sums
from fsq_edge_runtime.preprocess import PreprocessConfig

GRAVITY: Final = {"g": 1.0, "m/s2": 9.80665}
LEAST_GRAVITY: Final = 0.5  # of the mean square in training, or the data had gravity removed
LEAST_SQUARE: Final = 1e-8  # of a spread in training sigmas: a dead channel's logarithm stays a number
MOST_PAIRED: Final = 16  # channels: of more, the pairs would cost more than a decision
MOST_CORRELATED: Final = 0.99  # beyond it Fisher's transform is not a number


class Figures(NamedTuple):
    """What many windows of a stream look like together.

    Attributes:
        mean: (C,) training sigmas.
        spread: (C,) logarithm of the standard deviation over training's, changes of posture within it.
        step: (C,) logarithm of the step between samples (root of the mean square) over that standard deviation.
        tempo: (C,) the same over the standard deviation within a window: twice the tempo adds at most ln 2.
        axes: (C(C - 1)/2,) Fisher's transform of the correlations of channels within a window; empty for one channel,
            and for more than 16.
    """

    mean: Float64Array
    spread: Float64Array
    step: Float64Array
    tempo: Float64Array
    axes: Float64Array


class InputLooks:
    """Takes the sums of windows in training sigmas, and the length of their mean acceleration.

    Args:
        config: channels, training means and standard deviations, size of a window.

    Attributes:
        is_known: whether the means and standard deviations are of data; a network that takes raw values has 0 and 1.
        has_gravity: whether there is one accelerometer of three axes whose training data held gravity.
        axes: names of its axes; empty without it.
        pairs: how many pairs of channels are looked at.
    """

    def __init__(self, config: PreprocessConfig) -> None:
        size = self._channels = len(config.channels)
        self._mean: Float32Array = np.asarray(config.mean[:size], dtype=np.float32)[:, None]
        self._scale: Float32Array = 1.0 / np.asarray(config.std[:size], dtype=np.float32)[:, None]
        self._samples = config.window_samples
        axes = [at for at, channel in enumerate(config.channels) if channel.unit in GRAVITY]
        unit = GRAVITY[config.channels[axes[0]].unit] if axes else 1.0
        square = sum(config.mean[at] ** 2 + config.std[at] ** 2 for at in axes)
        self.is_known = any(config.mean[:size]) or any(value != 1.0 for value in config.std[:size])
        self.has_gravity = self.is_known and len(axes) == 3 and square > LEAST_GRAVITY * unit**2
        self.axes = tuple(config.channels[at].name for at in axes) if self.has_gravity else ()
        self._axes = np.array(axes, dtype=np.int64)
        self._axis_mean, self._axis_std = (
            np.asarray(values, dtype=np.float64)[axes] / unit for values in (config.mean, config.std)
        )
        pairs = np.triu_indices(size, 1) if size <= MOST_PAIRED else (np.empty(0, np.int64),) * 2
        self._pairs, self.pairs = pairs, len(pairs[0])
        self._ends = np.cumsum([size, size, size, size, self.pairs]).tolist()

    def look(self, windows: Float32Array) -> tuple[Float64Array, Float64Array]:
        """Return the sums and the acceleration of windows (n, C, T), raw units; NaN where a value is missing.

        The sums (n, K) may be added over windows, see :meth:`figures` and :meth:`sphere`. The acceleration (n,) is the
        length of the mean vector over standard gravity: 1 where the sensor is still, less where it turns.
        """
        x, ends = (windows - self._mean) * self._scale, self._ends
        step = x[:, :, 1:] - x[:, :, :-1]
        sums = np.empty((len(windows), ends[4] + (SPHERE_SUMS if self.has_gravity else 0)))
        mean = np.add.reduce(x, axis=2) / self._samples
        products = np.matmul(x, x.transpose(0, 2, 1)) / self._samples - mean[:, :, None] * mean[:, None, :]
        within = np.einsum("ncc->nc", products)
        sums[:, : ends[0]] = mean
        sums[:, ends[0] : ends[1]] = within + mean * mean
        np.einsum("nct,nct->nc", step, step, out=sums[:, ends[1] : ends[2]], casting="same_kind")
        sums[:, ends[1] : ends[2]] /= self._samples
        sums[:, ends[2] : ends[3]] = within
        sums[:, ends[3] : ends[4]] = products[:, self._pairs[0], self._pairs[1]]
        vectors = mean[:, self._axes] * self._axis_std + self._axis_mean
        length: Float64Array = np.sqrt((vectors * vectors).sum(axis=1))
        if self.has_gravity:
            moved = (within[:, self._axes] * self._axis_std**2).sum(axis=1)
            sums[:, ends[4] :] = sphere_sums(vectors, moved)
        return sums, length

    def figures(self, sums: Float64Array, windows: int) -> Figures:
        """Return what windows look like together from their added sums (K,)."""
        mean, square, step, within, products = np.split(sums[: self._ends[4]] / windows, self._ends[:4])
        spread = np.maximum(square - mean * mean, LEAST_SQUARE)
        within = np.maximum(within, LEAST_SQUARE)
        first, second = self._pairs
        correlation = products / np.sqrt(within[first] * within[second])
        half_log_step = 0.5 * np.log(np.maximum(step, LEAST_SQUARE))
        half_log_spread = 0.5 * np.log(spread)
        return Figures(
            mean,
            half_log_spread,
            half_log_step - half_log_spread,
            half_log_step - 0.5 * np.log(within),
            np.arctanh(np.clip(correlation, -MOST_CORRELATED, MOST_CORRELATED)),
        )

    def sphere(self, sums: Float64Array) -> Float64Array:
        """Return the part of added sums (K,) that :func:`fsq_edge_runtime.drift.sphere.fit_offset` takes."""
        return sums[self._ends[4] :]
