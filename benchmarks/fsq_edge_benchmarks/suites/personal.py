"""What a few seconds of the wearer's own motion are worth, and what they cost on the other wrist.

python -m fsq_edge_benchmarks.suites.personal [--quick] [--seeds 0,1,2] [--runs DIR] [--bundles DIR] [--json FILE]

Each fold of watch is held out of training; its two people are then personalised one by one with the verb's own
defaults. The int8 figures are a preview in onnxruntime on a CPU; nothing here ran on a Hailo device.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge.data import open_dataset
from fsq_edge.data.recording import Dataset, Recording
from fsq_edge.deploy.build import export_run
from fsq_edge.deploy.calibration import calibrate
from fsq_edge.training.split import open_sides
from fsq_edge.tuning.wearer_windows import windows_of
from fsq_edge_benchmarks.suites.accuracy_parts.held_out import DEMO_FOLD, WATCH_FOLDS, fold_config, trained_run
from fsq_edge_benchmarks.suites.accuracy_parts.int8_trial import CALIBRATION_WINDOWS
from fsq_edge_benchmarks.suites.command import RUNS, numbers, run_command
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.int8.preview import preview_build, write_preview
from fsq_edge_compile.packing.bundle import build_bundle
from fsq_edge_runtime.arrays import Int64Array
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.personal.fitting import personalize
from fsq_edge_runtime.personal.overlay import Overlay
from fsq_edge_runtime.scores import REPLICATES, confusion, macro_f1, percentile_interval
from fsq_edge_runtime.stream.records import Decision, Record, StreamEvent

SEEDS: Final = (0, 1, 2)
SECONDS: Final = (5, 10, 20)
CONTEXTS_S: Final = (0, 2, 4, 8)  # time constants
INT8: Final = "onnx-int8"


@dataclass(frozen=True, slots=True)
class Case:
    """One wearer with one amount of own data.

    Attributes:
        name: of the row.
        subject: the wearer.
        own: recordings that are fitted to.
        judged: recordings that are judged.
    """

    name: str
    subject: str
    own: tuple[Recording, ...]
    judged: tuple[Recording, ...]


def run(
    quick: bool = False, runs: Path | None = None, bundles: Path | None = None, seeds: Sequence[int] = SEEDS
) -> dict[str, Any]:
    """Personalise every subject of watch and judge the rest of that subject's recordings.

    Args:
        quick: one fold, one seed, two epochs, 20 s only, to show that it runs.
        runs: folder that keeps the trained runs for the next benchmark; None trains again.
        bundles: folder that keeps the bundles; None builds them again.
        seeds: of training.

    Returns:
        ``rows`` by amount of own data: macro-F1 of the base head and of the overlay, mean and worst subject, of float
        and of the int8 preview; how many were refused, and how often the guard gave the stream to the base head.
        ``other_wrist_loss`` is by how much the overlay's mean is below the base head's on the other wrist. ``context``
        has the macro-F1 of the held-out people without any data of theirs, of windows alone and of smoothed ones.
    """
    dataset = open_dataset("watch")
    folds, seeds = ((DEMO_FOLD,), seeds[:1]) if quick else (WATCH_FOLDS, seeds)
    outcomes: dict[str, list[dict[str, Any]]] = {}
    contexts: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in seeds:
            for fold in folds:
                bundle = trained_bundle(fold, seed, quick, runs, bundles or Path(temporary))
                contexts.append(context(bundle, dataset, fold))
                for case in cases(dataset, fold, SECONDS[-1:] if quick else SECONDS):
                    outcome = judge(bundle, dataset, case)
                    outcomes.setdefault(case.name, []).append({"seed": seed, **outcome})
                    print(case.name, outcome, file=sys.stderr)
    rows = {name: _row(found) for name, found in outcomes.items()}
    wrist = rows["other wrist"]
    return {
        "schema_version": 1,
        "kind": "personal heads; int8 is a preview in onnxruntime, not a measurement on a device",
        "quick": quick,
        "folds": [list(fold) for fold in folds],
        "seeds": list(seeds),
        "rows": rows,
        "context": {name: float(np.mean([one[name] for one in contexts])) for name in contexts[0]},
        "other_wrist_loss": max(0.0, wrist["base"]["mean"] - wrist["personal"]["mean"]),
        "int8_difference": max(abs(row["personal"]["mean"] - row["int8"]["mean"]) for row in rows.values()),
        "outcomes": outcomes,
    }


def trained_bundle(fold: tuple[str, ...], seed: int, quick: bool, runs: Path | None, folder: Path) -> Bundle:
    """Return the bundle of one fold, with features and int8 preview, built where it is not kept yet."""
    name = f"watch-{'-'.join(fold)}-seed{seed}" + ("-quick" if quick else "")
    path = folder / f"{name}.fsqb"
    if path.exists():
        return Bundle.open(path)
    config = fold_config("watch", fold, seed, epochs=2 if quick else None)
    trained = trained_run(config, open_sides(config), runs or folder / "runs")
    export_run(trained, folder / name, features=True)
    made = calibrate(str(trained.folder), folder / name)
    assert made.chosen is not None  # a run always has training windows
    build = BuildFolder(folder / name)
    write_preview(build, preview_build(build, made.chosen.first(CALIBRATION_WINDOWS), try_alternatives=False))
    build_bundle(build).save(path)
    return Bundle.open(path)


def cases(dataset: Dataset, fold: Sequence[str], seconds: Sequence[int]) -> list[Case]:
    """Return the rows of a fold: the first seconds of each recording, and each wrist for the other."""
    found = []
    for subject in fold:
        mine = [recording for recording in dataset.recordings if recording.subject == subject]
        for amount in seconds:
            size = round(amount * dataset.sample_rate_hz)
            own = tuple(cut(one, slice(0, size)) for one in mine)
            rest = tuple(cut(one, slice(size, None)) for one in mine if len(one) > size)
            found.append(Case(f"{amount} s", subject, own, rest))
        for wrist in sorted({recording.session for recording in mine}):
            here, there = (tuple(one for one in mine if (one.session == wrist) is same) for same in (True, False))
            found.append(Case("other wrist", subject, here, there))
    return found


def cut(recording: Recording, part: slice) -> Recording:
    """Return a stretch of a recording."""
    stamps = None if recording.timestamps is None else recording.timestamps[part]
    return replace(recording, samples=recording.samples[part], labels=recording.labels[part], timestamps=stamps)


def judge(bundle: Bundle, dataset: Dataset, case: Case) -> dict[str, Any]:
    """Return macro-F1 on the judged recordings before and after, float and int8; a refusal leaves the base head."""
    found = personalize(bundle, windows_of(bundle, case.own, dataset), case.subject)
    overlay = found.overlay
    base, _ = answers(bundle, dataset, case.judged, "onnx", None)
    own, away = (base, 0.0) if overlay is None else answers(bundle, dataset, case.judged, "onnx", overlay)
    int8_base, _ = answers(bundle, dataset, case.judged, INT8, None)
    int8 = int8_base if overlay is None else answers(bundle, dataset, case.judged, INT8, overlay)[0]
    return {
        "subject": case.subject,
        "windows": len(found.evidence),
        "refused": list(found.reasons),
        "method": found.choice.method if overlay is not None and found.choice else None,
        "strength": found.choice.strength if overlay is not None and found.choice else None,
        "bytes": 0 if overlay is None else len(overlay.to_bytes()),
        "base": float(macro_f1(base)),
        "personal": float(macro_f1(own)),
        "int8_base": float(macro_f1(int8_base)),
        "int8": float(macro_f1(int8)),
        "base_answered": away,
    }


def answers(
    bundle: Bundle, dataset: Dataset, recordings: Sequence[Recording], backend: str, overlay: Overlay | None
) -> tuple[Int64Array, float]:
    """Stream recordings, each as a stream of its own, and return the confusion of the raw labels.

    Returns:
        ``(counts, share)``: (K, K) row the truth; the share of windows that the guard gave to the base head.
    """
    numbers = {name: number for number, name in enumerate(bundle.classes)}
    truths = {recording.recording_id: int(recording.labels[0]) for recording in recordings}
    labels: list[int] = []
    predicted: list[int] = []
    away: dict[str, bool] = {}
    answered_by_base: list[bool] = []

    def note(record: Record) -> None:
        if isinstance(record, StreamEvent) and record.kind == "overlay":
            away[record.stream] = record.facts["head"] == "base"
        elif isinstance(record, Decision) and record.raw_label is not None:
            labels.append(numbers[dataset.classes[truths[record.stream]]])
            predicted.append(numbers[record.raw_label])
            answered_by_base.append(away.get(record.stream, False))

    rate = dataset.sample_rate_hz
    with bundle.open_session(backend, source_rate_hz=rate, deadline_ms=0.0, on_record=note, overlay=overlay) as session:
        for recording in recordings:
            session.push_many([(recording.recording_id, recording.samples, recording.timestamps)])
            session.drain(recording.recording_id)
    return confusion(labels, predicted, len(numbers)), float(np.mean(answered_by_base))


def context(bundle: Bundle, dataset: Dataset, fold: Sequence[str]) -> dict[str, float]:
    """Return macro-F1 on a fold's people without any of their data: of single windows, and smoothed over seconds.

    Smoothing is the decision chain's exponential mean; it looks back only, and starts afresh with each recording.
    """
    numbers = {name: number for number, name in enumerate(bundle.classes)}
    recordings = [recording for recording in dataset.recordings if recording.subject in fold]
    found: dict[str, float] = {}
    for span_s in CONTEXTS_S:
        settings = DecisionSettings(smoothing="ema", smoothing_ms=1000.0 * span_s) if span_s else DecisionSettings()
        truth: list[int] = []
        told: list[int] = []
        with bundle.open_session(
            "onnx", source_rate_hz=dataset.sample_rate_hz, deadline_ms=0.0, decision=settings
        ) as session:
            for recording in recordings:
                stream = recording.recording_id
                for decision in session.push_many([(stream, recording.samples, recording.timestamps)]):
                    if decision.smoothed is not None:
                        truth.append(numbers[dataset.classes[int(recording.labels[0])]])
                        told.append(int(np.argmax(decision.smoothed)))
        found[f"{span_s} s" if span_s else "none"] = float(macro_f1(confusion(truth, told, len(numbers))))
    return found


def _row(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the means over the subjects (over seeds and wrists first), with intervals over subjects."""
    subjects = sorted({one["subject"] for one in found}, key=int)
    row: dict[str, Any] = {
        "cases": len(found),
        "windows": float(np.mean([one["windows"] for one in found])),
        "refused": sum(bool(one["refused"]) for one in found),
        "base_answered": float(np.mean([one["base_answered"] for one in found])),
        "bytes": max(one["bytes"] for one in found),
    }
    by_subject = {
        key: np.array([np.mean([one[key] for one in found if one["subject"] == subject]) for subject in subjects])
        for key in ("base", "personal", "int8_base", "int8")
    }
    drawn = np.random.default_rng(0).integers(0, len(subjects), (REPLICATES, len(subjects)))
    for key, values in by_subject.items():
        interval = percentile_interval(float(values.mean()), values[drawn].mean(axis=1))
        row[key] = {
            "mean": interval.value,
            "low": interval.low,
            "high": interval.high,
            "worst_subject": float(values.min()),
            "worst_case": float(min(one[key] for one in found)),
        }
    gain = by_subject["personal"] - by_subject["base"]
    interval = percentile_interval(float(gain.mean()), gain[drawn].mean(axis=1))
    row["gain"] = {"mean": interval.value, "low": interval.low, "high": interval.high}
    return row


if __name__ == "__main__":
    OPTIONS: dict[str, dict[str, Any]] = {
        "seeds": {"type": numbers, "default": SEEDS, "help": "seeds of training (default: 0,1,2)"},
        "runs": RUNS,
        "bundles": {"type": Path, "help": "folder that keeps the bundles for the next time (default: none are kept)"},
    }
    sys.exit(run_command("personal", run, OPTIONS))
