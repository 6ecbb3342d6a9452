"""What the accuracy benchmark found: scores of one contender, its paired difference to ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fsq_edge_benchmarks.suites.accuracy_parts.held_out import UNSEEN_WATCH_FOLDS
from fsq_edge_runtime.arrays import IntArray
from fsq_edge_runtime.scores import percentile_interval, scores_of_tallies

REPLICATES = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One contender on one fold with one seed.

    Attributes:
        accuracy: on the fold's test windows.
        macro_f1: on them, too.
        tallies: subject -> (3, K) right, true and predicted windows of each class.
        fit_s: seconds of fitting.
        latency_us: median time of one window.
        parameters: trained numbers, where the contender counts them.
    """

    accuracy: float
    macro_f1: float
    tallies: dict[str, IntArray]
    fit_s: float
    latency_us: float
    parameters: int | None


def scores(rows: list[list[Outcome]], folds: Sequence[Sequence[str]], source: str) -> dict[str, Any]:
    """Return the means of one contender over folds (outer) and seeds (inner), as plain JSON values."""
    f1 = np.array([[outcome.macro_f1 for outcome in row] for row in rows])
    accuracy = np.array([[outcome.accuracy for outcome in row] for row in rows])
    unseen = [at for at, fold in enumerate(folds) if source == "watch" and tuple(fold) in UNSEEN_WATCH_FOLDS]
    flat = [outcome for row in rows for outcome in row]
    return {
        "macro_f1": float(f1.mean()),
        "accuracy": float(accuracy.mean()),
        "macro_f1_std_over_seeds": float(f1.mean(axis=0).std()),
        "macro_f1_unseen_folds": float(f1[unseen].mean()) if unseen else None,
        "macro_f1_by_fold": f1.mean(axis=1).tolist(),
        "accuracy_by_fold": accuracy.mean(axis=1).tolist(),
        "accuracy_by_fold_and_seed": accuracy.tolist(),
        "fit_s": float(np.mean([outcome.fit_s for outcome in flat])),
        "latency_us": float(np.median([outcome.latency_us for outcome in flat])),
        "parameters": flat[0].parameters,
    }


def paired_difference(ours: list[list[Outcome]], theirs: list[list[Outcome]]) -> dict[str, float]:
    """Resample subjects with replacement and compare the pooled macro-F1 of both on every draw."""
    first, second = _by_subject(ours), _by_subject(theirs)
    draws = np.random.default_rng(0).multinomial(len(first), np.full(len(first), 1 / len(first)), REPLICATES)
    drawn, whole = (
        [scores_of_tallies(np.tensordot(weights, side, axes=1))[2] for side in (first, second)]
        for weights in (draws, np.ones(len(first)))
    )
    difference = drawn[0] - drawn[1]
    found = percentile_interval(float(whole[0] - whole[1]), difference)
    return {
        "macro_f1": found.value,
        "low": found.low,
        "high": found.high,
        "share_of_draws_not_ahead": float((difference <= 0).mean()),
    }


def _by_subject(rows: list[list[Outcome]]) -> IntArray:
    """Tallies (subjects, 3, K), summed over seeds; both contenders have the same subjects in the same order."""
    subjects = [(row, subject) for row in rows for subject in row[0].tallies]
    return np.stack([np.sum([outcome.tallies[subject] for outcome in row], axis=0) for row, subject in subjects])
