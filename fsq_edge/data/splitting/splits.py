"""Honest splits: by subject, by recording, in time with a gap, or as the data declare them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from fsq_edge.data.recording import UNLABELLED, Dataset, subject_order
from fsq_edge.data.splitting.leaks import KeepApart, check_leaks, refuse_leaks
from fsq_edge.data.splitting.stretches import ROLES, cut_in_time
from fsq_edge_runtime.errors import DataError, UsageError


def stratified_order(dataset: Dataset, seed: int) -> list[str]:
    """Return the source recordings, shuffled, then grouped by their most frequent label.

    Taking every k-th of this order takes every class in proportion.
    """
    counts: dict[str, np.ndarray[Any, np.dtype[np.int64]]] = {}
    for recording in dataset.recordings:
        found = np.bincount(recording.labels.astype(np.int64) + 1, minlength=len(dataset.classes) + 1)[1:]
        counts[recording.origin] = counts.get(recording.origin, 0) + found
    origins = sorted(counts)
    shuffled = [origins[i] for i in np.random.default_rng(seed).permutation(len(origins))]
    return sorted(shuffled, key=lambda origin: int(counts[origin].argmax()))


def evenly(items: Sequence[str], count: int) -> set[str]:
    """Return ``count`` items spread evenly over a sequence."""
    positions = (np.arange(count) + 0.5) * len(items) / count
    return {items[int(position)] for position in positions}


def keep_origins(dataset: Dataset, origins: Collection[str]) -> Dataset:
    """Return the data set with the recordings of some sources only."""
    return replace(dataset, recordings=tuple(r for r in dataset.recordings if r.origin in origins))


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Three sides of a data set and how they were made.

    Attributes:
        train: what the model learns from.
        val: what early stopping and temperature see.
        test: what is reported.
        kind: ``by subject``, ``by recording``, ``temporal`` or ``declared``.
        description: one line for reports.
        keep_apart: what ``refuse`` holds apart.
        gap_samples: samples between two sides of one recording.
        notes: what a reader of the results must know, e.g. a class that training never sees.
    """

    train: Dataset
    val: Dataset
    test: Dataset
    kind: str
    description: str
    keep_apart: KeepApart
    gap_samples: int = 0
    notes: tuple[str, ...] = ()

    def refuse(self) -> None:
        """Run the leak check over all three sides; part of every training.

        Raises:
            DataError: two sides share what this kind of split keeps apart.
        """
        refuse_leaks(
            {"train": self.train, "val": self.val, "test": self.test},
            keep_apart=self.keep_apart,
            gap_samples=self.gap_samples,
        )


def split_by_subject(
    dataset: Dataset,
    test_subjects: Collection[str] | None,
    val_subjects: Collection[str] | None = None,
    val_share: float = 0.2,
    seed: int = 0,
) -> Split:
    """Hold out subjects.

    Args:
        dataset: at least three subjects.
        test_subjects: ids, at least one; None keeps nobody for the test.
        val_subjects: ids; None takes ``val_share`` of the others (at least one), chosen by ``seed``.
        val_share: above 0, below 1.
        seed: of that choice.

    Raises:
        UsageError: an unknown subject, one on two sides, or none left to train on.
    """
    test = _known_subjects(dataset, test_subjects, "test") if test_subjects is not None else set()
    others = [subject for subject in dataset.subjects if subject not in test]
    if val_subjects is None:
        if len(others) < 2:
            raise UsageError(
                f"{dataset.name}: {len(others)} subject left beside the test subjects, validation and training "
                "need one each",
                hint="hold out fewer subjects, or split by recording",
            )
        n_val = min(count_share(len(others), val_share), len(others) - 1)
        chosen = np.random.default_rng(seed).permutation(len(others))[:n_val]
        val = {others[i] for i in chosen}
        how = f"seeded {val_share:.0%} of the others, seed {seed}"
    else:
        val, how = _known_subjects(dataset, val_subjects, "validation"), "as given"
        if val & test:
            raise UsageError(
                f"{dataset.name}: subject {_listed(val & test)} is asked for in both test and validation",
                hint="a subject can be on one side only",
            )
    train = set(others) - val
    if not train:
        raise UsageError(f"{dataset.name}: no subject is left to train on", hint="hold out fewer subjects")
    held_out = _listed(test) if test else "nobody"
    description = f"by subject: test {held_out}; validation {_listed(val)} ({how}); training {_listed(train)}"
    sides = [dataset.select(subjects) for subjects in (train, val)]
    sides.append(dataset.select(test) if test else dataset.without_recordings())
    return build_split(sides, "by subject", description, "subject")


