"""Which windows train, which choose the epoch, which are kept for the report: from a configuration, repeatably."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fsq_edge.data.recording import Dataset
from fsq_edge.data.sources import open_dataset
from fsq_edge.data.splitting.splits import (
    Split,
    count_share,
    split_as_declared,
    split_by_recording,
    split_by_subject,
    split_temporal,
)
from fsq_edge.data.windows import PURE, WindowIndex, WindowLabels, cut_windows
from fsq_edge.training.config import DataSection, TrainConfig
from fsq_edge_runtime.errors import DataError, UsageError

DEFAULT_WINDOW_SAMPLES = 100


@dataclass(frozen=True, slots=True, eq=False)
class WindowSides:
    """Windows of one data set in three parts that the leak check has passed.

    Attributes:
        train: fits weights and preprocessing statistics.
        val: chooses the epoch.
        test: for ``evaluate`` alone.
        split: how the parts were made.
    """

    train: WindowIndex
    val: WindowIndex
    test: WindowIndex
    split: Split


def source_of(section: DataSection) -> str:
    """Return the data source of a configuration: ``source``, or the folder of the stored windows.

    Raises:
        UsageError: neither is given, or the stored windows lie in more than one folder.
    """
    if section.source is not None:
        return section.source
    paths = [path for path in (section.train_path, section.val_path, section.test_path) if path is not None]
    folders = {str(Path(path).parent) for path in paths}
    if section.train_path is None:
        raise UsageError("no data source", hint="--data watch, --data quadruped or --data folder:PATH")
    if len(folders) > 1:
        raise UsageError(
            f"the stored windows lie in {len(folders)} folders, expected one: {', '.join(sorted(folders))}"
        )
    return f"folder:{folders.pop()}"


def window_samples(dataset: Dataset, config: TrainConfig) -> int:
    """Return T: as configured, else 100, or the length of the longest recording where all are shorter.

    Raises:
        DataError: no recording is as long as the fold has rows.
    """
    if config.preprocessing.window_samples is not None:
        return config.preprocessing.window_samples
    rows = config.preprocessing.rows
    samples = min(DEFAULT_WINDOW_SAMPLES, max(len(recording) for recording in dataset.recordings)) // rows * rows
    if samples < 2:
        raise DataError(f"data set {dataset.name!r} has no recording that is long enough for a window")
    return samples


def make_split(dataset: Dataset, config: TrainConfig) -> Split:
    """Split a data set as a configuration says; the same configuration gives the same split.

    Raises:
        UsageError: an unknown subject, or nothing left to train on.
        DataError: the split leaks, or a part is empty.
    """
    section, seed = config.data, config.training.seed
    kind = section.split or ("subject" if section.train_path is None or section.source else "declared")
    if kind == "declared":
        return split_as_declared(dataset)
    if kind == "recording":
        return split_by_recording(dataset, section.test_fraction, section.val_fraction, seed)
    if kind == "temporal":
        samples = window_samples(dataset, config)
        return split_temporal(dataset, samples, samples, section.test_fraction, section.val_fraction)
    test = [str(subject) for subject in section.test_subjects] or None
    if test is None and section.test_fraction:
        test = _share_of_subjects(dataset, section.test_fraction)
    val = [str(subject) for subject in section.val_subjects] or None
    return split_by_subject(dataset, test, val, section.val_fraction, seed)


def _share_of_subjects(dataset: Dataset, share: float) -> list[str]:
    """Always the same subjects: runs with other seeds then report on the same people."""
    if len(dataset.subjects) < 3:
        raise UsageError(
            f"{dataset.name} has {len(dataset.subjects)} subjects, a split by subject needs three",
            hint="set data.split to recording or temporal in the configuration",
        )
    order = np.random.default_rng(0).permutation(len(dataset.subjects))
    return [dataset.subjects[i] for i in order[: count_share(len(order), share)]]


def cut_sides(dataset: Dataset, config: TrainConfig) -> WindowSides:
    """Split a data set and cut each part into windows: of one label, or for training by ``windows.labels``.

    Raises:
        UsageError: see ``make_split``.
        DataError: a part has no window.
    """
    split = make_split(dataset, config)
    samples = window_samples(dataset, config)
    hop = config.preprocessing.hop_samples or max(samples // 2, 1)
    train, val, test = (
        cut_windows(side, samples, hop, max_gap_s=gap_seconds(config), admit_none=not side.recordings, labels=rule)
        for side, rule in ((split.train, window_labels(config)), (split.val, PURE), (split.test, PURE))
    )
    return WindowSides(train, val, test, split)


def gap_seconds(config: TrainConfig) -> float:
    """Return the longest step between two timestamps inside a window."""
    return config.preprocessing.max_gap_ms / 1000.0


def window_labels(config: TrainConfig) -> WindowLabels:
    """Return which windows train, by their labels."""
    return WindowLabels(config.windows.labels, config.windows.share)


def open_sides(config: TrainConfig) -> WindowSides:
    """Open the data source of a configuration and return its windows in three parts."""
    return cut_sides(open_dataset(source_of(config.data)), config)
