"""The page of a training run: how it went, and on what."""

from __future__ import annotations

from pathlib import Path

from fsq_edge.evaluation import figures
from fsq_edge.report.document import Section, Table
from fsq_edge.report.html import render
from fsq_edge.report.index import write_page
from fsq_edge.report.parts import Fact, Picture, Verdict, plural
from fsq_edge.training.gate import code_warnings
from fsq_edge.training.run import Run

PAGE_FILE = "training.html"


def write_training_page(run: Run) -> Path:
    """Write ``training.html`` into the run folder.

    Raises:
        UnavailableError: matplotlib or Jinja2 is not installed, or the folder cannot be written to.
    """
    split, path = run.record.split, run.folder / PAGE_FILE
    warnings = code_warnings(run.history[-1])
    held_out = "The subjects held out are for evaluate." if split.n_test else "Nobody is held out."
    reason = (
        f"On {plural(split.n_val, 'window')} of validation subjects, which chose epoch "
        f"{run.metrics['best_epoch']:.0f} of {len(run.history)}. {held_out}"
    )
    verdict = Verdict(
        "warning" if warnings else "good",
        f"validation macro-F1 {run.metrics['val_macro_f1']:.3f}",
        f"{'; '.join(warnings)}. {reason}" if warnings else reason,
    )
    subtitle = f"Run {run.folder.name!r} on {run.record.data.name}, {split.description}"
    sections = [history_section(run), configuration_section(run)]
    write_page(path, render("Training", sections, subtitle=subtitle, verdict=verdict))
    return path


def history_section(run: Run) -> Section:
    """Return the learning curves."""
    history = [
        {name: value for name, value in record.model_dump().items() if value is not None} for record in run.history
    ]
    if not history:
        return Section("Training History", "The run has no history.")
    return Section(
        "Training History",
        figures=[
            Picture(
                figures.learning_curves_figure(history),
                "Loss and scores by epoch. Epochs without validation scores are the refit on all but test subjects.",
                "learning_curves",
            )
        ],
    )


def configuration_section(run: Run) -> Section:
    """Return what was trained, on what."""
    split, data = run.record.split, run.record.data
    config, preprocess = run.config, run.preprocess
    source = "" if data.source == data.name else f" ({data.source})"
    rows: list[list[str]] = [
        ["Data", f"{data.name}{source}, {data.n_recordings} recordings"],
        ["Split", split.description],
        ["Training subjects", f"{', '.join(split.train_subjects)}; {split.n_train:,} windows"],
        ["Validation subjects", f"{', '.join(split.val_subjects) or 'none'}; {split.n_val:,} windows"],
        ["Test subjects", f"{', '.join(split.test_subjects) or 'none'}; {split.n_test:,} windows"],
        ["Channels", ", ".join(f"{channel.name} ({channel.unit})" for channel in preprocess.channels)],
        ["Window", f"{preprocess.window_samples} samples, hop {preprocess.hop_samples}, "
                   f"{preprocess.sample_rate_hz:g} Hz"],
        ["Frame", " × ".join(str(size) for size in preprocess.frame_shape)],
        ["Epochs", f"{len(run.history)}, best by validation {run.metrics['best_epoch']:.0f}"],
        ["Seed", str(config.training.seed)],
        ["Weights", run.record.model_sha256[:16]],
        ["Preprocessing", run.record.preprocess_sha256[:16]],
    ]  # fmt: skip
    facts = [
        Fact("Architecture", config.model.architecture),
        Fact("Parameters", f"{run.record.parameters:,}"),
        Fact("FSQ Levels", str(list(config.model.fsq_levels)), f"{run.model.fsq.codes} codes"),
    ]
    return Section("Model Configuration", facts=facts, tables=[Table(["setting", "value"], rows)])
