"""Bootstrap intervals over subjects: what another draw of people or animals might have scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsq_edge_runtime.arrays import Int64Array, TextArray
from fsq_edge_runtime.scores import (
    LEAST_GROUPS,
    LEVEL,
    REPLICATES,
    Interval,
    bootstrap_confusions,
    confusion,
    percentile_interval,
    scores_of_tallies,
    tallies,
)

BLOCK = 100  # replicates drawn at once: a confusion matrix of thousands of classes is large


@dataclass(frozen=True, slots=True)
class ScoreRanges:
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


def score_intervals(
    labels: Int64Array,
    predicted: Int64Array,
    subjects: TextArray,
    n_classes: int,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> ScoreRanges:
    """Resample subjects with replacement; with one or two of them, windows within each subject instead.

    Args:
        labels: int64 (N,), true classes, 0 <= label < n_classes.
        predicted: int64 (N,), predicted classes.
        subjects: str (N,).
        n_classes: K.
        replicates: draws.
        seed: of the draws; equal seeds give equal intervals.
    """
    rng = np.random.default_rng(seed)
    drawn = [
        tallies(
            bootstrap_confusions(
                labels, (predicted,), n_classes, subjects, rng, replicates=min(BLOCK, replicates - done)
            )[:, 0]
        )
        for done in range(0, replicates, BLOCK)
    ]
    values = scores_of_tallies(tallies(confusion(labels, predicted, n_classes)))
    draws = scores_of_tallies(np.concatenate(drawn))
    accuracy, balanced, macro = (
        percentile_interval(float(value), part) for value, part in zip(values, draws, strict=True)
    )
    n_subjects = len(np.unique(subjects))
    unit = "subjects" if n_subjects >= LEAST_GROUPS else "windows within subjects"
    return ScoreRanges(accuracy, balanced, macro, LEVEL, unit, replicates, seed, _made(n_subjects, replicates))


def _made(n_subjects: int, replicates: int) -> str:
    if n_subjects >= LEAST_GROUPS:
        return f"percentile bootstrap over {n_subjects} subjects, {replicates} draws"
    who = "one subject" if n_subjects == 1 else "two subjects"
    return (
        f"percentile bootstrap over windows within {who}, {replicates} draws; says nothing about other subjects, "
        "and is too narrow where neighbouring windows overlap"
    )
