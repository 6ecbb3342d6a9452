"""Accuracy by subject: ours against MiniRocket, MultiRocket-Hydra and a random forest, same folds, one run.

python -m fsq_edge_benchmarks.accuracy [--quick] [--data SOURCE] [--seeds 0,1,2] [--jobs 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fsq_edge_benchmarks.contenders import (
    Contender,
    Predictor,
    conv2d_fsq,
    mini_rocket,
    multi_rocket_hydra,
    random_forest,
)
from fsq_edge_benchmarks.held_out import UNSEEN_WATCH_FOLDS, folds_of, sides_of

if TYPE_CHECKING:
    from fsq_edge.data.windows import WindowIndex

Int64Array = npt.NDArray[np.int64]

SEEDS = (0, 1, 2)
REPLICATES = 10_000
LATENCY_CALLS, QUICK_LATENCY_CALLS = 100, 11


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One contender on one fold with one seed.

    Args:
        accuracy: on the fold's test windows.
        macro_f1: likewise.
        tallies: subject -> (3, K) right, true and predicted windows of each class.
        fit_s: seconds of fitting.
        latency_us: median time of one window.
        parameters: trained numbers, where the contender counts them.
    """

    accuracy: float
    macro_f1: float
    tallies: dict[str, Int64Array]
    fit_s: float
    latency_us: float
    parameters: int | None


@dataclass(frozen=True, slots=True)
class Trial:
    """One contender, fold and seed, in words that another process can be told.

    Args:
        contender: place in ``contenders_of``.
        source: a data source.
        fold: held-out subjects.
        seed: of the contender and of the validation subjects.
        quick: see ``run``.
    """

    contender: int
    source: str
    fold: tuple[str, ...]
    seed: int
    quick: bool


def contenders_of(source: str, quick: bool) -> list[Contender]:
    """Return who is compared, ours first."""
    if quick:
        return [conv2d_fsq(source, epochs=2), random_forest(20)]
    return [conv2d_fsq(source), multi_rocket_hydra(), mini_rocket(), random_forest()]


def run(
    quick: bool = False,
    seeds: Sequence[int] = SEEDS,
    folds: Sequence[Sequence[str]] | None = None,
    source: str = "watch",
    jobs: int = 1,
) -> dict[str, Any]:
    """Compare the classifiers by subject.

    Args:
        quick: one fold, one seed, two epochs, ours and a small forest only: shows that it runs.
        seeds: of ours; the references are run once, with seed 0.
        folds: held-out subjects of each fold; None is watch's five pairs, the official test of ``basic-motions``, or
            pairs in order for another source.
        source: a data source, or ``basic-motions``.
        jobs: trials at a time, each in a process with one thread. Accuracy is the same; times are those of a machine
            that does as many things at once.

    Returns:
        ``contenders``: per name the mean macro-F1 and accuracy over folds and seeds, their spread over seeds, each
        fold, fit time, latency of a window, and the paired difference of ours with its interval.
    """
    chosen = [tuple(fold) for fold in folds or folds_of(source)]
    contenders = contenders_of(source, quick)
    if quick:
        chosen, seeds = chosen[:1], seeds[:1]
    trials = [
        Trial(place, source, fold, seed, quick)
        for place, contender in enumerate(contenders)
        for fold in chosen
        for seed in (seeds if contender.seeds else (0,))
    ]
    found = dict(zip(trials, _outcomes(trials, jobs), strict=True))
    outcomes = {
        contender.name: [
            [found[trial] for trial in trials if (trial.contender, trial.fold) == (place, fold)] for fold in chosen
        ]
        for place, contender in enumerate(contenders)
    }
    ours = contenders[0].name
    return {
        "schema_version": 1,
        "benchmark": "accuracy",
        "dataset": source,
        "quick": quick,
        "jobs": jobs,
        "folds": [list(fold) for fold in chosen],
        "seeds": list(seeds),
        "contenders": {
            name: {**_scores(rows, chosen, source), "ours_minus_this": _paired(outcomes[ours], rows)}
            for name, rows in outcomes.items()
        },
    }


def _outcomes(trials: Sequence[Trial], jobs: int) -> list[Outcome]:
    if jobs == 1:
        return [_outcome(trial) for trial in trials]
    # Fresh interpreters: numba's and torch's threads do not survive a fork.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_outcome, trials))


