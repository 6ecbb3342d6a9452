"""Source recordings in an order that takes every class in proportion."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fsq_edge.data.recording import Dataset


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
