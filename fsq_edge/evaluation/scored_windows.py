"""Which windows a run is scored on: its own held-out part, or another data set of the same channels and classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fsq_edge.data.recording import Dataset, subject_order
from fsq_edge.data.sources import open_dataset
from fsq_edge.data.windows import WindowIndex, cut_windows
from fsq_edge.training.run import Run
from fsq_edge_runtime.errors import DataError, MissingInputError

NOMINAL_TOLERANCE, MEASURED_TOLERANCE = 1e-3, 0.05  # of the rate that a run was trained at

Part = Literal["test", "val"]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredWindows:
    """Windows to score a run on.

    Attributes:
        index: the windows; labels are indices into the run's classes.
        dataset: name of the data set.
        source: as the data set was opened.
        part: ``test`` or ``val`` of the run's split, or ``all`` of another data set.
        description: one line: how the windows were held out.
        notices: what a reader must know about them.
        validation: windows to fit the temperature on; None where the run's data are gone.
    """

    index: WindowIndex
    dataset: str
    source: str
    part: str
    description: str
    notices: tuple[str, ...]
    validation: WindowIndex | None


def choose_windows(run: Run, part: Part, source: str | None = None) -> ScoredWindows:
    """Choose windows.

    Args:
        run: the run to be scored.
        part: which part of the run's own split.
        source: another place to read from. A data set of the run's name is taken for the same data moved and has to
            split as it did; any other is scored whole.

    Raises:
        DataError: no such part, other channels or rate, a class the model does not know, or no usable data.
        MissingInputError: the source is gone.
        UsageError: an unknown source.
    """
    if source is not None:
        dataset = open_dataset(source)
        if dataset.name != run.record.data.name:
            return _foreign(run, _aligned(run, dataset), source)
        data = run.record.data.model_copy(update={"source": source})
        run = replace(run, record=run.record.model_copy(update={"data": data}))
    sides = run.windows()
    return _own(run, part, sides.test if part == "test" else sides.val, sides.val)


def validation_windows(run: Run) -> WindowIndex | None:
    """Return the validation windows of a run's own data; None where the data are gone."""
    try:
        return run.windows().val
    except MissingInputError:
        return None


def _own(run: Run, part: Part, index: WindowIndex, validation: WindowIndex) -> ScoredWindows:
    """Describe a part of the run's own split."""
    split = run.record.split
    if part == "test" and not split.n_test:
        raise DataError(
            "this run was trained on all subjects: none is left to score it on",
            hint="fsq-edge train --folds K measures such a training; --data scores the run on other recordings",
        )
    notices = []
    if part == "val":
        notices.append(
            "Validation split: these windows chose the epoch and the temperature, so the scores are optimistic. "
            "They are of the best epoch's weights; the final ones may have learnt from these windows."
        )
    if any(word in f"{split.kind} {split.description}".lower() for word in ("random", "forced")):
        notices.append(
            "Random split: windows of the same recordings stand on both sides, so the scores say nothing about new "
            "subjects or recordings."
        )
    subjects = sorted({str(subject) for subject in index.subject}, key=subject_order)
    made = f"{split.kind}, {'held out' if part == 'test' else 'validation'} {', '.join(subjects)}"
    return ScoredWindows(
        index=index,
        dataset=run.record.data.name,
        source=run.record.data.source,
        part=part,
        description=made if split.kind == "by subject" else f"{part}; {split.description}",
        notices=(*notices, *split.notes),
        validation=validation,
    )


def _foreign(run: Run, index: WindowIndex, source: str) -> ScoredWindows:
    """Describe another data set, scored whole."""
    dataset = index.dataset
    known = {*run.record.split.train_subjects, *run.record.split.val_subjects}
    shared = sorted(known & set(dataset.subjects), key=subject_order)
    notices = []
    if shared:
        notices.append(
            f"Subjects {', '.join(shared)} have the names of training or validation subjects: make sure that they are "
            "not the same."
        )
    return ScoredWindows(
        index=index,
        dataset=dataset.name,
        source=source,
        part="all",
        description=f"all windows of {dataset.name}, another data set than the run's",
        notices=tuple(notices),
        validation=validation_windows(run),
    )


def _aligned(run: Run, dataset: Dataset) -> WindowIndex:
    """Cut windows as the run did and name their labels by the run's classes."""
    dataset.require_channels(run.preprocess.channels, "the run")
    # Two devices of one nominal rate differ by some percent, as their measured rates say.
    tolerance = NOMINAL_TOLERANCE if dataset.measured_rate_hz is None else MEASURED_TOLERANCE
    if not np.isclose(dataset.true_rate_hz, run.preprocess.sample_rate_hz, rtol=tolerance):
        raise DataError(
            f"data set {dataset.name!r} has {dataset.true_rate_hz:g} samples a second, the run was trained on "
            f"{run.preprocess.sample_rate_hz:g}",
            hint="resample the recordings",
        )
    index = cut_windows(dataset, run.preprocess.window_samples, run.preprocess.hop_samples)
    place = {name: number for number, name in enumerate(run.classes)}
    renamed = np.array([place.get(name, -1) for name in dataset.classes], np.int64)
    label = renamed[index.label]
    if (label < 0).any():
        name = dataset.classes[int(index.label[label < 0][0])]
        raise DataError(
            f"unknown class {name!r}: {int((label < 0).sum())} windows of {dataset.name!r} have a label that the "
            "model was not trained on",
            hint=f"its classes are {', '.join(run.classes)}",
        )
    return replace(index, label=label)
