"""The labelled windows of one wearer, as the network sees them, and how they are divided to judge a fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float32Array, Float64Array, Int64Array

MOST_FOLDS: Final = 4
WINDOWS_A_BLOCK: Final = 2  # fewer say nothing about a block


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """N labelled windows of one wearer, in order of time within each recording.

    Attributes:
        features: (N, F) float32 in whole steps of 1/64; F is 0 where the graph puts out none.
        codes: (N,) int64 FSQ codes.
        labels: (N,) int64 classes; the first class beyond the bundle's is the new one.
        recordings: (N,) int64, which recording (or stretch of a stream) each window is from.
        sessions: (N,) int64, which mounting or day; recordings of one session belong together.
        starts: (N,) float64 seconds within the recording.
        ends: (N,) float64 seconds within the recording.
        unusable: windows with a label that got no answer, because their quality is bad.
    """

    features: Float32Array
    codes: Int64Array
    labels: Int64Array
    recordings: Int64Array
    sessions: Int64Array
    starts: Float64Array
    ends: Float64Array
    unusable: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: BoolArray | Int64Array) -> Evidence:
        """Return some of the windows."""
        return Evidence(
            self.features[rows],
            self.codes[rows],
            self.labels[rows],
            self.recordings[rows],
            self.sessions[rows],
            self.starts[rows],
            self.ends[rows],
            self.unusable,
        )

    def blocks(self) -> Int64Array:
        """Return the block (N,) of time that each window is in, counted over all recordings and classes.

        What a recording has of a class is cut into two to four stretches with about equally many windows.
        """
        found = np.zeros(len(self), dtype=np.int64)
        following = 0
        parts = self._parts()
        for part in np.unique(parts):
            rows = np.flatnonzero(parts == part)
            count = int(np.clip(len(rows) // WINDOWS_A_BLOCK, 1, self.folds))
            found[rows] = following + np.arange(len(rows)) * count // len(rows)
            following += count
        return found

    @property
    def folds(self) -> int:
        """How many folds the blocks are dealt to: as many as most parts of one class can be cut into, 2 to 4."""
        _, sizes = np.unique(self._parts(), return_counts=True)
        usual = int(np.median(sizes)) if len(sizes) else 0
        return int(np.clip(usual // WINDOWS_A_BLOCK, 2, MOST_FOLDS))

    def block_folds(self) -> Iterator[tuple[BoolArray, BoolArray]]:
        """Yield (learnt from, judged), each (N,) bool: stretches of time held out of every recording.

        A window that shares time with a judged one is not learnt from.
        """
        blocks = self.blocks()
        for fold in range(self.folds):
            judged: BoolArray = np.asarray(blocks % self.folds == fold)
            if judged.any() and not judged.all():
                yield self._apart(judged), judged

    def recording_folds(self) -> Iterator[tuple[BoolArray, BoolArray]]:
        """Yield (learnt from, judged): whole recordings held out, where each class has two or more in a session.

        Nothing is yielded otherwise: the other recording is then of another mounting, which the guard looks after.
        """
        pairs = np.unique(np.stack([self.labels, self.sessions, self.recordings]), axis=1)
        rank = np.zeros(pairs.shape[1], dtype=np.int64)
        for column in range(pairs.shape[1]):
            before = pairs[:2, :column]
            rank[column] = int((before == pairs[:2, column : column + 1]).all(axis=0).sum())
        classes = np.unique(self.labels)
        if any(rank[pairs[0] == label].max(initial=0) < 1 for label in classes):
            return
        for fold in range(min(int(rank.max()) + 1, MOST_FOLDS)):
            held = pairs[:, rank % MOST_FOLDS == fold]
            judged = np.zeros(len(self), dtype=np.bool_)
            for label, _, recording in held.T:
                judged |= (self.labels == label) & (self.recordings == recording)
            if judged.any() and not judged.all():
                yield np.asarray(~judged), judged

    def _parts(self) -> Int64Array:
        """Return a number (N,) for the recording and class of each window together."""
        return self.recordings * (int(self.labels.max(initial=0)) + 1) + self.labels

    def _apart(self, judged: BoolArray) -> BoolArray:
        """Return (N,) bool: windows that are not judged and share no time with one that is."""
        apart: BoolArray = np.asarray(~judged)
        for recording in np.unique(self.recordings[judged]):
            mine = self.recordings == recording
            theirs = mine & judged
            for start, end in zip(self.starts[theirs], self.ends[theirs], strict=True):
                apart[mine & (self.starts <= end) & (self.ends >= start)] = False
        return apart


@dataclass(frozen=True, slots=True)
class LabelledWindow:
    """One window on its way into the evidence.

    Attributes:
        features: (F,) whole steps of 1/64, or empty.
        code: FSQ code; None where the window got no answer.
        label: class.
        recording: which recording or stretch.
        session: which mounting or day.
        start: seconds.
        end: seconds.
    """

    features: Sequence[int]
    code: int | None
    label: int
    recording: int
    session: int
    start: float
    end: float


def gather(windows: Sequence[LabelledWindow]) -> Evidence:
    """Return the evidence of windows; those without an answer are counted as unusable."""
    usable = [window for window in windows if window.code is not None]
    width = len(usable[0].features) if usable else 0
    return Evidence(
        np.array([window.features for window in usable], dtype=np.float32).reshape(len(usable), width),
        np.array([window.code for window in usable], dtype=np.int64),
        np.array([window.label for window in usable], dtype=np.int64),
        np.array([window.recording for window in usable], dtype=np.int64),
        np.array([window.session for window in usable], dtype=np.int64),
        np.array([window.start for window in usable], dtype=np.float64),
        np.array([window.end for window in usable], dtype=np.float64),
        len(windows) - len(usable),
    )
