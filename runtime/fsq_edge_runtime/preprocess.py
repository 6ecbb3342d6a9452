"""The one implementation of preprocessing: raw windows in, frames of the device graph out.

Training, calibration, evaluation and streaming all call :class:`Preprocessor`. The order is fixed: fill short gaps,
append per-window z-copies, standardise with the statistics of the training split, clip, fold. A network that was
trained elsewhere may take the z-scores of each window (:class:`WindowZscore`) in the place of both.
"""

from __future__ import annotations

import contextvars
import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from fsq_edge_runtime.arrays import BoolArray, Float32Array
from fsq_edge_runtime.artefact import Artefact, StrictModel
from fsq_edge_runtime.errors import DataError

# The least spread that counts as motion, by unit: a still sensor's noise must not be blown up to unit variance.
# Source: noise floors of consumer MEMS sensors (about 4 mg, 0.6 degrees/s).
ZSCORE_FLOOR_BY_UNIT = {"g": 0.004, "m/s2": 0.04, "rad/s": 0.01}
ZSCORE_FLOOR_SHARE = 1e-3  # of the training std, where the unit has no floor above
MIN_STD = 1e-6  # a channel that never moved in training; standardising by less would only amplify rounding


MAX_MAGNITUDE = 1e30  # of a mean, and of a std and its inverse: float32 arithmetic with them cannot overflow
MAX_FRAME_VALUES = 1 << 20  # of one frame: 4 MiB, and every buffer of a session is a multiple of it
MAX_FILLED_SAMPLES = 1 << 20  # of one gap


class ChannelSpec(StrictModel):
    """One sensor channel: its name and physical unit."""

    name: str = Field(min_length=1, max_length=64)
    unit: str = Field(max_length=32)


class WindowZscore(StrictModel):
    """(x - mean) / (std + epsilon) of each channel within each window, and nothing else.

    Attributes:
        epsilon: added to the standard deviation, in raw units: what the training added.
        ddof: the standard deviation divides by the samples less this; numpy's is 0, torch's is 1.
    """

    epsilon: float = Field(default=1e-8, ge=1e-12, le=1e6)
    ddof: int = Field(default=0, ge=0, le=1)


