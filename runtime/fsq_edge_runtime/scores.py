"""Scores of answers against the truth, and how sure they are. "95 %" means the same thing everywhere: ``LEVEL``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.arrays import Float64Array, Int64Array, IntArray

LEVEL: Final = 0.95
REPLICATES: Final = 2000
LEAST_GROUPS: Final = 3  # a bootstrap over two groups has three outcomes, over one it has one


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval of confidence ``LEVEL``, both ends included.

    Attributes:
        value: the figure itself.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float


def confusion(labels: npt.ArrayLike, predicted: npt.ArrayLike, classes: int) -> Int64Array:
    """Return counts (classes, classes): row the truth, column the prediction.

    Args:
        labels: (N,) class indices, 0 <= label < classes.
        predicted: (N,) class indices.
        classes: number of classes.

    Example:
        >>> confusion([0, 0, 1], [0, 1, 1], 2).tolist()
        [[1, 1], [0, 1]]
    """
    cell = np.asarray(labels, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(cell, minlength=classes * classes).reshape(classes, classes)


def tallies(counts: npt.ArrayLike) -> IntArray:
    """Return (..., 3, classes) of confusion matrices (..., classes, classes): right, true and predicted windows."""
    table = np.asarray(counts)
    return np.stack([np.diagonal(table, axis1=-2, axis2=-1), table.sum(axis=-1), table.sum(axis=-2)], axis=-2)


def scores_of_tallies(tallied: npt.ArrayLike) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return accuracy, balanced accuracy and macro-F1, each (...), of tallies (..., 3, classes).

    As in scikit-learn: recall is averaged over the classes that occur, F1 over those that occur or were predicted.
    """
    hits, support, predicted = np.moveaxis(np.asarray(tallied), -2, 0)
    accuracy = hits.sum(axis=-1) / np.maximum(support.sum(axis=-1), 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + predicted, 1)
    occurs, counted = (support > 0).sum(axis=-1), (support + predicted > 0).sum(axis=-1)
    return accuracy, recall.sum(axis=-1) / np.maximum(occurs, 1), f1.sum(axis=-1) / np.maximum(counted, 1)


def macro_f1(counts: npt.ArrayLike) -> Float64Array:
    """Return the macro-F1 (...) of confusion matrices (..., classes, classes), row the truth; 0 where nothing occurs.

    Example:
        >>> float(macro_f1([[2, 0], [0, 2]]))
        1.0
    """
    return scores_of_tallies(tallies(counts))[2]


def perplexity(counts: npt.ArrayLike) -> float:
    """Return exp of the entropy of counts: how many codes in even use would be as spread, 1 to the number of codes.

    Source: van den Oord et al. 2017, arXiv 1711.00937.

    Example:
        >>> round(perplexity([3, 3, 0]), 6)
        2.0
    """
    share = np.asarray(counts, dtype=np.float64)
    share = share[share > 0] / share.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def bootstrap_confusions(
    labels: Int64Array,
    predictions: tuple[Int64Array, ...],
    classes: int,
    groups: npt.ArrayLike | None,
    rng: np.random.Generator,
    *,
    replicates: int = REPLICATES,
) -> Int64Array:
    """Return (replicates, len(predictions), classes, classes): the predictions share each resample, so they pair.

    Args:
        labels: (N,) truth.
        predictions: each (N,).
        classes: number of classes.
        groups: (N,) recording or subject of each window. Groups are drawn whole, because windows of one recording
            are alike. None, or fewer than ``LEAST_GROUPS`` of them, draws windows (within each group).
        rng: the generator; the same state gives the same resamples.
        replicates: how many.

    Cost: replicates x groups x classes^2 additions; only counts are drawn, never windows.
    """
    square, columns = classes * classes, len(predictions)
    cells = np.stack([labels * classes + predicted for predicted in predictions], axis=1)
    names, group = np.unique(np.zeros(len(labels)) if groups is None else np.asarray(groups), return_inverse=True)
    group, size = group.ravel(), len(names)
    if size >= LEAST_GROUPS:
        tables = np.stack(
            [np.bincount(group * square + column, minlength=size * square).reshape(size, square) for column in cells.T],
            axis=1,
        )
        drawn = np.tensordot(rng.multinomial(size, np.full(size, 1 / size), size=replicates), tables, axes=1)
        return drawn.reshape(replicates, columns, classes, classes)
    total = np.zeros((replicates, columns, square), dtype=np.int64)
    for number in range(size):
        # Drawing windows with replacement is a multinomial draw over the distinct rows.
        kinds, counts = np.unique(cells[group == number], axis=0, return_counts=True)
        weights = rng.multinomial(int(counts.sum()), counts / counts.sum(), size=replicates)
        for column in range(columns):
            for kind, times in zip(kinds[:, column], weights.T, strict=True):
                total[:, column, kind] += times
    return total.reshape(replicates, columns, classes, classes)


def percentile_interval(value: float, draws: npt.ArrayLike) -> Interval:
    """Return ``value`` with the percentile interval of bootstrap ``draws`` (replicates,)."""
    low, high = np.quantile(np.asarray(draws, dtype=np.float64), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(value), float(low), float(high))