def split_by_recording(dataset: Dataset, test_share: float = 0.2, val_share: float = 0.2, seed: int = 0) -> Split:
    """Hold out whole recordings, each class in proportion; subjects stand on both sides.

    Args:
        dataset: at least three recordings.
        test_share: of all recordings, above 0, below 1.
        val_share: of the rest.
        seed: of the choice.

    Raises:
        UsageError: fewer than three source recordings, or a share outside 0..1.
    """
    groups = stratified_order(dataset, seed)
    if len(groups) < len(ROLES):
        raise UsageError(f"{dataset.name}: {len(groups)} recordings cannot make three sides", hint="split in time")
    n_test = min(count_share(len(groups), test_share), len(groups) - 2)
    test = evenly(groups, n_test)
    others = [group for group in groups if group not in test]
    val = evenly(others, min(count_share(len(others), val_share), len(others) - 1))
    train = set(others) - val
    description = (
        f"by recording, seed {seed}: {len(test)} of {len(groups)} for the test, {len(val)} for validation; "
        "the same subjects may stand on all sides"
    )
    sides = [keep_origins(dataset, some) for some in (train, val, test)]
    return build_split(sides, "by recording", description, "recording")


def split_temporal(
    dataset: Dataset, window_samples: int, gap_samples: int, test_share: float = 0.2, val_share: float = 0.2
) -> Split:
    """Cut every recording in time: training first, then validation, then test, with a gap between.

    Args:
        dataset: recordings in their order of time.
        window_samples: T of the windows that will be cut.
        gap_samples: left out between two sides, at least ``window_samples``.
        test_share: of each recording.
        val_share: of the rest.

    Raises:
        UsageError: the gap is shorter than a window, or a share outside 0..1.
        DataError: the recordings are too short for all three sides.
    """
    if not (0 < test_share < 1 and 0 < val_share < 1):
        raise UsageError(f"shares must lie between 0 and 1, got {test_share} and {val_share}")
    train_end = (1 - test_share) * (1 - val_share)
    edges = (0.0, train_end, 1 - test_share, 1.0)
    description = f"temporal: the last {test_share:.0%} of every recording for the test, gap {gap_samples} samples"
    sides = cut_in_time(dataset, edges, ROLES, window_samples, gap_samples)
    return build_split(sides, "temporal", description, "interval", gap_samples)


def split_as_declared(dataset: Dataset) -> Split:
    """Take the sides that the data declare: sessions named ``train``, ``val`` and ``test``, as stored windows do.

    Raises:
        DataError: a side is missing, or two sides hold the same samples.
    """
    sides = []
    for role in ROLES:
        recordings = tuple(recording for recording in dataset.recordings if recording.session == role)
        if not recordings:
            raise DataError(f"data set {dataset.name!r} declares no session {role!r}", hint="split by subject instead")
        sides.append(replace(dataset, recordings=recordings))
    keep_apart = _most_apart(sides)
    shared = {"subject": "no subject", "recording": "subjects", "interval": "recordings, but no sample"}[keep_apart]
    description = f"as the data declare it (sessions train, val, test); on two sides stand: {shared}"
    split = build_split(sides, "declared", description, keep_apart)
    if any(recording.source_id for recording in dataset.recordings):
        return split
    unknown = "the data do not name the recording behind each window: overlap between the sides cannot be checked"
    return replace(split, notes=(*split.notes, unknown))


def _most_apart(sides: Sequence[Dataset]) -> KeepApart:
    """The strictest rule that three declared sides can be held to: what they share by design is no leak."""
    reports = [check_leaks(a, b) for a, b in combinations(sides, 2)]
    if any(report.shared_recordings for report in reports):
        return "interval"
    return "recording" if any(report.shared_subjects for report in reports) else "subject"


def build_split(
    sides: Sequence[Dataset], kind: str, description: str, keep_apart: KeepApart, gap_samples: int = 0
) -> Split:
    """Put three sides together, note classes that training or the test never sees, and run the leak check.

    Raises:
        DataError: the sides leak.
    """
    train, val, test = sides
    present = [_labels_of(side) for side in sides]
    notes = []
    for what, missing in (
        ("in the test but not in training", present[2] - present[0]),
        ("in training but not in the test", present[0] - present[2]),
        ("in training but not in validation", present[0] - present[1]),
    ):
        if missing and test.recordings:
            notes.append(f"classes {what}: {', '.join(train.classes[label] for label in sorted(missing))}")
    if not test.recordings:
        notes.append("nobody is kept for the test: train --folds K measures what such a training is worth")
    split = Split(train, val, test, kind, description, keep_apart, gap_samples, tuple(notes))
    split.refuse()
    return split


def count_share(n: int, share: float) -> int:
    """Return ``share`` of n as a count, at least one.

    Raises:
        UsageError: the share does not lie between 0 and 1.
    """
    if not 0 < share < 1:
        raise UsageError(f"a share must lie between 0 and 1, got {share}")
    return max(1, round(n * share))


def _known_subjects(dataset: Dataset, subjects: Collection[str], what: str) -> set[str]:
    wanted = set(subjects)
    unknown = wanted - set(dataset.subjects)
    if unknown or not wanted:
        message = f"unknown {what} subject {_listed(unknown)}" if unknown else f"no {what} subject given"
        raise UsageError(f"{dataset.name}: {message}", hint=f"the subjects are {', '.join(dataset.subjects)}")
    return wanted


def _labels_of(side: Dataset) -> set[int]:
    found: set[int] = set()
    for recording in side.recordings:
        found.update(np.unique(recording.labels).tolist())
    return found - {UNLABELLED}


def _listed(subjects: Collection[str]) -> str:
    return ", ".join(sorted(subjects, key=subject_order))
