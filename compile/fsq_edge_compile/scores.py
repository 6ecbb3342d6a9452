"""Scores of predictions against labels, with bootstrap intervals, in numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.arrays import Float64Array, Int64Array

RESAMPLES: Final = 1000
COVERAGE: Final = 0.95
LEAST_GROUPS: Final = 3  # with two, a bootstrap over groups has three outcomes


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def confusion(labels: npt.ArrayLike, predicted: npt.ArrayLike, classes: int) -> Float64Array:
    """Return counts (classes, classes): row the truth, column the prediction."""
    cell = np.asarray(labels, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(cell, minlength=classes * classes).reshape(classes, classes).astype(np.float64)


def macro_f1(counts: Float64Array) -> Float64Array:
    """Return the macro-F1 of confusion matrices.

    Args:
        counts: (..., classes, classes), row the truth.

    Returns:
        (...,) the mean F1 over classes that occur as truth or prediction; 0 where none does.
    """
    hit = np.diagonal(counts, axis1=-2, axis2=-1)
    seen = counts.sum(axis=-1) + counts.sum(axis=-2)
    f1 = 2 * hit / np.maximum(seen, 1)
    return np.asarray(f1.sum(axis=-1) / np.maximum((seen > 0).sum(axis=-1), 1))


def resampled_confusions(
    labels: Int64Array,
    predictions: tuple[Int64Array, ...],
    classes: int,
    groups: npt.ArrayLike | None,
    rng: np.random.Generator,
) -> Float64Array:
    """Return (RESAMPLES, len(predictions), classes, classes): the predictions share each resample, so they pair.

    Args:
        labels: (N,) truth.
        predictions: each (N,).
        classes: number of classes.
        groups: (N,) recording or subject of each window, resampled whole because windows of one recording are alike;
            None, or fewer than 3 of them, resamples windows.
        rng: the generator.
    """
    square = classes * classes
    cells = np.stack([labels * classes + predicted for predicted in predictions], axis=1)
    group = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    if group is None or group.max() + 1 < LEAST_GROUPS:
        # Drawing windows with replacement is a multinomial draw over the distinct rows.
        kinds, counts = np.unique(cells, axis=0, return_counts=True)
        tables = np.zeros((len(kinds), len(predictions), square))
        for column in range(len(predictions)):
            tables[np.arange(len(kinds)), column, kinds[:, column]] = 1.0
        weights = rng.multinomial(len(cells), counts / counts.sum(), size=RESAMPLES)
    else:
        size = int(group.max()) + 1
        tables = np.stack(
            [
                np.bincount(group * square + cells[:, column], minlength=size * square).reshape(size, square)
                for column in range(len(predictions))
            ],
            axis=1,
        ).astype(np.float64)
        weights = rng.multinomial(size, np.full(size, 1.0 / size), size=RESAMPLES)
    drawn = np.tensordot(weights.astype(np.float64), tables, axes=1)
    return np.asarray(drawn.reshape(RESAMPLES, len(predictions), classes, classes))


def interval(value: float, draws: Float64Array) -> Interval:
    """Return ``value`` with the percentile interval of bootstrap ``draws``."""
    low, high = np.quantile(draws, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Interval(float(value), float(low), float(high))
