"""Stretches of time: every recording cut into parts that take different sides, with a gap between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from fsq_edge.data.recording import Dataset, Recording
from fsq_edge_runtime.errors import DataError, UsageError

Role = Literal["train", "val", "test"]
ROLES: tuple[Role, ...] = ("train", "val", "test")


def cut_in_time(
    dataset: Dataset,
    edges: Sequence[float],
    roles: Sequence[Role],
    window_samples: int,
    gap_samples: int,
) -> list[Dataset]:
    """Cut every recording at shares of its length, give each stretch a role, and return train, val and test.

    Args:
        dataset: recordings.
        edges: K + 1 rising shares from 0 to 1.
        roles: K roles; neighbours of one role stay joined, a change of role costs the gap.
        window_samples: T.
        gap_samples: at least T.

    Raises:
        UsageError: the gap is shorter than a window.
        DataError: a side has no stretch of at least a window.
    """
    if gap_samples < window_samples:
        raise UsageError(
            f"a gap of {gap_samples} samples is shorter than a window of {window_samples}: windows of two sides "
            "could overlap",
            hint=f"a gap of at least {window_samples}",
        )
    parts: dict[Role, list[Recording]] = {role: [] for role in ROLES}
    for recording in dataset.recordings:
        cuts = [round(edge * len(recording)) for edge in edges]
        begin = 0
        for k, role in enumerate(roles):
            if k + 1 < len(roles) and roles[k + 1] == role:
                continue
            if cuts[k + 1] - begin >= window_samples:
                parts[role].append(recording.part(begin, cuts[k + 1]))
            begin = cuts[k + 1] + gap_samples
    for role in ROLES:
        if not parts[role]:
            raise DataError(
                f"data set {dataset.name!r}: no recording is long enough for a {role} stretch of a window",
                hint="a shorter gap, or split by recording",
            )
    return [replace(dataset, recordings=tuple(parts[role])) for role in ROLES]
