"""Training with windows of two labels: ``pure``, ``majority`` and ``soft`` by the event score of held-out subjects.

python -m fsq_edge_benchmarks.suites.window_labels [--quick] [--data SOURCE] [--folds N] [--json FILE]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge.data import open_dataset, write_folder
from fsq_edge.data.quadruped import make_quadruped
from fsq_edge.data.recording import Dataset, Recording
from fsq_edge.training.config import TrainConfig, WindowsSection
from fsq_edge.training.split import open_sides
from fsq_edge.tuning.tune import tune_bundle
from fsq_edge_benchmarks.suites.accuracy_parts.held_out import WATCH_FOLDS, fold_config, trained_bundle
from fsq_edge_benchmarks.suites.command import SOURCE, run_command
from fsq_edge_benchmarks.suites.events import QUADRUPED_FOLDS

RULES: Final = ("pure", "majority", "soft")
SUMS: Final = ("events", "missed", "false_events", "hours")


def run(quick: bool = False, source: str = "quadruped", folds: int = 2, seed: int = 0) -> dict[str, Any]:
    """Train with each rule on the same folds and score raw argmax and tuned decisions on the subjects held out.

    Args:
        quick: three animals, two recordings of 40 s each, one epoch, without ``majority``: shows that it runs.
        source: ``quadruped``, which is synthetic and changes within its recordings, or ``watch``, whose recordings of
            one exercise are stitched to streams for training as well as for the score.
        folds: how many.
        seed: of training and stitching.

    Returns:
        ``rules``: for each, sums of events, missed and false ones, false events an hour, and window macro-F1.
    """
    dataset = make_quadruped(seed, 3, 40.0) if quick else open_dataset(source)
    held_out: Sequence[Sequence[str]] = WATCH_FOLDS if source == "watch" else QUADRUPED_FOLDS
    rules = ("pure", "soft") if quick else RULES
    with tempfile.TemporaryDirectory() as temporary:
        training = source
        if quick or source == "watch":
            write_folder(stitched(dataset, seed) if source == "watch" else dataset, Path(temporary) / "set")
            training = f"folder:{temporary}/set"
        rows = [
            _row(dataset, training, rule, fold, seed, quick)
            for fold in ((("1",),) if quick else held_out[:folds])
            for rule in rules
        ]
    return {
        "schema_version": 1,
        "benchmark": "window_labels",
        "dataset": dataset.name,
        "stitched": source == "watch",
        "quick": quick,
        "runs": rows,
        "rules": {rule: _pooled([row for row in rows if row["rule"] == rule]) for rule in rules},
    }


def stitched(dataset: Dataset, seed: int) -> Dataset:
    """Return a data set whose recordings are each subject's, joined without a gap in an order drawn by the seed."""
    recordings = []
    for subject in dataset.subjects:
        own = [recording for recording in dataset.recordings if recording.subject == subject]
        order = np.random.default_rng([seed, 1 + dataset.subjects.index(subject)]).permutation(len(own))
        samples, labels = (
            np.concatenate([getattr(own[at], name) for at in order.tolist()]) for name in ("samples", "labels")
        )
        recordings.append(Recording(f"subject-{subject}", samples, labels, subject, "stitched"))
    return replace(dataset, recordings=tuple(recordings))


def _row(dataset: Dataset, training: str, rule: str, fold: Sequence[str], seed: int, quick: bool) -> dict[str, Any]:
    begun = time.process_time()
    plain = fold_config(training, fold, seed, epochs=1 if quick else None)
    config = TrainConfig.model_validate({**dict(plain), "windows": WindowsSection.model_validate({"labels": rule})})
    with tempfile.TemporaryDirectory() as temporary:
        sides = open_sides(config)
        trained, bundle = trained_bundle(config, sides, Path(temporary))
        tuned = tune_bundle(bundle, dataset, seed=seed)
    row: dict[str, Any] = {
        "rule": rule,
        "test_subjects": list(fold),
        "n_train": len(sides.train),
        "n_mixed_left_out": sides.train.n_mixed,
        "val_macro_f1": trained.metrics["val_macro_f1"],
        "cpu_s": time.process_time() - begun,
    }
    if tuned.report is not None:
        row |= {side: getattr(tuned.report, side).model_dump(mode="json", exclude={"classes"}) for side in SIDES}
    print(row, file=sys.stderr)
    return row


SIDES: Final = ("raw", "tuned")


def _pooled(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    known = [row for row in rows if "raw" in row]
    found: dict[str, Any] = {"val_macro_f1": float(np.mean([row["val_macro_f1"] for row in rows]))}
    for side in SIDES:
        sums = {key: sum(row[side][key] for row in known) for key in SUMS}
        delays = [row[side]["delay_median_s"] for row in known if row[side]["delay_median_s"] is not None]
        found[side] = {
            **sums,
            "false_per_hour": sums["false_events"] / sums["hours"] if sums["hours"] else None,
            "delay_median_s": float(np.mean(delays)) if delays else None,
        }
    return found


if __name__ == "__main__":
    OPTIONS: dict[str, dict[str, Any]] = {
        "data": {**SOURCE, "default": "quadruped"},
        "folds": {"type": int, "default": 2, "help": "folds of held-out subjects (default: 2)"},
        "seed": {"type": int, "default": 0, "help": "seed of training and stitching (default: 0)"},
    }
    sys.exit(run_command("window_labels", run, OPTIONS))
