"""k-fold cross-validation of every honest split."""

from __future__ import annotations

import numpy as np

from fsq_edge.data.recording import Dataset
from fsq_edge.data.splitting.splits import (
    Split,
    build_split,
    count_share,
    evenly,
    keep_origins,
    split_by_subject,
    stratified_order,
)
from fsq_edge.data.splitting.stretches import Role, cut_in_time
from fsq_edge_runtime.errors import UsageError


def folds_by_subject(dataset: Dataset, k: int, val_share: float = 0.2, seed: int = 0) -> tuple[Split, ...]:
    """Hold out every subject once, in k groups.

    Args:
        dataset: at least max(3, k) subjects.
        k: folds, at least 2.
        val_share: of the subjects that are not held out.
        seed: of the groups and of the validation choice.

    Raises:
        UsageError: more folds than subjects, or fewer than two.
    """
    subjects = dataset.subjects
    _check_count(dataset, k, len(subjects), "subjects")
    order = np.random.default_rng(seed).permutation(len(subjects))
    groups = [{subjects[i] for i in part} for part in np.array_split(order, k)]
    return tuple(split_by_subject(dataset, group, val_share=val_share, seed=seed) for group in groups)


def folds_by_recording(dataset: Dataset, k: int, val_share: float = 0.2, seed: int = 0) -> tuple[Split, ...]:
    """Hold out every recording once, each class spread over the k folds.

    Args:
        dataset: at least max(3, k) recordings.
        k: folds, at least 2.
        val_share: of the recordings that are not held out.
        seed: of the order.

    Raises:
        UsageError: more folds than recordings, or fewer than two.
    """
    order = stratified_order(dataset, seed)
    _check_count(dataset, k, len(order), "recordings")
    splits = []
    for fold in range(k):
        test = set(order[fold::k])
        others = [origin for origin in order if origin not in test]
        if len(others) < 2:
            raise UsageError(f"{dataset.name}: fold {fold + 1} leaves {len(others)} recording to train and validate on")
        val = evenly(others, min(count_share(len(others), val_share), len(others) - 1))
        sides = [keep_origins(dataset, some) for some in (set(others) - val, val, test)]
        description = f"by recording: fold {fold + 1} of {k}, seed {seed}; the same subjects may stand on all sides"
        splits.append(build_split(sides, "by recording", description, "recording"))
    return tuple(splits)


def folds_temporal(dataset: Dataset, k: int, window_samples: int, gap_samples: int) -> tuple[Split, ...]:
    """Cut every recording into k stretches of time; each is the test once, the next one validates.

    Args:
        dataset: recordings in their order of time.
        k: folds, at least 3: test, validation and training need a stretch each.
        window_samples: T.
        gap_samples: left out wherever the side changes, at least T.

    Raises:
        UsageError: fewer than three folds, or a gap shorter than a window.
        DataError: the recordings are too short.
    """
    if k < 3:
        raise UsageError(f"temporal folds need at least 3 stretches, got {k}")
    edges = tuple(i / k for i in range(k + 1))
    splits = []
    for fold in range(k):
        roles: list[Role] = ["train"] * k
        roles[fold], roles[(fold + 1) % k] = "test", "val"
        description = f"temporal: stretch {fold + 1} of {k} of every recording for the test, gap {gap_samples} samples"
        sides = cut_in_time(dataset, edges, roles, window_samples, gap_samples)
        splits.append(build_split(sides, "temporal", description, "interval", gap_samples))
    return tuple(splits)


def _check_count(dataset: Dataset, k: int, available: int, what: str) -> None:
    if not 2 <= k <= available:
        raise UsageError(f"{dataset.name}: {k} folds of {available} {what}", hint=f"2 to {available} folds")