def _outcome(trial: Trial) -> Outcome:
    from fsq_edge.evaluation.intervals import scores_of_tallies

    contender = contenders_of(trial.source, trial.quick)[trial.contender]
    sides = sides_of(trial.source, trial.fold, trial.seed)
    begin = time.perf_counter()
    predict, parameters = contender.fit(sides, trial.seed)
    fit_s = time.perf_counter() - begin
    tallies = _tallies(sides.test, predict, len(sides.test.dataset.classes))
    accuracy, _, macro_f1 = scores_of_tallies(np.sum(list(tallies.values()), axis=0))
    latency = _latency_us(sides.test, predict, QUICK_LATENCY_CALLS if trial.quick else LATENCY_CALLS)
    where = f"{contender.name} fold {','.join(trial.fold)} seed {trial.seed}"
    print(f"{where}: macro-F1 {macro_f1:.3f}, {fit_s:.0f} s", file=sys.stderr)
    return Outcome(float(accuracy), float(macro_f1), tallies, fit_s, latency, parameters)


def _tallies(index: WindowIndex, predict: Predictor, classes: int) -> dict[str, Int64Array]:
    predicted = predict(index.gather())

    def count(some: Int64Array) -> Int64Array:
        return np.bincount(some, minlength=classes).astype(np.int64)

    found = {}
    for subject in np.unique(index.subject):
        rows = index.subject == subject
        label, answer = index.label[rows], predicted[rows]
        found[str(subject)] = np.stack([count(label[label == answer]), count(label), count(answer)])
    return found


def _latency_us(index: WindowIndex, predict: Predictor, calls: int) -> float:
    windows = index.gather(np.arange(min(calls, len(index))))
    predict(windows[:1])
    times = []
    for at in range(calls):
        begin = time.perf_counter()
        predict(windows[at % len(windows)][None])
        times.append(time.perf_counter() - begin)
    return 1e6 * float(np.median(times))


def _scores(rows: list[list[Outcome]], folds: Sequence[Sequence[str]], source: str) -> dict[str, Any]:
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


def _paired(ours: list[list[Outcome]], theirs: list[list[Outcome]]) -> dict[str, float]:
    """Resample subjects with replacement and compare the pooled macro-F1 of both on every draw."""
    from fsq_edge.evaluation.intervals import scores_of_tallies

    first, second = _by_subject(ours), _by_subject(theirs)
    draws = np.random.default_rng(0).multinomial(len(first), np.full(len(first), 1 / len(first)), REPLICATES)
    difference = (
        scores_of_tallies(np.einsum("rs,sck->rck", draws, first))[2]
        - scores_of_tallies(np.einsum("rs,sck->rck", draws, second))[2]
    )
    low, high = np.percentile(difference, [2.5, 97.5])
    return {
        "macro_f1": float(scores_of_tallies(first.sum(axis=0))[2] - scores_of_tallies(second.sum(axis=0))[2]),
        "low": float(low),
        "high": float(high),
        "share_of_draws_not_ahead": float((difference <= 0).mean()),
    }


def _by_subject(rows: list[list[Outcome]]) -> Int64Array:
    """Tallies (subjects, 3, K), summed over seeds; both contenders have the same subjects in the same order."""
    subjects = [(row, subject) for row in rows for subject in row[0].tallies]
    return np.stack([np.sum([outcome.tallies[subject] for outcome in row], axis=0) for row, subject in subjects])


def show(result: dict[str, Any]) -> str:
    """Return the result as a table."""
    lines = [
        f"{'':<20}{'macro-F1':>9}{'+-seeds':>9}{'accuracy':>9}{'unseen':>8}{'fit s':>8}{'us/window':>11}"
        f"{'ours ahead by (95 %)':>26}"
    ]
    for name, row in result["contenders"].items():
        paired, unseen = row["ours_minus_this"], row["macro_f1_unseen_folds"]
        ahead = f"{paired['macro_f1']:+.3f} ({paired['low']:+.3f} to {paired['high']:+.3f})"
        lines.append(
            f"{name:<20}{row['macro_f1']:>9.3f}{row['macro_f1_std_over_seeds']:>9.3f}{row['accuracy']:>9.3f}"
            f"{'' if unseen is None else f'{unseen:.3f}':>8}{row['fit_s']:>8.1f}{row['latency_us']:>11.0f}{ahead:>26}"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the table; write the JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m fsq_edge_benchmarks.accuracy", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", default="watch", help="a data source, or basic-motions")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="of ours")
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time; 2 on a machine of two cores")
    parser.add_argument("--json", type=Path, help="file for the result")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    result = run(arguments.quick, seeds, source=arguments.data, jobs=arguments.jobs)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(show(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
