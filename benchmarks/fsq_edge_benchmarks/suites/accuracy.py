"""Accuracy by subject: ours against MiniRocket, MultiRocket-Hydra and a random forest, equal folds, one run.

python -m fsq_edge_benchmarks.suites.accuracy --help
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from fsq_edge.data.windows import WindowIndex
from fsq_edge_benchmarks.measure.stopwatch import in_turns, timed
from fsq_edge_benchmarks.suites.accuracy_parts.contenders import Contender, Predictor, conv2d_fsq, reference_contenders
from fsq_edge_benchmarks.suites.accuracy_parts.held_out import folds_of, sides_of
from fsq_edge_benchmarks.suites.accuracy_parts.outcomes import Outcome, paired_difference, scores
from fsq_edge_benchmarks.suites.command import RUNS, numbers, run_command
from fsq_edge_runtime.arrays import IntArray
from fsq_edge_runtime.scores import confusion, scores_of_tallies, tallies

SEEDS = (0, 1, 2)
LATENCY_CALLS, QUICK_LATENCY_CALLS = 100, 11


@dataclass(frozen=True, slots=True)
class Trial:
    """One contender, fold and seed, in words that another process can be told.

    Attributes:
        contender: place in ``contenders_of``.
        source: a data source.
        fold: held-out subjects.
        seed: of the contender and of the validation subjects.
        quick: see ``run``.
        config: of ours, see ``run``.
        runs: of ours, see ``run``.
    """

    contender: int
    source: str
    fold: tuple[str, ...]
    seed: int
    quick: bool
    config: Path | None
    runs: Path | None


def contenders_of(source: str, quick: bool, config: Path | None = None, runs: Path | None = None) -> list[Contender]:
    """Return who is compared, ours first."""
    if quick:
        return [conv2d_fsq(source, 2, config, runs), reference_contenders(20)[-1]]
    return [conv2d_fsq(source, None, config, runs), *reference_contenders()]


def run(
    quick: bool = False,
    seeds: Sequence[int] = SEEDS,
    folds: Sequence[Sequence[str]] | None = None,
    source: str = "watch",
    jobs: int = 1,
    config: Path | None = None,
    references: bool = True,
    runs: Path | None = None,
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
        config: a training configuration for ours; None is the default. Its data section is not used.
        references: whether the others run too.
        runs: folder that keeps our trained runs for other benchmarks.

    Returns:
        ``contenders``: per name the mean macro-F1 and accuracy over folds and seeds, their spread over seeds, each
        fold, fit time, latency of a window, and the paired difference of ours with its interval.
    """
    chosen = [tuple(fold) for fold in folds or folds_of(source)]
    contenders = contenders_of(source, quick, config)[: None if references else 1]
    if quick:
        chosen, seeds = chosen[:1], seeds[:1]
    trials = [
        Trial(place, source, fold, seed, quick, config, runs)
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
        "config": None if config is None else config.read_text(encoding="utf-8"),
        "folds": [list(fold) for fold in chosen],
        "seeds": list(seeds),
        "contenders": {
            name: {**scores(rows, chosen, source), "ours_minus_this": paired_difference(outcomes[ours], rows)}
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
    contender = contenders_of(trial.source, trial.quick, trial.config, trial.runs)[trial.contender]
    sides = sides_of(trial.source, trial.fold, trial.seed)
    fit_s, (predict, parameters) = timed(lambda: contender.fit(sides, trial.seed))
    by_subject = _tallies(sides.test, predict, len(sides.test.dataset.classes))
    accuracy, _, macro_f1 = scores_of_tallies(np.sum(list(by_subject.values()), axis=0))
    latency = _latency_us(sides.test, predict, QUICK_LATENCY_CALLS if trial.quick else LATENCY_CALLS)
    where = f"{contender.name} fold {','.join(trial.fold)} seed {trial.seed}"
    print(f"{where}: macro-F1 {macro_f1:.3f}, {fit_s:.0f} s", file=sys.stderr)
    return Outcome(float(accuracy), float(macro_f1), by_subject, fit_s, latency, parameters)


def _tallies(index: WindowIndex, predict: Predictor, classes: int) -> dict[str, IntArray]:
    predicted = predict(index.gather())
    return {
        str(subject): tallies(
            confusion(index.label[index.subject == subject], predicted[index.subject == subject], classes)
        )
        for subject in np.unique(index.subject)
    }


def _latency_us(index: WindowIndex, predict: Predictor, calls: int) -> float:
    windows = index.gather(np.arange(min(calls, len(index))))
    taken = in_turns({"": lambda at: predict(windows[at % len(windows)][None])}, calls, 1)
    return float(np.median(taken[""])) / 1e3


if __name__ == "__main__":
    OPTIONS: dict[str, dict[str, Any]] = {
        "data": {"dest": "source", "default": "watch", "help": "a data source, or basic-motions (default: watch)"},
        "seeds": {"type": numbers, "default": SEEDS, "help": "seeds of ours (default: 0,1,2)"},
        "jobs": {"type": int, "default": 1, "help": "trials at a time (default: 1; 2 suits a machine of two cores)"},
        "config": {"type": Path, "help": "a training configuration for ours (default: the built-in one)"},
        "runs": RUNS,
        "ours": {"dest": "references", "action": "store_false", "help": "leave the references out"},
    }
    sys.exit(run_command("accuracy", run, OPTIONS))
