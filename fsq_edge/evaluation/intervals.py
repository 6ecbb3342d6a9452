"""Bootstrap intervals over subjects: what another draw of people or animals might have scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsq_edge_runtime.arrays import Float64Array, Int64Array, IntArray, TextArray

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
    labels: Int64Array,
    predicted: Int64Array,
    subjects: TextArray,
    n_classes: int,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Intervals:
    """Resample subjects with replacement; with one or two of them, windows within each subject instead.

    Args:
        labels: int64 (N,), true classes, 0 <= label < n_classes.
        predicted: int64 (N,), predicted classes.
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
    blocks = [
        scores_of_tallies(draw(generator, labels, predicted, subject, n_classes, min(BLOCK, replicates - done)))
        for done in range(0, replicates, BLOCK)
    ]
    tail = 100 * (1 - LEVEL) / 2
    accuracy, balanced, macro = (
        Interval(*(float(v) for v in np.percentile(np.concatenate(part), [tail, 100 - tail])))
        for part in zip(*blocks, strict=True)
    )
    return Intervals(
        accuracy, balanced, macro, LEVEL, _unit(over_subjects), replicates, seed, _made(len(names), replicates)
    )


def scores_of_tallies(tallies: IntArray) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return accuracy, balanced accuracy and macro-F1, each (...), of tallies.

    As in scikit-learn: recall is averaged over classes that occur, F1 over classes that occur or were predicted.

    Args:
        tallies: (..., 3, K): right windows, true windows and predicted windows of each class.
    """
    hits, support, predicted = np.moveaxis(tallies, -2, 0)
    accuracy = hits.sum(axis=-1) / np.maximum(support.sum(axis=-1), 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + predicted, 1)
    occurs, counted = (support > 0).sum(axis=-1), (support + predicted > 0).sum(axis=-1)
    return accuracy, recall.sum(axis=-1) / np.maximum(occurs, 1), f1.sum(axis=-1) / np.maximum(counted, 1)


def _draw_subjects(
    generator: np.random.Generator,
    labels: Int64Array,
    predicted: Int64Array,
    subject: Int64Array,
    n_classes: int,
    n: int,
) -> Int64Array:
    """Tallies (n, 3, K) of as many subjects as there are, drawn with replacement."""
    subjects = int(subject.max()) + 1

    def count(classes: Int64Array, of: Int64Array) -> Int64Array:
        return np.bincount(of * n_classes + classes, minlength=subjects * n_classes).reshape(subjects, n_classes)

    right = labels == predicted
    tallies = np.stack(
        [count(labels[right], subject[right]), count(labels, subject), count(predicted, subject)], axis=1
    )
    times = generator.multinomial(subjects, np.full(subjects, 1 / subjects), size=n)
    return np.tensordot(times, tallies, axes=1)


def _draw_windows(
    generator: np.random.Generator,
    labels: Int64Array,
    predicted: Int64Array,
    subject: Int64Array,
    n_classes: int,
    n: int,
) -> Int64Array:
    """Tallies (n, 3, K) of windows drawn with replacement inside each subject.

    Drawing windows and counting pairs of truth and prediction is drawing the counts from a multinomial.
    """
    tallies = np.zeros((3, n_classes, n), np.int64)
    for number in range(int(subject.max()) + 1):
        rows = subject == number
        pairs, count = np.unique(labels[rows] * n_classes + predicted[rows], return_counts=True)
        drawn = generator.multinomial(int(count.sum()), count / count.sum(), size=n).T
        truth, answer = np.divmod(pairs, n_classes)
        np.add.at(tallies[0], truth[truth == answer], drawn[truth == answer])
        np.add.at(tallies[1], truth, drawn)
        np.add.at(tallies[2], answer, drawn)
    return tallies.transpose(2, 0, 1)


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
