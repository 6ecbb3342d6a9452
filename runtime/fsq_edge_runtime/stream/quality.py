"""Is this window worth an answer? Flags with the channel at fault; nothing is repaired in silence."""

from __future__ import annotations

import math
from itertools import groupby

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.preprocess import PreprocessConfig, fill_missing
from fsq_edge_runtime.stream.ring import SampleRing
from fsq_edge_runtime.stream.settings import StreamSettings

Float32Array = npt.NDArray[np.float32]

GRAVITY = {"g": 1.0, "m/s2": 9.80665}
# The root mean square of an accelerometer's norm, over gravity. Training data hold gravity when it lies here (gravity
# alone gives 1, vigorous motion up to 3); a unit mistaken for the other moves it by 9.8, far out of these bounds.
TRAINING_GRAVITY = (0.7, 3.0)
WINDOW_GRAVITY = (0.2, 5.0)
FULL_SCALE_SHARE = 0.999  # of the full scale: the last code of an ADC may sit just below it


class QualityCheck:
    """Judges windows on the model's grid.

    Args:
        config: channels, units, rate, longest gap.
        settings: thresholds.

    Raises:
        DataError: ``full_scale`` names a channel that the model does not have.

    Cost: :meth:`sound` is what every window pays; :meth:`examine` runs only where that fails.
    """

    def __init__(self, config: PreprocessConfig, settings: StreamSettings) -> None:
        self._config, self._settings = config, settings
        names = [channel.name for channel in config.channels]
        unknown = sorted(set(settings.full_scale) - set(names))
        if unknown:
            raise DataError(f"stream.json: full_scale of {unknown[0]!r}", hint=f"the channels are {', '.join(names)}")
        self._names = names
        size = (len(names), config.window_samples)
        self._range = _column([settings.range_limits.get(channel.unit, math.inf) for channel in config.channels])
        self._scale = _column([settings.full_scale.get(name, math.inf) * FULL_SCALE_SHARE for name in names])
        # As wide as a window (numpy broadcasts small arrays slowly); NaN and Inf fail the comparison with it.
        self._limit = np.minimum(self._range, self._scale) * np.ones(size, dtype=np.float32)
        np.minimum(self._limit, np.finfo(np.float32).max, self._limit)
        self._size = size[0] * size[1]
        self._magnitude: Float32Array = np.empty(size, dtype=np.float32)
        self._below: npt.NDArray[np.bool_] = np.empty(size, dtype=np.bool_)
        self._changes: npt.NDArray[np.bool_] = np.ones(size, dtype=np.bool_)
        self._later_changes = self._changes[:, 1:]  # column 0 stays True and parts the channels from each other
        self._stuck_run = min(math.ceil(settings.stuck_ms * config.sample_rate_hz / 1000.0), size[1])
        self._stuck_bytes = bytes(max(1, self._stuck_run - 1))
        self._triad, self._gravity = _accelerometer(config) if settings.check_gravity else ([], 0.0)
        low, high = WINDOW_GRAVITY
        self._energy_low = (low * self._gravity) ** 2 * size[1]
        self._energy_high = (high * self._gravity) ** 2 * size[1]
        adjacent = bool(self._triad) and self._triad == list(range(self._triad[0], self._triad[0] + 3))
        self._triad_values = self._magnitude[self._triad[0] : self._triad[0] + 3].ravel() if adjacent else None
        self.abstaining = frozenset(settings.abstain_on)

    def sound(self, window: Float32Array) -> bool:
        """Return whether the samples (C, T) show no fault at all."""
        np.absolute(window, self._magnitude)
        np.less(self._magnitude, self._limit, self._below)
        if np.count_nonzero(self._below) != self._size:
            return False
        if self._triad and not self._energy_low <= self._energy() <= self._energy_high:
            return False
        np.not_equal(window[:, 1:], window[:, :-1], self._later_changes)
        return self._changes.tobytes().find(self._stuck_bytes) < 0

    def examine(self, window: Float32Array, ring: SampleRing, start: int) -> tuple[tuple[str, ...], Float32Array]:
        """Return the flags of a window (C, T) and the window with short runs of missing values filled (maybe a copy)."""
        present = np.isfinite(window)
        filled = window if present.all() else fill_missing(window, self._config.max_gap_samples)
        flags = self._name("missing", ~np.isfinite(filled).all(axis=1))
        imputed = ring.imputed(start) + int((~present).sum(axis=1).max())
        if imputed > self._settings.max_imputed_share * self._config.window_samples:
            flags.append("imputed")
        magnitude = np.abs(np.nan_to_num(filled))
        self._magnitude[...] = magnitude
        flags += self._name("range", (magnitude >= self._range).any(axis=1))
        clipped = (magnitude >= self._scale).mean(axis=1)
        flags += self._name("clipped", clipped > self._settings.max_clipped_share)
        if self._triad and not flags and not self._energy_low <= self._energy() <= self._energy_high:
            flags.append("units")
        flags += self._name("stuck", np.asarray([_longest_run(row) >= self._stuck_run for row in filled]))
        if self._rate_is_off(ring, start):
            flags.append("rate")
        return tuple(flags), filled

    def abstains(self, flags: tuple[str, ...]) -> bool:
        """Return whether any of the flags forbids an answer."""
        return any(flag.partition(":")[0] in self.abstaining for flag in flags)

    def _energy(self) -> float:
        """Return the sum of squares of the accelerometer's values in the magnitudes last written."""
        values = self._magnitude[self._triad].ravel() if self._triad_values is None else self._triad_values
        return float(values.dot(values))

    def _rate_is_off(self, ring: SampleRing, start: int) -> bool:
        if ring.irregular_until <= start:
            return False
        steps = self._config.window_samples - 1
        expected = steps * self._settings.source_rate(self._config) / self._config.sample_rate_hz
        lost = ring.imputed(start) * expected / steps
        return abs((ring.used(start) + lost) / expected - 1.0) > self._settings.max_rate_error

    def _name(self, flag: str, faulty: npt.NDArray[np.bool_]) -> list[str]:
        return [f"{flag}:{name}" for name, bad in zip(self._names, faulty, strict=True) if bad]


def _column(values: list[float]) -> Float32Array:
    return np.asarray(values, dtype=np.float32)[:, None]


def _longest_run(values: Float32Array) -> int:
    return max(len(list(run)) for _, run in groupby(values.tolist()))


def _accelerometer(config: PreprocessConfig) -> tuple[list[int], float]:
    """Return the three accelerometer channels and gravity in their unit, or nothing where that cannot be told."""
    for unit, gravity in GRAVITY.items():
        triad = [index for index, channel in enumerate(config.channels) if channel.unit == unit]
        if len(triad) == 3:
            norm = math.sqrt(sum(config.mean[index] ** 2 + config.std[index] ** 2 for index in triad)) / gravity
            if TRAINING_GRAVITY[0] <= norm <= TRAINING_GRAVITY[1]:
                return triad, gravity
    return [], 0.0
