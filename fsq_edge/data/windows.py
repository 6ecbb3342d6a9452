"""Windows inside one recording and their labels, kept as an index until the samples are wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from fsq_edge.data.recording import UNLABELLED, Dataset, Recording
from fsq_edge_runtime.arrays import BoolArray, Float32Array, Int16Array, Int64Array, IntArray, TextArray
from fsq_edge_runtime.errors import DataError, UsageError

DEFAULT_MAX_GAP_S = 0.1
MIXED_BLOCK = 1 << 14  # mixed windows whose labels are counted at a time


@dataclass(frozen=True, slots=True)
class WindowLabels:
    """Which windows count, by the labels of their samples.

    Attributes:
        rule: ``pure`` takes windows of one label. ``majority`` also takes those of which at least ``share`` has one
            label, and gives them that. ``soft`` also takes those of which at least ``share`` is labelled; training
            then aims at the shares of their labels, and their one label is the most frequent.
        share: of a window's samples, above 0, at most 1; ``pure`` does not look at it.
    """

    rule: Literal["pure", "majority", "soft"] = "pure"
    share: float = 0.5


PURE = WindowLabels()


@dataclass(frozen=True, slots=True, eq=False)
class WindowIndex:
    """Where the windows of a data set lie; N windows of C channels and T samples.

    Attributes:
        dataset: the recordings the windows are cut from.
        window_samples: T.
        hop_samples: distance of neighbouring starts.
        recording: int64 (N,), position in ``dataset.recordings``.
        start: int64 (N,), first sample of the window in its recording.
        label: int64 (N,), the label of the window, 0 <= label < classes: of all T samples, or the most frequent one
            where the rule takes mixed windows.
        subject: str (N,).
        n_mixed: windows left out because their samples have more than one label.
        n_unlabelled: windows left out because none of their samples has a label.
    """

    dataset: Dataset
    window_samples: int
    hop_samples: int
    recording: Int64Array
    start: Int64Array
    label: Int64Array
    subject: TextArray
    n_mixed: int
    n_unlabelled: int

    def __len__(self) -> int:
        return len(self.start)

    def gather(self, rows: IntArray | None = None) -> Float32Array:
        """Copy windows out of the recordings.

        Args:
            rows: which windows, int (K,), any order, repeats allowed; None takes all N.

        Returns:
            float32 (K, C, T) in raw units, C-contiguous, a copy.
        """
        recording = self.recording if rows is None else self.recording[rows]
        start = self.start if rows is None else self.start[rows]
        out = np.empty((len(start), len(self.dataset.channels), self.window_samples), np.float32)
        # One strided read per recording: neighbouring rows of one recording are taken together.
        order = np.argsort(recording, kind="stable")
        bounds = np.flatnonzero(np.diff(recording[order], prepend=-1, append=-1))
        for first, last in pairwise(bounds):
            some = order[first:last]
            samples = self.dataset.recordings[int(recording[some[0]])].samples
            windows = np.lib.stride_tricks.sliding_window_view(samples, self.window_samples, axis=0)
            out[some] = windows[start[some]]
        return out

    def take(self, rows: IntArray) -> WindowIndex:
        """Return the index of some windows (same data set, arrays copied)."""
        return replace(
            self,
            recording=self.recording[rows],
            start=self.start[rows],
            label=self.label[rows],
            subject=self.subject[rows],
        )


def cut_windows(
    dataset: Dataset,
    window_samples: int,
    hop_samples: int,
    *,
    max_gap_s: float = DEFAULT_MAX_GAP_S,
    admit_none: bool = False,
    labels: WindowLabels = PURE,
) -> WindowIndex:
    """Find every window of a data set whose labels fit a rule.

    Windows start at the first sample of each segment and then every ``hop_samples``. A segment is a recording, or
    the part of one between two holes in its timestamps: no window spans two recordings, a step longer than
    ``max_gap_s`` (and 1.5 sample periods), or a step back in time.

    Args:
        dataset: recordings.
        window_samples: T, at least 1.
        hop_samples: at least 1.
        max_gap_s: longest step between two timestamps inside a window.
        admit_none: return an empty index where no window fits, for data that are looked at before they are labelled.
        labels: which windows count; only those of one label unless said otherwise.

    Raises:
        UsageError: ``window_samples`` or ``hop_samples`` below 1.
        DataError: no window fits: every recording is shorter than T, mixed or unlabelled.

    Cost: linear in the samples; reads labels and timestamps only.
    """
    if window_samples < 1 or hop_samples < 1:
        raise UsageError(f"window_samples and hop_samples must be at least 1, got {window_samples} and {hop_samples}")
    longest_step = max(max_gap_s, 1.5 / dataset.sample_rate_hz)
    parts: list[tuple[Int64Array, Int64Array]] = []
    n_mixed = n_unlabelled = 0
    for recording in dataset.recordings:
        start = _starts(recording, window_samples, hop_samples, longest_step)
        changes = np.concatenate(([0], np.cumsum(recording.labels[1:] != recording.labels[:-1])))
        pure = changes[start + window_samples - 1] == changes[start]
        label = recording.labels[start].astype(np.int64)
        keep = pure & (label != UNLABELLED)
        if labels.rule != "pure":
            keep[~pure], label[~pure] = _mixed(recording.labels, start[~pure], window_samples, labels)
        n_mixed += int((~pure & ~keep).sum())
        n_unlabelled += int((pure & (label == UNLABELLED)).sum())
        parts.append((start[keep], label[keep]))
    counts = np.array([len(start) for start, _ in parts], np.int64)
    if not counts.any() and not admit_none:
        wanted = "label-pure window" if labels.rule == "pure" else "window"
        raise DataError(
            f"data set {dataset.name!r} has no {wanted} of {window_samples} samples "
            f"({n_mixed} mixed, {n_unlabelled} without a label)",
            hint="shorten window_samples, or label longer stretches",
        )
    recording_of = np.repeat(np.arange(len(parts)), counts)
    return WindowIndex(
        dataset=dataset,
        window_samples=window_samples,
        hop_samples=hop_samples,
        recording=recording_of,
        start=np.concatenate([start for start, _ in parts] or [np.zeros(0, np.int64)]),
        label=np.concatenate([label for _, label in parts] or [np.zeros(0, np.int64)]),
        subject=np.array([recording.subject for recording in dataset.recordings], np.str_)[recording_of],
        n_mixed=n_mixed,
        n_unlabelled=n_unlabelled,
    )


def _mixed(
    labels: Int16Array, start: Int64Array, window_samples: int, rule: WindowLabels
) -> tuple[BoolArray, Int64Array]:
    """Return which mixed windows (M,) the rule takes, and the most frequent label of each."""
    taken, most = np.zeros(len(start), np.bool_), np.zeros(len(start), np.int64)
    within = np.arange(window_samples)
    for at in range(0, len(start), MIXED_BLOCK):
        part = slice(at, at + MIXED_BLOCK)
        counts = count_labels(labels[start[part, None] + within], int(labels.max()) + 1)
        most[part] = counts.argmax(axis=1)
        covered = counts.max(axis=1) if rule.rule == "majority" else counts.sum(axis=1)
        taken[part] = covered >= max(1.0, rule.share * window_samples)
    return taken, most


def count_labels(labels: IntArray, classes: int) -> Int64Array:
    """Return how often each class occurs in each row of labels (N, T), int64 (N, classes); -1 counts for none."""
    rows = len(labels)
    place = np.arange(rows)[:, None] * (classes + 1) + labels + 1
    return np.bincount(place.ravel(), minlength=rows * (classes + 1)).reshape(rows, classes + 1)[:, 1:]


def _starts(recording: Recording, window: int, hop: int, longest_step: float) -> Int64Array:
    """Window starts (k,) inside the unbroken segments of one recording."""
    edges = segment_edges(recording, longest_step)
    return np.concatenate([np.arange(a, b - window + 1, hop, dtype=np.int64) for a, b in pairwise(edges)])


def segment_edges(recording: Recording, longest_step: float) -> Int64Array:
    """Return where the unbroken segments of a recording begin, and its length: int64 (segments + 1,), ascending.

    Args:
        recording: the series.
        longest_step: seconds between two timestamps beyond which a segment ends; so does a step back.
    """
    n = len(recording)
    if recording.timestamps is None:
        return np.array([0, n], dtype=np.int64)
    step = np.diff(recording.timestamps)
    broken = np.flatnonzero((step > longest_step) | (step < 0)) + 1
    return np.concatenate(([0], broken, [n])).astype(np.int64)
