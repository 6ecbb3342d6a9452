"""Which windows train, which choose the epoch, which are kept for the report."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from fsq_edge.data.windows import WindowIndex
from fsq_edge_runtime.errors import DataError, UsageError


@dataclass(frozen=True, slots=True, eq=False)
class WindowSplit:
    """Windows of one data set in three parts that share no subject.

    Args:
        train: fits weights and preprocessing statistics.
        val: chooses the epoch; may be empty.
        test: for ``evaluate`` alone; may be empty.
        kind: how the parts were made, for the report.
    """

    train: WindowIndex
    val: WindowIndex
    test: WindowIndex
    kind: str


def split_by_subject(
    index: WindowIndex,
    test_subjects: Collection[str],
    val_subjects: Collection[str] = (),
    *,
    val_fraction: float = 0.2,
    seed: int = 0,
) -> WindowSplit:
    """Split windows by subject.

    Args:
        index: all windows.
        test_subjects: held out for the report.
        val_subjects: held out to choose the epoch; none takes a seeded share of the subjects left.
        val_fraction: that share, rounded, at least one subject where it is above 0 and two are left.
        seed: of the share.

    Raises:
        UsageError: an unknown subject, or one in both lists.
        DataError: no subject is left to train on.
    """
    known = list(index.dataset.subjects)
    unknown = sorted({*test_subjects, *val_subjects} - set(known))
    if unknown:
        raise UsageError(
            f"{index.dataset.name}: unknown subject {', '.join(unknown)}", hint=f"the subjects are {', '.join(known)}"
        )
    both = sorted(set(test_subjects) & set(val_subjects))
    if both:
        raise UsageError(f"subject {', '.join(both)} is asked for in test and in validation")
    others = [subject for subject in known if subject not in set(test_subjects)]
    chosen = list(val_subjects)
    if not chosen and val_fraction > 0 and len(others) > 1:
        count = min(max(round(val_fraction * len(others)), 1), len(others) - 1)
        chosen = [others[i] for i in np.random.default_rng(seed).permutation(len(others))[:count]]
    trained = [subject for subject in others if subject not in set(chosen)]
    if not trained:
        raise DataError("every subject is held out, none is left to train on", hint="hold out fewer subjects")

    def part(subjects: Collection[str]) -> WindowIndex:
        return index.take(np.flatnonzero(np.isin(index.subject, list(subjects))))

    return WindowSplit(train=part(trained), val=part(chosen), test=part(test_subjects), kind="subject")
