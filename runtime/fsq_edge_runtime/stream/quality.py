"""Is this window worth an answer? Flags with the channel at fault; nothing is repaired in silence."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.arrays import BoolArray, Float32Array, Int64Array
from fsq_edge_runtime.backends.base import RunsWindow
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.preprocess import PreprocessConfig, fill_missing, quiet_product
from fsq_edge_runtime.stream.ring import SampleRing
from fsq_edge_runtime.stream.settings import ALL_STILL, LIVE_STEPS, StreamSettings

GRAVITY = {"g": 1.0, "m/s2": 9.80665}
# The root mean square of an accelerometer's norm, over gravity. Training data hold gravity when it lies here (gravity
# alone gives 1, vigorous motion up to 3); a unit mistaken for the other moves it by 9.8, far out of these bounds.
TRAINING_GRAVITY = (0.7, 3.0)
WINDOW_GRAVITY = (0.2, 5.0)
# Degrees taken for radians make a rotation 57.3 times as fast. The limit lies half way (a factor of 7.6) above the root
# mean square of the training data, but where animals and people still turn it says nothing, and beyond what a part of
# 2000 deg/s measures it needs no training data. Radians taken for degrees look like a body that shakes without turning.
# Seen: windows of watch reach 2.7 times, of the synthetic quadruped 4.9 times the training value.
RADIANS = {"rad/s": 1.0, "deg/s": math.radians(1), "°/s": math.radians(1), "dps": math.radians(1)}
FASTER_THAN_TRAINING = math.sqrt(math.degrees(1))
SURELY_TURNING = (10.0, 34.9)  # rad/s, least and largest limit
TURNING_SHARE = 0.1  # of the samples beyond the limit: fewer may be errors of transfer
SLOWER_THAN_TRAINING = 1 / 40
SHAKING = 0.1  # of gravity, standard deviation of the acceleration's norm
ROTATION_FLAG = "units:gyroscope"
FULL_SCALE_SHARE = 0.999  # of the full scale: the last code of an ADC may sit just below it
MOST = 1e15  # beyond this a float32 square may overflow; no signal comes near


class QualityCheck:
    """Judges windows on the model's grid.

    Args:
        config: channels, units, rate, longest gap.
        settings: thresholds.
        store: (C, T) float32, C-contiguous, where samples are put to be judged; None makes one.
        graph: takes the place of a store: it measures the samples that are put into its windows.

    Attributes:
        window: (C, T), the samples of the window that was looked at last; finite if they were sound.
        sound: takes the samples (C, T) of a window into :attr:`window`; returns whether they show no fault at all.

    Raises:
        DataError: ``full_scale`` or ``sensor_step`` names a channel that the model does not have.

    Cost: :meth:`sound` is what every window pays; :meth:`examine` runs only where that fails. All buffers are
    contiguous and as wide as a window, since numpy is slow at broadcasting and slicing arrays of this size.
    """

    def __init__(
        self,
        config: PreprocessConfig,
        settings: StreamSettings,
        store: Float32Array | None = None,
        *,
        graph: RunsWindow | None = None,
    ) -> None:
        self._config, self._settings = config, settings
        self._names = [channel.name for channel in config.channels]
        for key, named in (("full_scale", settings.full_scale), ("sensor_step", settings.sensor_step)):
            unknown = sorted(set(named) - set(self._names))
            if unknown:
                known = ", ".join(self._names)
                raise DataError(f"stream.json: {key} of {unknown[0]!r}", hint=f"the channels are {known}")
        self._live = [settings.sensor_step.get(name, 0.0) * LIVE_STEPS for name in self._names]
        self._others = _other_axes([channel.unit for channel in config.channels])
        self._range = _column([settings.range_limits.get(channel.unit, math.inf) for channel in config.channels])
        self._scale = _column([settings.full_scale.get(name, math.inf) * FULL_SCALE_SHARE for name in self._names])
        limit = np.minimum(np.minimum(self._range, self._scale), np.float32(MOST))
        size = (len(self._names), config.window_samples)
        self._store: Float32Array = np.zeros(size, dtype=np.float32) if store is None else store
        if graph is not None:
            self._store, self._squares, self._measure = graph.windows, graph.squares, graph.measure
        self.window: Float32Array = self._store.reshape(-1, *size)[0]
        if graph is None:
            self._squares = np.zeros(len(self._names), dtype=np.float32)
            self._measure = quiet_product(self.window, self.window, self._squares)
        self._flat = self.window.reshape(-1)
        self._limit: Float32Array = np.ones(size, dtype=np.float32) * limit
        self._inverse: Float32Array = 1.0 / self._limit
        self._relative: Float32Array = np.zeros(size, dtype=np.float32)
        self._least_energy = float(limit.min()) ** 2
        self._stuck_run = min(math.ceil(settings.stuck_ms * config.sample_rate_hz / 1000.0), size[1])
        # Every run of that length holds two adjacent samples of these, so where they differ there is none.
        step = self._step = max(1, self._stuck_run // 2)
        later, earlier = self._flat[step::step], self._flat[:-step:step]
        self._repeats = bytearray(len(later))
        repeated = np.frombuffer(self._repeats, dtype=np.bool_)
        self._find_repeats = functools.partial(np.equal, later, earlier, repeated)
        first, self._gravity = _accelerometer(config) if settings.check_gravity else (0, 0.0)
        self._triad = slice(first, first + 3)
        self._acceleration = first, first + 1, first + 2
        low, high = WINDOW_GRAVITY
        self._energy_low = (low * self._gravity) ** 2 * size[1]
        self._energy_high = (high * self._gravity) ** 2 * size[1]
        first, slow, fast = _gyroscope(config) if settings.check_gravity else (0, 0.0, math.inf)
        self.checks_rotation = fast < math.inf
        self._gyro_triad = slice(first, first + 3)
        self._rotation = first, first + 1, first + 2
        self._turn_low, self._turn_high = slow**2 * size[1], fast**2 * size[1]
        self._fastest = np.float32(fast)
        self._two_triads = self._gravity > 0.0 and self.checks_rotation and len(self._names) == 6
        self._abstaining = frozenset(settings.abstain_on)
        self.sound = self._open_sound()

    def _open_sound(self) -> Callable[[Float32Array], bool]:
        """Return :attr:`sound`, with all that it needs under names of its own: every window pays for it."""
        store, measure, measured = self._store, self._measure, self._squares
        find_repeats, repeats, has_run = self._find_repeats, self._repeats, self._has_run
        (x, y, z), (u, v, w) = self._acceleration, self._rotation
        low, high, slow, fast = self._energy_low, self._energy_high, self._turn_low, self._turn_high
        has_gravity, turns, two_triads = bool(self._gravity), self.checks_rotation, self._two_triads
        least_energy = self._least_energy

        def sound(window: Float32Array) -> bool:
            store[...] = window  # half the cost of copyto
            measure()
            squares = measured.tolist()  # plain numbers add up and compare in half the time
            energy = turning = 0.0
            if has_gravity:
                energy = squares[x] + squares[y] + squares[z]
                if not low <= energy <= high:
                    return False
            if turns:
                turning = squares[u] + squares[v] + squares[w]
                if not slow <= turning <= fast and self._rotation_is_off():
                    return False
            # A sum of squares below the least limit's proves every value below its own; NaN and Inf fail it.
            if not (energy + turning if two_triads else sum(squares)) < least_energy and not self._within_limits():
                return False
            # Across the border of two channels as well: what is found there is not a run.
            find_repeats()
            return 1 not in repeats or not has_run()

        return sound

    def sound_rows(self, windows: Float32Array) -> BoolArray:
        """Return for windows (N, C, T) which are surely :meth:`sound`; the others may be."""
        flat = windows.reshape(len(windows), -1)
        same = flat[:, self._step :: self._step] == flat[:, : -self._step : self._step]
        with np.errstate(over="ignore", invalid="ignore"):
            # As in sound(): what a sum of squares proves costs no look at the values.
            squares = np.matmul(windows[:, :, None, :], windows[..., None])[..., 0, 0].T.astype(np.float64)
            sound = np.asarray(squares.sum(axis=0) < 0.999 * self._least_energy)  # NaN and Inf are not
            if not sound.all():
                rest = np.flatnonzero(~sound)
                sound[rest] = (np.absolute(windows[rest]) < self._limit).all(axis=(1, 2))
            if self._gravity:
                x, y, z = self._acceleration
                energy = squares[x] + squares[y] + squares[z]
                sound &= (energy >= self._energy_low) & (energy <= self._energy_high)
            if self.checks_rotation:
                x, y, z = self._rotation
                energy = squares[x] + squares[y] + squares[z]
                sound &= (energy >= self._turn_low) & (energy <= self._turn_high)
        if same.any():
            sound &= ~same.any(axis=1)
        return np.asarray(sound, dtype=np.bool_)

    def examine(self, window: Float32Array, ring: SampleRing | None = None, start: int = 0) -> tuple[str, ...]:
        """Take a window (C, T) into :attr:`window`, short runs of missing values filled; return all its flags.

        Args:
            window: its samples.
            ring: where it begins at ``start``; None for one whose samples were all taken as they are.
            start: grid index.
        """
        present = np.isfinite(window)
        filled = window if present.all() else fill_missing(window, self._config.max_gap_samples)
        np.copyto(self._store, filled)
        self._measure()
        flags = self._name("missing", ~np.isfinite(filled).all(axis=1))
        imputed = int((np.isfinite(filled) & ~present).sum(axis=1).max())
        imputed += 0 if ring is None else ring.imputed(start)
        if imputed > self._settings.max_imputed_share * self._config.window_samples:
            flags.append("imputed")
        magnitude = np.abs(np.nan_to_num(filled))
        flags += self._name("range", (magnitude >= np.minimum(self._range, MOST)).any(axis=1))
        clipped = (magnitude >= self._scale).mean(axis=1)
        flags += self._name("clipped", clipped > self._settings.max_clipped_share)
        energy = float(self._squares[self._triad].sum(dtype=np.float64))
        if self._gravity and not flags and not self._energy_low <= energy <= self._energy_high:
            flags.append("units")
        measured = all(flag.startswith("range") for flag in flags)
        if self.checks_rotation and measured and self._rotation_is_off():
            flags.append(ROTATION_FLAG)
        flags += self._name("stuck", [self._is_stuck(filled, index) for index in range(len(filled))])
        if ring is not None and self._rate_is_off(ring, start):
            flags.append("rate")
        return tuple(flags)

    def abstains(self, flags: tuple[str, ...]) -> bool:
        """Return whether any of the flags forbids an answer."""
        return any(flag.partition(":")[0] in self._abstaining for flag in flags)

    def _rotation_is_off(self) -> bool:
        """Whether :attr:`window` turns faster than it can, or shakes without turning."""
        energy = float(self._squares[self._gyro_triad].sum(dtype=np.float64))
        if energy > self._turn_high:
            three = self.window[self._gyro_triad]
            share = (np.einsum("ct,ct->t", three, three) > self._fastest**2).mean()
            return bool(share >= TURNING_SHARE)
        if energy >= self._turn_low or not self._gravity:
            return False
        three = self.window[self._triad]
        with np.errstate(over="ignore", invalid="ignore"):  # a value far out of range has its own flag; NaN is no shake
            norms = np.sqrt(np.einsum("ct,ct->t", three, three))
            return bool(norms.std() > SHAKING * self._gravity)

    def _within_limits(self) -> bool:
        """Whether every value of :attr:`window` lies below its limit; NaN does not."""
        np.multiply(self.window, self._inverse, self._relative)
        return bool(np.absolute(self._relative, self._relative).max() < 1.0)

    def _has_run(self) -> bool:
        changes = np.not_equal(self._flat[1:], self._flat[:-1])
        return bool(changes.tobytes().find(bytes(max(1, self._stuck_run - 1))) >= 0)

    def _is_stuck(self, window: Float32Array, index: int) -> bool:
        """Whether a channel repeats a value longer than a still body explains."""
        starts, lengths = _long_runs(window[index], self._stuck_run)
        others = self._others[index]
        if not self._live[index] or not others:
            return starts.size > 0
        all_still = min(ALL_STILL * self._stuck_run, window.shape[1])
        for start, length in zip(starts, lengths, strict=True):
            extent = np.ptp(window[others, start : start + length], axis=1)
            if extent.max() > self._live[index] or (length >= all_still and not extent.any()):
                return True
        return False

    def _rate_is_off(self, ring: SampleRing, start: int) -> bool:
        if ring.irregular_until <= start:
            return False
        steps = self._config.window_samples - 1
        expected = steps * self._settings.source_rate(self._config) / self._config.sample_rate_hz
        lost = ring.imputed(start) * expected / steps
        return abs((ring.used(start) + lost) / expected - 1.0) > self._settings.max_rate_error

    def _name(self, flag: str, faulty: npt.ArrayLike) -> list[str]:
        return [f"{flag}:{name}" for name, bad in zip(self._names, np.asarray(faulty), strict=True) if bad]


def _other_axes(units: list[str]) -> list[list[int]]:
    """Return for each channel the others of its sensor: of three in a row of one unit, else of all in that row."""
    others: list[list[int]] = []
    for _, row in itertools.groupby(range(len(units)), key=units.__getitem__):
        axes = list(row)
        size = 3 if len(axes) % 3 == 0 else len(axes)
        for at in range(0, len(axes), size):
            sensor = axes[at : at + size]
            others += [[other for other in sensor if other != axis] for axis in sensor]
    return others


def _column(values: list[float]) -> Float32Array:
    return np.asarray(values, dtype=np.float32)[:, None]


def _long_runs(values: Float32Array, least: int) -> tuple[Int64Array, Int64Array]:
    """Starts and lengths of the runs of one value that have at least so many samples."""
    starts = np.append(np.flatnonzero(np.append(True, values[1:] != values[:-1])), len(values))
    lengths = np.diff(starts)
    long = lengths >= least
    return starts[:-1][long], lengths[long]


def _accelerometer(config: PreprocessConfig) -> tuple[int, float]:
    """Return the first of three adjacent accelerometer channels and gravity in their unit; 0.0 if there are none."""
    for unit, gravity in GRAVITY.items():
        triad = [index for index, channel in enumerate(config.channels) if channel.unit == unit]
        if len(triad) == 3 and triad[2] - triad[0] == 2:
            norm = math.sqrt(sum(config.mean[index] ** 2 + config.std[index] ** 2 for index in triad)) / gravity
            if TRAINING_GRAVITY[0] <= norm <= TRAINING_GRAVITY[1]:
                return triad[0], gravity
    return 0, 0.0


def _gyroscope(config: PreprocessConfig) -> tuple[int, float, float]:
    """Return the first of three adjacent gyroscope channels and the slowest and fastest rotation of a moving window.

    Both are root mean squares of the norm in the channels' unit; the fastest is infinite where there are no such
    channels.
    """
    for unit, radians in RADIANS.items():
        triad = [index for index, channel in enumerate(config.channels) if channel.unit == unit]
        if len(triad) == 3 and triad[2] - triad[0] == 2:
            norm = math.sqrt(sum(config.mean[index] ** 2 + config.std[index] ** 2 for index in triad)) * radians
            low, high = SURELY_TURNING
            fastest = min(max(FASTER_THAN_TRAINING * norm, low), high)
            return triad[0], SLOWER_THAN_TRAINING * norm / radians, fastest / radians
    return 0, 0.0, math.inf
