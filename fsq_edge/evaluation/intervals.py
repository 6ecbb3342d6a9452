"""Bootstrap intervals over subjects: what another draw of people or animals might have scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

REPLICATES = 2000
LEVEL = 0.95
LEAST_SUBJECTS = 3  # with two, a bootstrap over subjects has three outcomes
BLOCK = 100  # replicates held in memory at once


@dataclass(frozen=True, slots=True)
class Interval:
    """A percentile interval, both ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Intervals:
    """Bootstrap intervals of the headline scores.

    Attributes:
        accuracy: share of right windows.
        balanced_accuracy: mean recall.
        macro_f1: mean F1.
        level: coverage aimed at, 0.95.
        unit: ``subjects``, or ``windows within subjects`` where there are only one or two.
        replicates: bootstrap draws.
        seed: of the draws.
        made: how the intervals were made, one sentence for a report.
    """

    accuracy: Interval
    balanced_accuracy: Interval
    macro_f1: Interval
    level: float
    unit: str
    replicates: int
    seed: int
    made: str


def bootstrap(
    labels: npt.NDArray[np.integer],
    predicted: npt.NDArray[np.integer],
    subjects: npt.NDArray[np.str_],
    n_classes: int,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Intervals:
    """Resample subjects with replacement; with one or two of them, windows within each subject instead.

    Args:
        labels: int (N,), true classes, 0 <= label < n_classes.
        predicted: int (N,), predicted classes.
        subjects: str (N,).
        n_classes: K.
        replicates: draws.
        seed: of the draws; the same seed gives the same interval.

    Cost: replicates x subjects x K additions; only counts are resampled, never windows.
    """
    names, subject = np.unique(subjects, return_inverse=True)
    generator = np.random.default_rng(seed)
    over_subjects = len(names) >= LEAST_SUBJECTS
    draw = _draw_subjects if over_subjects else _draw_windows
    counts = _counts(labels, predicted, subject, len(names), n_classes)
    blocks = [
        scores_of_counts(draw(generator, counts, min(BLOCK, replicates - done))) for done in range(0, replicates, BLOCK)
    ]
    tail = 100 * (1 - LEVEL) / 2
    accuracy, balanced, macro = (
        Interval(*(float(v) for v in np.percentile(np.concatenate(part), [tail, 100 - tail])))
        for part in zip(*blocks, strict=True)
    )
    return Intervals(
        accuracy, balanced, macro, LEVEL, _unit(over_subjects), replicates, seed, _made(len(names), replicates)
    )


def scores_of_counts(
    counts: npt.NDArray[np.integer],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return accuracy, balanced accuracy and macro-F1, each (...), of confusion counts (..., K, K), truth in rows.

    As in scikit-learn: recall is averaged over classes that occur, F1 over classes that occur or were predicted.
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    support, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    accuracy = hits.sum(axis=-1) / np.maximum(support.sum(axis=-1), 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + predicted, 1)
    occurs, counted = (support > 0).sum(axis=-1), (support + predicted > 0).sum(axis=-1)
    return accuracy, recall.sum(axis=-1) / np.maximum(occurs, 1), f1.sum(axis=-1) / np.maximum(counted, 1)


def _counts(
    labels: npt.NDArray[np.integer],
    predicted: npt.NDArray[np.integer],
    subject: npt.NDArray[np.integer],
    n_subjects: int,
    n_classes: int,
) -> npt.NDArray[np.int64]:
    """Confusion counts (S, K, K) of each subject."""
    cell = (subject.astype(np.int64) * n_classes + labels) * n_classes + predicted
    return np.bincount(cell, minlength=n_subjects * n_classes**2).reshape(n_subjects, n_classes, n_classes)


def _draw_subjects(generator: np.random.Generator, counts: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """Confusion counts (n, K, K) of as many subjects as there are, drawn with replacement."""
    subjects = len(counts)
    times = generator.multinomial(subjects, np.full(subjects, 1 / subjects), size=n)
    return np.tensordot(times, counts, axes=1)


def _draw_windows(generator: np.random.Generator, counts: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """Confusion counts (n, K, K) of windows drawn with replacement inside each subject.

    Drawing windows and counting cells is drawing the cells from a multinomial, which needs no windows.
    """
    drawn = np.zeros((n, counts[0].size), np.int64)
    for cells in counts.reshape(len(counts), -1):
        filled = np.flatnonzero(cells)
        share = cells[filled] / cells.sum()
        drawn[:, filled] += generator.multinomial(int(cells.sum()), share, size=n)
    return drawn.reshape(n, *counts.shape[1:])


def _unit(over_subjects: bool) -> str:
    return "subjects" if over_subjects else "windows within subjects"


def _made(n_subjects: int, replicates: int) -> str:
    if n_subjects >= LEAST_SUBJECTS:
        return f"percentile bootstrap over {n_subjects} subjects, {replicates} draws"
    who = "one subject" if n_subjects == 1 else "two subjects"
    return (
        f"percentile bootstrap over windows within {who}, {replicates} draws; says nothing about other subjects, "
        "and is too narrow where neighbouring windows overlap"
    )
