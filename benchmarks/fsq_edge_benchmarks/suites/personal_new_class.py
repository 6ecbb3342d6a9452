"""Enrolling a class that the network was never trained on: each class is left out of training once.

python -m fsq_edge_benchmarks.suites.personal_new_class [--quick] [--data watch|quadruped] [--seeds 0,1] [--runs DIR]

A network is trained on the other classes of the other subjects; then a held-out wearer enrols the class, together with
the classes that the network knows, from the first part of that wearer's recordings. ``quadruped`` is synthetic.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge.data import open_dataset, write_folder
from fsq_edge.data.recording import Dataset, Recording
from fsq_edge.deploy.build import export_run
from fsq_edge.training.split import open_sides
from fsq_edge.tuning.wearer_windows import windows_of
from fsq_edge_benchmarks.suites.accuracy_parts.held_out import WATCH_FOLDS, fold_config, trained_run
from fsq_edge_benchmarks.suites.command import RUNS, SOURCE, numbers, run_command
from fsq_edge_benchmarks.suites.personal import cut
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.packing.bundle import build_bundle
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.personal.fitting import personalize
from fsq_edge_runtime.scores import REPLICATES, confusion, percentile_interval, scores_of_tallies, tallies
from fsq_edge_runtime.stream.records import Decision

SEEDS: Final = (0, 1)
FOLDS: Final = {"watch": WATCH_FOLDS, "quadruped": (("1", "2", "3"), ("4", "5", "6"), ("7", "8", "9"))}
OWN_S: Final = {"watch": 20.0, "quadruped": 120.0}  # of each recording
QUADRUPED_EPOCHS: Final = 8


def run(
    quick: bool = False, source: str = "watch", runs: Path | None = None, seeds: Sequence[int] = SEEDS
) -> dict[str, Any]:
    """Leave out each class, train, enrol it for each held-out wearer, and judge the rest of the recordings.

    Args:
        quick: one class, one seed, two epochs, to show that it runs.
        source: ``watch`` or ``quadruped``.
        runs: folder that keeps the data sets without a class and the trained runs; None keeps nothing.
        seeds: of training; each class is left out with another fold for each seed.

    Returns:
        ``classes``: by class the recall of the new class, accuracy on the others before and after, false alarms of the
        new class an hour of the others, and refusals, a recall with its interval over the wearers; ``mean`` and
        ``worst`` over them.
    """
    dataset = open_dataset(source)
    names = dataset.classes[:1] if quick else dataset.classes
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as temporary:
        for seed in seeds[:1] if quick else seeds:
            for number, name in enumerate(names):
                fold = FOLDS[source][(number + seed) % len(FOLDS[source])]
                epochs = 2 if quick else QUADRUPED_EPOCHS if source == "quadruped" else None
                bundle = _bundle_without(dataset, name, fold, seed, epochs, runs or Path(temporary))
                for subject in fold:
                    row = {"seed": seed, "subject": subject, **_enrol(bundle, dataset, name, subject, OWN_S[source])}
                    rows[name].append(row)
                    print(name, row, file=sys.stderr)
    classes = {name: _summary(found) for name, found in rows.items()}
    figures = ("recall", "known_before", "known_after", "false_alarms_per_hour", "refused")
    return {
        "schema_version": 1,
        "benchmark": "personal_new_class",
        "dataset": dataset.name,
        "quick": quick,
        "seeds": list(seeds),
        "own_seconds_of_each_recording": OWN_S[source],
        "classes": classes,
        "mean": {
            **{key: float(np.mean([one[key] for one in classes.values()])) for key in figures},
            "recall_interval": _over_wearers([row for found in rows.values() for row in found]),
        },
        "worst_recall": min(one["recall"] for one in classes.values()),
        "rows": rows,
    }


def _bundle_without(
    dataset: Dataset, name: str, fold: tuple[str, ...], seed: int, epochs: int | None, folder: Path
) -> Bundle:
    """Return the bundle of a network that never saw a class."""
    place = folder / f"{dataset.name}-without-{name}"
    if not (place / "dataset.json").exists():
        write_folder(_without(dataset, name), place)
    config = fold_config(f"folder:{place}", fold, seed, epochs=epochs)
    trained = trained_run(config, open_sides(config), folder / "runs")
    build = folder / f"build-{name}-{seed}"
    export_run(trained, build, features=True)
    return build_bundle(BuildFolder(build), name=f"without-{name}".replace("_", "-")[:60])


def _without(dataset: Dataset, name: str) -> Dataset:
    """Return the data set without a class: its samples keep their place and lose their label."""
    left = tuple(one for one in dataset.classes if one != name)
    new = np.array([left.index(one) if one != name else -1 for one in dataset.classes] + [-1], dtype=np.int16)
    recordings = tuple(
        replace(recording, labels=new[recording.labels], samples=np.array(recording.samples))
        for recording in dataset.recordings
        if (new[recording.labels] >= 0).any()
    )
    return replace(dataset, classes=left, recordings=recordings)


def _enrol(bundle: Bundle, dataset: Dataset, name: str, subject: str, own_s: float) -> dict[str, Any]:
    size = round(own_s * dataset.sample_rate_hz)
    mine = [recording for recording in dataset.recordings if recording.subject == subject]
    own = [cut(one, slice(0, size)) for one in mine]
    rest = [cut(one, slice(size, None)) for one in mine if len(one) > size + bundle.preprocess.window_samples]
    found = personalize(bundle, windows_of(bundle, own, dataset, new_classes=(name,)), subject, new_classes=(name,))
    known = len(bundle.classes)
    before = _answered(bundle, rest, dataset, name, None)
    after = before if found.overlay is None else _answered(bundle, rest, dataset, name, found.overlay)
    new, old = after["truth"] == known, after["truth"] < known
    hop_s = bundle.preprocess.hop_samples / bundle.preprocess.sample_rate_hz
    false = (after["told"] == known) & old
    alarms = int((false & ~np.concatenate([[False], false[:-1]])).sum())
    tables = [
        tallies(confusion(one["truth"][old], np.minimum(one["told"][old], known), known + 1)) for one in (before, after)
    ]
    kept = [float(scores_of_tallies(table)[0]) for table in tables]
    return {
        "windows": int((found.evidence.labels == known).sum()),
        "refused": list(found.reasons),
        "recall": float((after["told"][new] == known).mean()) if new.any() else None,
        "known_before": kept[0],
        "known_after": kept[1],
        "false_alarms_per_hour": alarms / (max(int(old.sum()), 1) * hop_s / 3600.0),
    }


def _answered(
    bundle: Bundle, recordings: Sequence[Recording], dataset: Dataset, name: str, overlay: Any
) -> dict[str, Any]:
    """Return truth and raw answer (N,) of every window that lies in one label; the new class is the last number."""
    classes = (*bundle.classes, name)
    truth: list[int] = []
    told: list[int] = []
    rate = dataset.sample_rate_hz
    with bundle.open_session("onnx", source_rate_hz=rate, deadline_ms=0.0, overlay=overlay) as session:
        for recording in recordings:
            stream = recording.recording_id
            decisions: list[Decision] = session.push_many([(stream, recording.samples, None)])
            for decision in decisions:
                first, last = round(decision.t_start * rate), round(decision.t_end * rate) + 1
                inside = recording.labels[first:last]
                if decision.raw_label is not None and inside.min() == inside.max() >= 0:
                    truth.append(classes.index(dataset.classes[int(inside[0])]))
                    told.append(classes.index(decision.raw_label))
    return {"truth": np.array(truth), "told": np.array(told)}


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    recalls = [row["recall"] for row in rows if row["recall"] is not None]
    return {
        "wearers": len(rows),
        "refused": sum(bool(row["refused"]) for row in rows),
        "recall": float(np.mean(recalls)) if recalls else 0.0,
        "recall_interval": _over_wearers(rows),
        **{
            key: float(np.mean([row[key] for row in rows]))
            for key in ("known_before", "known_after", "false_alarms_per_hour")
        },
    }


def _over_wearers(rows: Sequence[dict[str, Any]]) -> list[float]:
    """Return the 95 % interval of the mean recall, drawn over the cases: a wearer, a class and a seed each."""
    recalls = np.array([row["recall"] for row in rows if row["recall"] is not None])
    if not len(recalls):
        return [0.0, 0.0]
    drawn = np.random.default_rng(0).integers(0, len(recalls), (REPLICATES, len(recalls)))
    interval = percentile_interval(float(recalls.mean()), recalls[drawn].mean(axis=1))
    return [interval.low, interval.high]


if __name__ == "__main__":
    OPTIONS: dict[str, dict[str, Any]] = {
        "data": SOURCE,
        "seeds": {"type": numbers, "default": SEEDS, "help": "seeds of training (default: 0,1)"},
        "runs": RUNS,
    }
    sys.exit(run_command("personal_new_class", run, OPTIONS))
