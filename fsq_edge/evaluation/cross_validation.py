"""Cross-validation by subject: every subject is scored once, by a network that never saw it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fsq_edge.data.sources import open_dataset
from fsq_edge.data.splitting.folds import folds_by_subject
from fsq_edge.evaluation.folder import write_evaluation
from fsq_edge.evaluation.metrics import Evaluation, evaluate_predictions
from fsq_edge.evaluation.report import verdict_of
from fsq_edge.evaluation.run_evaluation import RunEvaluation, evaluate_run
from fsq_edge.report.document import Section, Table, finite
from fsq_edge.report.html import render
from fsq_edge.report.index import write_page
from fsq_edge.report.markdown import to_markdown
from fsq_edge.report.parts import Fact, plural, shown_time
from fsq_edge.training import Run, TrainConfig, load_run, train
from fsq_edge.training.record import EpochRecord
from fsq_edge.training.run import RUN_FILE
from fsq_edge.training.split import source_of
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.files import write_file

TITLE = "Cross-validation"
PAGE_FILE, REPORT_FILE, SUMMARY_FILE = "folds.html", "folds.md", "folds.json"


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidation:
    """What all folds together say.

    Attributes:
        folds: the evaluation of each fold's run on its held-out subjects.
        pooled: scores of all windows together, each by the one network that never saw its subject.
    """

    folds: tuple[RunEvaluation, ...]
    pooled: Evaluation

    def to_dict(self) -> dict[str, Any]:
        """Return ``folds.json``."""
        folds = [
            {
                "run": fold.run.folder.name,
                "test_subjects": list(fold.run.record.split.test_subjects),
                "n_windows": fold.evaluation.n,
                "accuracy": fold.evaluation.accuracy,
                "macro_f1": fold.evaluation.macro_f1,
            }
            for fold in self.folds
        ]
        return {
            "schema_version": 1,
            "dataset": self.folds[0].windows.dataset,
            "n_windows": self.pooled.n,
            "accuracy": self.pooled.accuracy,
            "macro_f1": self.pooled.macro_f1,
            "majority_baseline": self.pooled.majority.accuracy,
            "folds": folds,
            "evaluation": self.pooled.to_dict(),
        }


def cross_validate(
    config: TrainConfig,
    out: Path,
    folds: int,
    *,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[EpochRecord, int], None] | None = None,
) -> CrossValidation:
    """Train and score one run a fold, and write one report over all of them.

    ``out`` then holds ``fold-1`` to ``fold-K``, each a run folder with its evaluation, and ``folds.html``, ``folds.md``
    and ``folds.json``. A fold that an earlier call finished with the same configuration is not trained again.

    Args:
        config: of every fold; its test and validation subjects are chosen here.
        out: folder, made if it is not there.
        folds: at least 2, at most one a subject.
        say: called with a line before each fold.
        progress: called after each epoch.

    Raises:
        UsageError: fewer than two folds or more than there are subjects; the configuration splits in another way.
        FsqEdgeError: as ``train`` and ``evaluate``.
    """
    if config.data.split not in (None, "subject") or config.data.test_subjects or config.data.val_subjects:
        raise UsageError("folds are made by subject: leave out data.split, test_subjects and val_subjects")
    dataset = open_dataset(source_of(config.data))
    scored = []
    for number, split in enumerate(folds_by_subject(dataset, folds, config.data.val_fraction, config.training.seed), 1):
        data = config.data.model_copy(
            update={"test_subjects": split.test.subjects, "val_subjects": split.val.subjects, "split": "subject"}
        )
        folder = out / f"fold-{number}"
        say(f"fold {number} of {folds}: held out {', '.join(split.test.subjects)}")
        run = _finished(folder, config.model_copy(update={"data": data}))
        if run is None:
            train(config.model_copy(update={"data": data}), folder, progress=progress)
            run = load_run(folder)
        scored.append(evaluate_run(run))
        write_evaluation(scored[-1], folder / "evaluation")
    result = CrossValidation(tuple(scored), _pool(scored))
    write_report(result, out)
    return result


def _finished(folder: Path, config: TrainConfig) -> Run | None:
    """Return the run of an earlier call, where it was finished with this configuration."""
    if not (folder / RUN_FILE).is_file():
        return None
    run = load_run(folder)
    return run if run.config == config else None


def _pool(folds: Sequence[RunEvaluation]) -> Evaluation:
    parts = [fold.predictions for fold in folds]
    return evaluate_predictions(
        np.concatenate([fold.predictions.probabilities(fold.temperature_used) for fold in folds]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.subjects for part in parts]),
        folds[0].run.classes,
    )


def write_report(result: CrossValidation, out: Path) -> None:
    """Write ``folds.html``, ``folds.md`` and ``folds.json``, each whole or not at all.

    Raises:
        UnavailableError: the folder cannot be written to.
    """
    parts = sections(result)
    data, made = result.folds[0].windows.dataset, shown_time(result.folds[-1].made)
    line = f"{len(result.folds)} folds by subject of {data}; {made}"
    people = plural(len(result.pooled.per_subject), "subject")
    verdict = verdict_of(result.pooled, f"of {people}, each by a network that never saw it")
    text = json.dumps(finite(result.to_dict()), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_file(out / SUMMARY_FILE, text.encode())
    write_file(out / REPORT_FILE, to_markdown(TITLE, parts, subtitle=line).encode())
    write_page(out / PAGE_FILE, render(TITLE, parts, subtitle=line, verdict=verdict))


def sections(result: CrossValidation) -> list[Section]:
    """Return the sections of the report: all windows together, the folds, classes, subjects."""
    scores, ranges = result.pooled, result.pooled.intervals
    f1 = [fold.evaluation.macro_f1 for fold in result.folds]
    facts = [
        Fact("Accuracy", f"{scores.accuracy:.4f}", f"95 % {ranges.accuracy.low:.3f} to {ranges.accuracy.high:.3f}"),
        Fact("Macro-F1", f"{scores.macro_f1:.4f}", f"95 % {ranges.macro_f1.low:.3f} to {ranges.macro_f1.high:.3f}"),
        Fact("Folds", f"{min(f1):.3f} to {max(f1):.3f}", "lowest and highest macro-F1 of a fold"),
        Fact("Majority Baseline", f"{scores.majority.accuracy:.4f}", scores.majority.made),
    ]
    text = (
        "Each window is scored by the one network that never saw its subject. The scores are of a way of training, not "
        "of one network: the one for the device is trained on all subjects, with `fsq-edge train --all-subjects`.\n\n"
        f"Intervals: {ranges.made}."
    )
    folds = Table(
        ["fold", "held out", "windows", "accuracy", "macro-F1"],
        [
            [
                number,
                ", ".join(fold.run.record.split.test_subjects),
                fold.evaluation.n,
                fold.evaluation.accuracy,
                fold.evaluation.macro_f1,
            ]
            for number, fold in enumerate(result.folds, 1)
        ],
    )
    classes = Table(
        ["class", "precision", "recall", "F1", "support"],
        [[s.name, s.precision, s.recall, s.f1, s.support] for s in scores.per_class],
    )
    subjects = Table(
        ["subject", "windows", "accuracy", "macro-F1"],
        [[s.subject, s.n, s.accuracy, s.macro_f1] for s in scores.per_subject],
    )
    return [
        Section("All subjects", text, facts),
        Section("Folds", tables=[folds]),
        Section("Classes", tables=[classes]),
        Section("Subjects", tables=[subjects]),
    ]
