"""From training windows to a calibration set: choose, preprocess, turn channels last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fsq_edge_calibration.calibration_set import COLUMNS, CalibrationSet
from fsq_edge_calibration.selection import METHODS, Method, balanced_order, extremes_order, k_center_order, random_order
from fsq_edge_runtime.arrays import AnyArray, BoolArray, Float32Array, Int64Array
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.preprocess import PreprocessConfig, Preprocessor

MAX_SIZE: Final = 4096
CHUNK_WINDOWS: Final = 2048  # rows of a memory-mapped array that are in memory at once


def build_calibration_set(
    windows: Float32Array,
    labels: npt.ArrayLike,
    subjects: npt.ArrayLike,
    preprocess: PreprocessConfig,
    *,
    size: int = 256,
    method: Method = "class-balanced",
    seed: int = 0,
    recording_ids: npt.ArrayLike | None = None,
    starts: npt.ArrayLike | None = None,
    codes: npt.ArrayLike | None = None,
    classes: Sequence[str] = (),
) -> CalibrationSet:
    """Choose windows of the training recordings and preprocess them as the device will.

    Windows with missing values beyond ``max_gap_ms`` are never chosen.

    Args:
        windows: (N, C, T) float32 raw units; may be memory-mapped.
        labels: (N,) integers.
        subjects: (N,) text.
        preprocess: the configuration fitted on the training split.
        size: windows wanted, 1 to 4,096; fewer are returned where fewer are usable.
        method: one of ``METHODS``; ``coverage`` is k-center in feature space, ``coverage-codes`` takes turns over
            FSQ codes, rare ones included, and needs ``codes``.
        seed: of every random choice; equal arguments give equal sets.
        recording_ids: (N,) text, kept as the source of each window.
        starts: (N,) first sample of each window in its recording.
        codes: (N,) FSQ code of each window.
        classes: names of the classes in label order, for the audit's messages.

    Raises:
        UsageError: size or method out of range, or codes missing.
        DataError: shapes that do not agree, or no usable window.
    """
    if method not in METHODS:
        raise UsageError(f"unknown selection method {method!r}", hint="one of " + ", ".join(METHODS))
    if not 1 <= size <= MAX_SIZE:
        raise UsageError(f"a calibration set has 1 to {MAX_SIZE} windows, not {size}")
    if method == "coverage-codes" and codes is None:
        raise UsageError("method coverage-codes needs the FSQ code of every window", hint="use coverage")
    columns = _columns(
        len(windows), labels=labels, subjects=subjects, recording_ids=recording_ids, starts=starts, codes=codes
    )
    preprocessor = Preprocessor(preprocess)
    usable = usable_windows(windows, preprocessor)
    candidates = np.flatnonzero(usable)
    if not len(candidates):
        raise DataError("no window is usable for calibration: every one has missing values beyond max_gap_ms")
    rng = np.random.default_rng(seed)
    if method in ("coverage", "extremes"):
        features = window_features(windows, preprocessor)[candidates]
        order = (
            k_center_order(features, size, rng)
            if method == "coverage"
            else extremes_order(features[:, features.shape[1] // 2 :], size, rng)
        )
    else:
        order = _order(method, {name: column[candidates] for name, column in columns.items()}, size, rng)
    chosen = candidates[order]
    filled, _ = preprocessor.fill_gaps(np.asarray(windows[np.sort(chosen)], dtype=np.float32))
    frames = preprocessor.frames(filled)[np.argsort(np.argsort(chosen))]
    return CalibrationSet(
        frames_nhwc=np.ascontiguousarray(frames.transpose(0, 2, 3, 1)),
        **{name: column[chosen] for name, column in columns.items()},
        preprocess_sha256=preprocess.digest(),
        channel_names=channel_names(preprocess),
        method=method,
        seed=seed,
        n_candidates=len(candidates),
        classes=tuple(classes),
    )


def channel_names(preprocess: PreprocessConfig) -> tuple[str, ...]:
    """Return the names of the C' graph channels; a per-window z-copy is the channel's name with `` (z)``."""
    names = tuple(channel.name for channel in preprocess.channels)
    return names + tuple(f"{name} (z)" for name in names) if preprocess.window_zscore else names


def usable_windows(windows: Float32Array, preprocessor: Preprocessor) -> BoolArray:
    """Return (N,) bool: False where missing values run beyond ``max_gap_ms``; windows are read in chunks."""
    usable = np.ones(len(windows), dtype=np.bool_)
    for first in range(0, len(windows), CHUNK_WINDOWS):
        part = slice(first, first + CHUNK_WINDOWS)
        usable[part] = preprocessor.fill_gaps(windows[part])[1]
    return usable


def window_features(windows: Float32Array, preprocessor: Preprocessor) -> Float32Array:
    """Return what a window looks like to the selection.

    Args:
        windows: (N, C, T) float32 raw units; may be memory-mapped, read in chunks.
        preprocessor: of the training split.

    Returns:
        (N, 4 C') float32: mean, spread, smallest and largest value of each graph channel, in training sigmas; NaN
        where a window is not usable.
    """
    graph_channels = preprocessor.config.graph_channels
    features = np.empty((len(windows), 4 * graph_channels), dtype=np.float32)
    for first in range(0, len(windows), CHUNK_WINDOWS):
        part = slice(first, first + CHUNK_WINDOWS)
        frames = preprocessor.frames(preprocessor.fill_gaps(windows[part])[0])
        flat = frames.reshape(len(frames), graph_channels, preprocessor.config.window_samples)
        features[part] = np.concatenate(
            [flat.mean(axis=-1), flat.std(axis=-1), flat.min(axis=-1), flat.max(axis=-1)], axis=1
        )
    return features


def _columns(count: int, **given: npt.ArrayLike | None) -> dict[str, Any]:
    columns: dict[str, Any] = {}  # Any: the element types differ
    for name, kind in COLUMNS.items():
        values = given[name]
        unknown = "" if kind is np.str_ else -1
        columns[name] = np.full(count, unknown) if values is None else np.asarray(values).astype(kind)
        if columns[name].shape != (count,):
            raise DataError(f"{name} has shape {columns[name].shape}, expected ({count},), one for every window")
    return columns


def _order(method: Method, columns: dict[str, AnyArray], size: int, rng: np.random.Generator) -> Int64Array:
    keys = {
        "class-balanced": ("labels", "subjects"),
        "subject-balanced": ("subjects", "labels"),
        "coverage-codes": ("codes", "subjects"),
    }
    if method not in keys:
        return random_order(len(columns["labels"]), size, rng)
    outer, inner = keys[method]
    return balanced_order(columns[outer], columns[inner], size, rng)
