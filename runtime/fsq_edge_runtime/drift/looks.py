"""What is seen of a window's input: sums that add up over windows, and the figures that follow from them."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.drift.sphere import sphere_sums
from fsq_edge_runtime.preprocess import PreprocessConfig

GRAVITY: Final = {"g": 1.0, "m/s2": 9.80665}
LEAST_GRAVITY: Final = 0.5  # of the mean square in training, or the data had gravity removed
LEAST_SQUARE: Final = 1e-8  # of a spread in training sigmas: a dead channel's logarithm stays a number
SWAYING: Final = 0.5  # g, standard deviation within a window: beyond it a swinging limb adds to gravity
STILL: Final = 0.25  # g
WEIGHTLESS: Final = 0.3  # of the longest mean acceleration, itself above 0.3 g: what rests and reads less has none
MOST_SUM: Final = 1e32  # of squares, raw units: no signal comes near; float32 holds what is made of them
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


class Look(NamedTuple):
    """Windows of a stream, added up; units are the sensor's, from the training mean on.

    Attributes:
        sums: (K,) products of the channels and a one among themselves, then the squared steps of each channel.
        windows: how many they are.
        moments: (n, 2C) of each, in one array or several: sum and sum of squares of each channel.
    """

    sums: Float64Array
    windows: int
    moments: tuple[Float32Array, ...]

    def plus(self, other: Look) -> Look:
        """Return both together."""
        return Look(self.sums + other.sums, self.windows + other.windows, self.moments + other.moments)


class InputLooks:
    """Adds up windows, and says what they look like in training sigmas.

    Few calls are made, as each finds cold caches after 64 runs of a network and takes five times what it takes alone.

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
        self._std: Float64Array = np.asarray(config.std[:size], dtype=np.float64)
        self._samples = config.window_samples
        axes = [at for at, channel in enumerate(config.channels) if channel.unit in GRAVITY]
        self._unit = GRAVITY[config.channels[axes[0]].unit] if axes else 1.0
        square = sum(config.mean[at] ** 2 + config.std[at] ** 2 for at in axes)
        self.is_known = any(config.mean[:size]) or any(value != 1.0 for value in config.std[:size])
        self.has_gravity = self.is_known and len(axes) == 3 and square > LEAST_GRAVITY * self._unit**2
        self.axes = tuple(config.channels[at].name for at in axes) if self.has_gravity else ()
        self._places, self._axes = axes, np.array(axes, dtype=np.int64)
        # Training's variance of each axis, g squared.
        self._gravities: list[float] = np.square(self._std[axes] / self._unit).tolist()
        self._share, self._per_gravity = np.float32(1.0 / self._samples), 1.0 / (self._samples * self._unit)
        self._per_variance = 1.0 / (self._samples * np.square(self._std))
        self._axis_mean = np.asarray(config.mean, dtype=np.float64)[axes] * self._samples  # as moments are
        pairs = np.triu_indices(size, 1) if size <= MOST_PAIRED else (np.empty(0, np.int64),) * 2
        self._pairs, self.pairs = pairs, len(pairs[0])
        self._products = (size + 1) ** 2  # numbers of the sums before the steps
        each = np.arange(size)
        self._steps: Float32Array = np.empty((0, size, self._samples - 1), dtype=np.float32)  # of any stream, in turn
        self._moments = np.concatenate([size * (size + 1) + each, each * (size + 2)])  # places among the products

    def room(self, windows: int) -> Float32Array:
        """Return room for windows (n, C + 1, T): the last row is one, the others are to be filled with raw units."""
        return np.ones((windows, self._channels + 1, self._samples), dtype=np.float32)

    def look(self, room: Float32Array) -> Look | None:
        """Return what windows in their room (n, C + 1, T) look like.

        One with a missing value, or one that no signal comes near, counts nowhere. Their values are changed.

        Returns:
            None where no window counts.
        """
        n = len(room)
        signals = room[:, :-1]
        np.subtract(signals, self._mean, out=signals)
        with np.errstate(over="ignore", invalid="ignore"):
            products = np.matmul(room, room.transpose(0, 2, 1)).reshape(n, -1)
            added = np.add.reduce(products, axis=0)
        moments = products.take(self._moments, axis=1)
        if not np.maximum.reduce(added) < MOST_SUM:  # NaN is not; the greatest is a square
            sound = (np.absolute(moments) < MOST_SUM / (2 * n)).all(axis=1)
            signals += self._mean
            return self.look(room[sound]) if sound.any() else None
        if n > len(self._steps):
            self._steps = np.empty((n, self._channels, self._samples - 1), dtype=np.float32)
        step = np.subtract(signals[:, :, 1:], signals[:, :, :-1], out=self._steps[:n])
        np.multiply(step, step, out=step)
        return Look(np.concatenate([added, np.add.reduce(step, axis=(0, 2))], dtype=np.float64), n, (moments,))

    def series(self, look: Look) -> list[float]:
        """Return mean, spread and step of :class:`Figures`, one after the other (3C,)."""
        sums, per_sample = look.sums.tolist(), 1.0 / (look.windows * self._samples)
        size, end = self._channels, self._products
        ones, squares, moves = sums[end - size - 1 : end - 1], sums[: end - 1 : size + 2], sums[end:]
        means, spreads, steps = [], [], []
        for one, square, move, std in zip(ones, squares, moves, self._std.tolist(), strict=True):
            mean, scale = one * per_sample / std, per_sample / (std * std)
            spread = 0.5 * math.log(max(LEAST_SQUARE, square * scale - mean * mean))
            means.append(mean)
            spreads.append(spread)
            steps.append(0.5 * math.log(max(LEAST_SQUARE, move * scale)) - spread)
        return means + spreads + steps

    def within(self, look: Look) -> list[list[float]]:
        """Return the variance (n, C) of each channel within each window of a block, training's variance being 1."""
        own, square = look.moments[0][:, : self._channels], look.moments[0][:, self._channels :]
        found: list[list[float]] = ((square - own * own * self._share) * self._per_variance).tolist()
        return found

    def gravity(self, look: Look, within: list[list[float]], center: Float64Array) -> float | None:
        """Return the length of the longest mean acceleration over standard gravity: the stillest window's, 1.

        Args:
            look: of a block.
            within: (n, C) variance in each of its windows, as :meth:`within` returns it.
            center: (3,) offset of the accelerometer, g: of a sensor with one, the length depends on the posture.

        Returns:
            None where every window moves too much; NaN where a still one shows that the data are without gravity.
        """
        (x, y, z), scale = self._places, self._per_gravity
        at_x, at_y, at_z = (self._axis_mean * scale - center).tolist()
        gx, gy, gz = self._gravities
        longest, calm, least = 0.0, None, math.inf
        for sums, own in zip(look.moments[0].tolist(), within, strict=True):
            length = math.hypot(sums[x] * scale + at_x, sums[y] * scale + at_y, sums[z] * scale + at_z)
            variance = own[x] * gx + own[y] * gy + own[z] * gz
            longest = max(longest, length)
            if variance < SWAYING**2:
                calm = max(calm or 0.0, length)
                if variance < STILL**2:
                    least = min(least, length)
        return math.nan if least < WEIGHTLESS * longest > WEIGHTLESS**2 else calm

    def figures(self, look: Look) -> Figures:
        """Return what windows look like together."""
        size, samples, std = self._channels, look.windows * self._samples, self._std
        products = look.sums[: self._products].reshape(size + 1, size + 1)[:size, :size] / samples
        own = np.concatenate(look.moments)[:, :size].astype(np.float64) / self._samples
        mean = np.add.reduce(own, axis=0) / look.windows
        inner = products - own.T @ own / look.windows
        spread = np.maximum(products.diagonal() / std**2 - (mean / std) ** 2, LEAST_SQUARE)
        within = np.maximum(inner.diagonal() / std**2, LEAST_SQUARE)
        first, second = self._pairs
        correlation = inner[first, second] / (std[first] * std[second] * np.sqrt(within[first] * within[second]))
        half_log_step = 0.5 * np.log(np.maximum(look.sums[self._products :] / samples / std**2, LEAST_SQUARE))
        half_log_spread = 0.5 * np.log(spread)
        return Figures(
            mean / std,
            half_log_spread,
            half_log_step - half_log_spread,
            half_log_step - 0.5 * np.log(within),
            np.arctanh(np.clip(correlation, -MOST_CORRELATED, MOST_CORRELATED)),
        )

    def sphere(self, look: Look) -> Float64Array:
        """Return the sums that :func:`fsq_edge_runtime.drift.sphere.fit_offset` takes."""
        moments = np.concatenate(look.moments).astype(np.float64) / self._samples
        mean, square = moments[:, self._axes], moments[:, self._channels + self._axes]
        moved = (square - mean * mean).sum(axis=1) / self._unit**2
        return sphere_sums((mean + self._axis_mean / self._samples) / self._unit, moved)
