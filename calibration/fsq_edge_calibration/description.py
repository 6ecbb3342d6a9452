"""Frames described channel by channel, in memory that does not grow with their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from fsq_edge_calibration.build import CHUNK_WINDOWS, channel_names
from fsq_edge_calibration.distribution import (
    BINS,
    MAX_CLASSES,
    ChannelDistribution,
    ClassValues,
    Distribution,
    bin_groups,
    group_counts,
    named_labels,
)
from fsq_edge_runtime.arrays import AnyArray, Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.preprocess import PreprocessConfig, Preprocessor

STILL_STD: Final = 1e-4  # sigmas; a channel that moves less within a window does not move
NOISE_AUTOCORRELATION: Final = 0.2  # a window below this, over all channels, is noise: real motion has 0.85 to 0.99


class FrameDescriber:
    """Adds frames up, chunk by chunk, in memory that does not grow.

    Args:
        names: of the C' channels.
        clip_sigma: edge of the histograms.
        classes: how many classes of windows are described apart; 0 for none.
    """

    def __init__(self, names: Sequence[str], clip_sigma: float, classes: int = 0) -> None:
        count = len(names)
        self._names, self._clip = tuple(names), float(clip_sigma)
        self._low, self._high = np.full(count, np.inf), np.full(count, -np.inf)
        self._sum, self._square = np.zeros(count), np.zeros(count)
        self._shifted, self._variance = np.zeros(count), np.zeros(count)
        self._still = np.zeros(count)
        self._counts: Int64Array = np.zeros((count, BINS), dtype=np.int64)
        self._windows = self._noisy = self._samples = 0
        self._class_windows, self._class_noisy = np.zeros((2, classes), dtype=np.int64)
        self._class_counts = np.zeros((classes, count, BINS), dtype=np.int64)
        self._class_moments = np.zeros((classes, 2, count))

    def add(self, frames: Float32Array, classes: Int64Array | None = None) -> None:
        """Add frames (n, C', H, W) float32, finite, and the class (n,) of each where classes are described apart."""
        flat = frames.reshape(len(frames), len(self._names), -1)
        self._windows += len(flat)
        self._samples += flat.shape[0] * flat.shape[2]
        self._low = np.minimum(self._low, flat.min(axis=(0, 2), initial=np.inf))
        self._high = np.maximum(self._high, flat.max(axis=(0, 2), initial=-np.inf))
        self._sum += flat.sum(axis=(0, 2), dtype=np.float64)
        centered = flat - flat.mean(axis=-1, keepdims=True)
        variance = np.einsum("nct,nct->nc", centered, centered)
        shifted = np.einsum("nct,nct->nc", centered[..., :-1], centered[..., 1:])
        self._square += np.einsum("nct,nct->c", flat, flat, dtype=np.float64)
        self._variance += variance.sum(axis=0, dtype=np.float64)
        self._shifted += shifted.sum(axis=0, dtype=np.float64)
        self._still += (variance < STILL_STD**2 * flat.shape[2]).sum(axis=0)
        noisy = window_autocorrelation(flat) < NOISE_AUTOCORRELATION
        self._noisy += int(noisy.sum())
        place = ((flat + np.float32(self._clip)) * np.float32(BINS / (2 * self._clip))).astype(np.int32)
        np.clip(place, 0, BINS - 1, out=place)
        place += (np.arange(len(self._names), dtype=np.int32) * BINS)[:, None]
        self._counts += np.bincount(place.ravel(), minlength=self._counts.size).reshape(self._counts.shape)
        for name in () if classes is None else np.unique(classes):
            rows = classes == name
            self._class_windows[name] += int(rows.sum())
            self._class_noisy[name] += int(noisy[rows].sum())
            counts = np.bincount(place[rows].ravel(), minlength=self._counts.size)
            self._class_counts[name] += counts.reshape(self._counts.shape)
            self._class_moments[name] += [variance[rows].sum(axis=0), shifted[rows].sum(axis=0)]

    def distribution(
        self, labels: npt.ArrayLike = (), subjects: npt.ArrayLike = (), codes: npt.ArrayLike = ()
    ) -> Distribution:
        """Return what was added, with counts of classes, subjects and codes (negative codes are unknown)."""
        total = max(self._samples, 1)
        mean = self._sum / total
        std = np.sqrt(np.maximum(self._square / total - mean**2, 0.0))
        known = np.asarray(codes, dtype=np.int64)
        return Distribution(
            n_windows=self._windows,
            clip_sigma=self._clip,
            channels=tuple(
                ChannelDistribution(
                    name=name,
                    low=float(self._low[row]),
                    high=float(self._high[row]),
                    mean=float(mean[row]),
                    std=float(std[row]),
                    lag1=float(self._shifted[row] / max(self._variance[row], 1e-12)),
                    still_share=float(self._still[row] / max(self._windows, 1)),
                    counts=tuple(int(count) for count in self._counts[row]),
                )
                for row, name in enumerate(self._names)
            ),
            noise_share=self._noisy / max(self._windows, 1),
            labels=_count(labels),
            subjects=_count(subjects),
            codes=_count(known[known >= 0]),
            class_values=self._class_values(),
        )

    def _class_values(self) -> tuple[ClassValues, ...]:
        groups = [bin_groups(counts) for counts in self._counts]
        return tuple(
            ClassValues(
                n_windows=int(self._class_windows[name]),
                noisy=int(self._class_noisy[name]),
                groups=tuple(
                    tuple(int(value) for value in group_counts(counts, group))
                    for counts, group in zip(self._class_counts[name], groups, strict=True)
                ),
                variance=tuple(float(value) for value in self._class_moments[name, 0]),
                shifted=tuple(float(value) for value in self._class_moments[name, 1]),
            )
            for name in np.flatnonzero(self._class_windows)
        )


def window_autocorrelation(flat: Float32Array) -> Float64Array:
    """Return (N,) lag-1 autocorrelation of windows (N, C', T), all channels weighing equally; 1 for a still one."""
    centered = flat - flat.mean(axis=-1, keepdims=True)
    variance = np.einsum("nct,nct->nc", centered, centered).astype(np.float64)
    shifted = np.einsum("nct,nct->nc", centered[..., :-1], centered[..., 1:])
    moving = variance > STILL_STD**2 * flat.shape[-1]
    ratio = np.where(moving, shifted / np.maximum(variance, 1e-12), 0.0).sum(axis=1)
    return np.asarray(np.where(moving.any(axis=1), ratio / np.maximum(moving.sum(axis=1), 1), 1.0))


def describe_windows(
    windows: Float32Array,
    preprocess: PreprocessConfig,
    labels: npt.ArrayLike,
    subjects: npt.ArrayLike,
    codes: npt.ArrayLike | None = None,
    classes: Sequence[str] = (),
) -> Distribution:
    """Describe raw windows as the device graph will see them: the training split's yardstick.

    Args:
        windows: (N, C, T) float32 raw units; may be memory-mapped, read in chunks.
        preprocess: fitted on the training split.
        labels: (N,) integers.
        subjects: (N,) text.
        codes: (N,) FSQ codes, -1 for unknown.
        classes: names of the classes in label order.

    Raises:
        DataError: wrong shape.
    """
    preprocessor = Preprocessor(preprocess)
    kinds = _frequent_classes(np.asarray(labels))
    describer = FrameDescriber(channel_names(preprocess), preprocess.clip_sigma, int(kinds.max(initial=-1)) + 1)
    usable = np.zeros(len(windows), dtype=np.bool_)
    for first in range(0, len(windows), CHUNK_WINDOWS):
        part = slice(first, first + CHUNK_WINDOWS)
        filled, usable[part] = preprocessor.fill_gaps(windows[part])
        describer.add(preprocessor.frames(filled[usable[part]]), kinds[part][usable[part]])
    known = np.full(len(windows), -1) if codes is None else np.asarray(codes)
    return describer.distribution(named_labels(labels, classes)[usable], np.asarray(subjects)[usable], known[usable])


def _frequent_classes(labels: AnyArray) -> Int64Array:
    """Return labels (N,) as 0 ... by falling frequency; beyond the most frequent ones all are the last."""
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return np.asarray(np.minimum(rank[place.ravel()], MAX_CLASSES - 1))


def _count(values: npt.ArrayLike) -> dict[str, int]:
    names, counts = np.unique(np.asarray(values), return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}