class PreprocessConfig(Artefact):
    """``preprocess.json``: what turns raw windows into frames, fitted on the training split and hashed everywhere.

    Attributes:
        channels: the C sensor channels in order.
        sample_rate_hz: rate of the uniform grid.
        window_samples: T, a multiple of ``fold``.
        hop_samples: step between windows of a stream.
        fold: rows that a window is folded into; (C, T) becomes (C, fold, T / fold), row r holding samples
            r * T / fold onwards.
        window_zscore: append per-window z-copies of all channels; the graph then has 2C channels.
        max_gap_ms: the longest run of missing samples that is interpolated.
        mean: training means, C values or 2C with ``window_zscore``, in raw units (z-copies: dimensionless).
        std: training standard deviations, same layout, positive.
        clip_sigma: standardised values are clipped to plus or minus this.
        qa: quality thresholds that the stream applies, by name.
        zscore_only: the frame is the z-scores of the window, not the standardised channels; ``mean`` and ``std`` then
            only say what the sensors usually give. Left out of the file where it is None.
    """

    KIND: ClassVar[str] = "preprocess.json"

    channels: tuple[ChannelSpec, ...] = Field(min_length=1, max_length=256)
    sample_rate_hz: float = Field(ge=1e-3, le=1e6)
    window_samples: int = Field(default=100, ge=2, le=65536)
    hop_samples: int = Field(default=50, ge=1, le=65536)
    fold: int = Field(default=2, ge=1, le=64)
    window_zscore: bool = True
    max_gap_ms: float = Field(default=100.0, ge=0, le=3_600_000)
    mean: tuple[float, ...]
    std: tuple[float, ...]
    clip_sigma: float = Field(default=5.0, ge=1e-6, le=1e6)
    qa: dict[str, float] = Field(default_factory=dict)
    zscore_only: WindowZscore | None = None

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        if self.zscore_only is not None and self.window_zscore:
            raise ValueError("zscore_only has no copies, so window_zscore must be false")
        wanted = self.graph_channels
        if len(self.mean) != wanted or len(self.std) != wanted:
            raise ValueError(f"mean and std need {wanted} values, got {len(self.mean)} and {len(self.std)}")
        if min(self.std) <= 0:
            raise ValueError("std must be positive")
        if (
            max(map(abs, self.mean)) > MAX_MAGNITUDE
            or not 1 / MAX_MAGNITUDE <= min(self.std) <= max(self.std) <= MAX_MAGNITUDE
        ):
            raise ValueError(f"mean and std must lie within {MAX_MAGNITUDE:g}, std above {1 / MAX_MAGNITUDE:g}")
        if self.window_samples % self.fold:
            raise ValueError(f"window_samples {self.window_samples} is not a multiple of fold {self.fold}")
        if wanted * self.window_samples > MAX_FRAME_VALUES:
            raise ValueError(f"{wanted} channels of {self.window_samples} samples, at most {MAX_FRAME_VALUES} values")
        if self.max_gap_samples > MAX_FILLED_SAMPLES:
            raise ValueError(f"max_gap_ms spans {self.max_gap_samples} samples, at most {MAX_FILLED_SAMPLES}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; a file without ``zscore_only`` keeps the digest that it had before that existed."""
        found = super().to_dict()
        if self.zscore_only is None:
            del found["zscore_only"]
        return found

    @property
    def graph_channels(self) -> int:
        """Channels of the device graph, C'."""
        return len(self.channels) * (2 if self.window_zscore else 1)

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Shape (C', H, W) of one frame."""
        return self.graph_channels, self.fold, self.window_samples // self.fold

    @property
    def max_gap_samples(self) -> int:
        """The longest run of missing grid samples that is interpolated."""
        return int(self.max_gap_ms * self.sample_rate_hz / 1000.0 + 1e-9)

    def zscore_floor(self) -> Float32Array:
        """Return the floor (C,) added to each channel's standard deviation within a window, in raw units."""
        if self.zscore_only is not None:
            return np.full(len(self.channels), self.zscore_only.epsilon, dtype=np.float32)
        floors = [
            ZSCORE_FLOOR_BY_UNIT.get(channel.unit, ZSCORE_FLOOR_SHARE * std)
            for channel, std in zip(self.channels, self.std, strict=False)
        ]
        return np.asarray(floors, dtype=np.float32)


class FrameConstants(NamedTuple):
    """The constants of one :class:`PreprocessConfig`, as the arithmetic uses them; float32.

    Attributes:
        mean: (C',) of the training split.
        scale: (C',) one over its standard deviations.
        floor: (C,) added to the norm of a centered channel: the least spread times ``root``.
        root: square root of the samples of a window.
    """

    mean: Float32Array
    scale: Float32Array
    floor: Float32Array
    root: float


class Preprocessor:
    """Applies one :class:`PreprocessConfig`."""

    def __init__(self, config: PreprocessConfig) -> None:
        self.config = config
        samples, alone = config.window_samples, config.zscore_only
        root = math.sqrt(samples - (alone.ddof if alone else 0))
        self._floor = (config.zscore_floor() * np.float32(root))[:, None, None]
        self._root_count = np.full_like(self._floor, root)
        self._average = np.full((samples, 1), 1.0 / samples, dtype=np.float32)
        # As wide as a frame: on arrays of this size numpy spends more on broadcasting than on arithmetic.
        wide = np.ones(samples, dtype=np.float32)
        count = config.graph_channels
        mean, std = ((0.0,) * count, (1.0,) * count) if alone else (config.mean, config.std)
        self._mean = np.asarray(mean, dtype=np.float32)[:, None] * wide
        self._scale = (1.0 / np.asarray(std, dtype=np.float64)).astype(np.float32)[:, None] * wide
        self._high = np.full_like(self._mean, config.clip_sigma)
        self._low = -self._high
        self._sigma = np.float32(config.clip_sigma)

    def frames(self, windows: npt.ArrayLike, out: Float32Array | None = None) -> Float32Array:
        """Return the frames of the device graph for finite raw windows.

        Args:
            windows: (N, C, T) float32, raw units, finite (see :meth:`fill_gaps`).
            out: (N, C', H, W) float32 C-contiguous to write into, or None for a new array.

        Returns:
            (N, C', H, W) float32 NCHW, standardised, within +-clip_sigma. Each window's result depends on that
            window alone, to the bit.

        Raises:
            DataError: wrong shape.
        """
        x = np.ascontiguousarray(windows, dtype=np.float32)
        self._check_shape(x)
        frames = np.empty((len(x), *self.config.frame_shape), np.float32) if out is None else out
        FrameWriter(self, frames).write(x)
        return frames

    @property
    def constants(self) -> FrameConstants:
        """The constants, for whoever writes the same arithmetic in another form."""
        flat = self._mean[:, 0].copy(), self._scale[:, 0].copy(), self._floor[:, 0, 0].copy()
        return FrameConstants(*flat, float(self._root_count.flat[0]))

    def means_into(self, rows: Float32Array, out: Float32Array) -> Callable[[], object]:
        """Return what writes the means of finite channels ``rows`` (..., C, 1, T) float32 to ``out`` (..., C, 1, 1).

        A mean depends on its channel alone, to the bit.
        """
        return functools.partial(np.matmul, rows, self._average, out)

    def fill_gaps(self, windows: npt.ArrayLike) -> tuple[Float32Array, BoolArray]:
        """Return windows with short gaps interpolated, and which windows are usable.

        Args:
            windows: (N, C, T) raw units; NaN and Inf are missing.

        Returns:
            ``(filled, valid)``: filled (N, C, T) float32, a copy if anything was missing; valid (N,) bool, False
            where a gap was longer than ``max_gap_ms`` (such windows keep NaN).
        """
        x = np.ascontiguousarray(windows, dtype=np.float32)
        self._check_shape(x)
        if np.isfinite(x).all():
            return x, np.ones(len(x), dtype=np.bool_)
        rows = fill_missing(x.reshape(-1, x.shape[-1]), self.config.max_gap_samples)
        filled = rows.reshape(x.shape)
        valid: BoolArray = np.asarray(np.isfinite(filled).all(axis=(1, 2)))
        return filled, valid

    def usable_frames(self, windows: npt.ArrayLike) -> tuple[Float32Array, BoolArray]:
        """Return the frames of the usable windows: short gaps are filled, windows with longer ones left out.

        Args:
            windows: (N, C, T) raw units; NaN and Inf are missing.

        Returns:
            ``(frames, valid)``: frames (K, C', H, W) float32 of the K usable windows, in order; valid (N,) bool.

        Raises:
            DataError: wrong shape.
        """
        filled, valid = self.fill_gaps(windows)
        return self.frames(filled[valid]), valid

    def _check_shape(self, x: Float32Array) -> None:
        wanted = (len(self.config.channels), self.config.window_samples)
        if x.ndim != 3 or x.shape[1:] != wanted:
            raise DataError(
                f"windows have shape {tuple(x.shape)}, expected (N, {wanted[0]}, {wanted[1]})",
                hint="the channels are " + ", ".join(channel.name for channel in self.config.channels),
            )


class FrameWriter:
    """Writes frames into one array with every temporary allocated once; the arithmetic of :class:`Preprocessor`.

    Args:
        preprocessor: what to apply.
        frames: (N, C', H, W) or (C', H, W) float32, C-contiguous: where every :meth:`write` puts its result.
        scratch: (N, C, T) float32, C-contiguous, where numpy makes the z-copies of many windows faster; None does
            without.

    Attributes:
        raw: view (N, C, T) or (C, T) of the part of ``frames`` that takes the raw windows.

    Cost: on one window the calls into numpy, not the arithmetic, and each is dearest where its code has just been
    evicted by the network; hence few calls, of few kinds, over whole frames.
    """

    def __init__(self, preprocessor: Preprocessor, frames: Float32Array, scratch: Float32Array | None = None) -> None:
        config = preprocessor.config
        channels, samples = len(config.channels), config.window_samples
        self._with = preprocessor
        self._flat = frames.reshape(*frames.shape[:-3], config.graph_channels, samples)
        self.raw: Float32Array = self._flat[..., :channels, :]
        self._alone = config.zscore_only is not None
        self._z = self.raw if self._alone else self._flat[..., channels:, :] if config.window_zscore else None
        self._mean: Float32Array = np.empty((*self.raw.shape[:-1], 1, 1), dtype=np.float32)
        self._spread: Float32Array = np.empty_like(self._mean)
        # Views made once. Sums are products of a row and a column: one kind of call serves the mean and the spread.
        self._means, self._factors = self._mean[..., 0], self._spread[..., 0]
        self._write_means = preprocessor.means_into(self.raw[..., None, :], self._mean)
        if self._z is not None:
            self._work = self._z if scratch is None or self._alone else scratch
            self._rows, self._columns = self._work[..., None, :], self._work[..., None]

    def write(self, windows: Float32Array) -> None:
        """Overwrite the frames with those of finite raw windows, (N, C, T) or (C, T) float32 as the frames are."""
        np.copyto(self.raw, windows)
        self.finish()

    def finish(self) -> None:
        """Make the frames of the finite raw windows that :attr:`raw` holds, in place."""
        flat, settings = self._flat, self._with
        if self._z is not None:
            self._write_zscore(self._z)
        np.subtract(flat, settings._mean, flat)
        np.multiply(flat, settings._scale, flat)
        if flat.ndim == 2:
            np.maximum(flat, settings._low, flat)
            np.minimum(flat, settings._high, flat)
        else:  # one pass instead of two; on one window the call alone would cost more than both
            np.clip(flat, -settings._sigma, settings._sigma, out=flat)

    def _write_zscore(self, z: Float32Array) -> None:
        # (x - mean) / (std + floor), with std = sqrt(sum of squares) / sqrt(T): both sides times sqrt(T).
        spread, settings, work = self._spread, self._with, self._work
        self._write_means()
        np.subtract(self.raw, self._means, work)
        if self._alone:  # what rounding left of the mean goes too: beside a small epsilon it would count
            self._write_means()
            np.subtract(work, self._means, work)
        np.matmul(self._rows, self._columns, spread)
        np.sqrt(spread, spread)
        np.add(spread, settings._floor, spread)
        np.divide(settings._root_count, spread, spread)
        np.multiply(work, self._factors, z)


def quiet_product(rows: Float32Array, columns: Float32Array, out: Float32Array) -> Callable[[], object]:
    """Return what writes the scalar products of rows and columns (N, T) to ``out`` (N,), without a warning.

    Each is to the bit what ``matmul`` makes of its row and column. For one thread at a time.
    """
    if np.__version__.startswith("1."):  # without vecdot, and settings for errors belong to the thread
        product = functools.partial(np.matmul, rows[:, None, :], columns[:, :, None], out[:, None, None])

        def quietly() -> None:
            with np.errstate(over="ignore", invalid="ignore"):
                product()

        return quietly
    context = contextvars.copy_context()  # what is set in there stays in there, and entering it costs nothing
    context.run(np.seterr, over="ignore", invalid="ignore")
    return functools.partial(context.run, np.vecdot, rows, columns, out)


def fit_preprocess(windows: npt.ArrayLike, draft: PreprocessConfig) -> PreprocessConfig:
    """Return ``draft`` with mean and std fitted on training windows.

    Args:
        windows: (N, C, T) raw units of the training split; windows with missing values beyond the draft's
            ``max_gap_ms`` are left out.
        draft: everything but the statistics (its mean and std are placeholders).

    Raises:
        DataError: no usable window, or the wrong shape.
    """
    filled, valid = Preprocessor(draft).fill_gaps(windows)
    if not valid.any():
        raise DataError("no window is usable: every one has missing values beyond max_gap_ms")
    x = filled[valid]
    mean, std = _moments(x)
    if draft.window_zscore:
        # The floor may depend on the raw std, so the raw statistics go in first.
        raw = draft.model_copy(update={"mean": mean + mean, "std": std + std})
        z_mean, z_std = _moments(_zscore(x, Preprocessor(raw)))
        mean, std = mean + z_mean, std + z_std
    return PreprocessConfig.model_validate(draft.model_copy(update={"mean": mean, "std": std}).model_dump())


def _zscore(x: Float32Array, preprocessor: Preprocessor) -> Float32Array:
    frames = np.empty((len(x), *preprocessor.config.frame_shape), np.float32)
    writer = FrameWriter(preprocessor, frames)
    np.copyto(writer.raw, x)
    z = frames.reshape(len(x), -1, x.shape[-1])[:, x.shape[1] :]
    writer._write_zscore(z)
    return z


def _moments(x: Float32Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean = x.mean(axis=(0, 2), dtype=np.float64)
    std = np.maximum(x.std(axis=(0, 2), dtype=np.float64), MIN_STD)
    # float32 values, so that the JSON text, the arrays and the hash all say the same number.
    return tuple(map(float, mean.astype(np.float32))), tuple(map(float, std.astype(np.float32)))


def fill_missing(rows: Float32Array, max_gap_samples: int) -> Float32Array:
    """Interpolate runs of missing values no longer than ``max_gap_samples``.

    Args:
        rows: (R, T) float32; NaN and Inf are missing.
        max_gap_samples: the longest run that is filled, linearly between its neighbours; at an end of the row the
            nearest value is held.

    Returns:
        (R, T) float32 copy; longer runs are NaN.
    """
    length = rows.shape[1]
    present = np.isfinite(rows)
    at = np.arange(length)
    before = np.maximum.accumulate(np.where(present, at, -1), axis=1)
    after = np.minimum.accumulate(np.where(present, at, length)[:, ::-1], axis=1)[:, ::-1]
    short = ~present & (after - before - 1 <= max_gap_samples) & ~((before < 0) & (after >= length))
    filled = np.where(present, rows, np.float32(np.nan)).astype(np.float32)
    row, column = np.nonzero(short)
    left, right = before[row, column], after[row, column]
    left, right = np.where(left < 0, right, left), np.where(right >= length, left, right)
    share = np.where(right > left, (column - left) / np.maximum(right - left, 1), 0.0).astype(np.float32)
    start = rows[row, left]
    filled[row, column] = start + (rows[row, right] - start) * share
    return filled
