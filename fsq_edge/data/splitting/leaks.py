"""Does anything of the test stand on the training side? Asked before every training, by source interval and group."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from fsq_edge.data.recording import Dataset, subject_order
from fsq_edge.data.windows import WindowIndex
from fsq_edge_runtime.arrays import Int64Array, TextArray
from fsq_edge_runtime.errors import DataError

KeepApart = Literal["subject", "recording", "interval"]


class Extents(NamedTuple):
    """What a side covers: one row a recording or a window.

    Attributes:
        origin: str (N,), the source recording.
        start: int64 (N,), first sample in the source.
        stop: int64 (N,), one past the last.
        subject: str (N,).
    """

    origin: TextArray
    start: Int64Array
    stop: Int64Array
    subject: TextArray


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What two sides share.

    Attributes:
        keep_apart: what must not be shared: subjects, recordings (sources), or intervals of a source.
        gap_samples: samples that must lie between two intervals of one source.
        shared_subjects: subjects on both sides.
        shared_recordings: source recordings on both sides.
        n_overlaps: rows of the second side that overlap, or come closer than the gap to, a row of the first.
    """

    keep_apart: KeepApart
    gap_samples: int
    shared_subjects: tuple[str, ...]
    shared_recordings: tuple[str, ...]
    n_overlaps: int

    @property
    def problems(self) -> tuple[str, ...]:
        """What breaks the rule, one line each; empty when the sides are apart."""
        found = []
        if self.n_overlaps:
            near = f"less than {self.gap_samples} samples away from, " if self.gap_samples else ""
            found.append(f"{self.n_overlaps} stretches lie {near}or inside what the other side holds")
        if self.shared_recordings and self.keep_apart in ("subject", "recording"):
            found.append(f"recordings on both sides: {_some(self.shared_recordings)}")
        if self.shared_subjects and self.keep_apart == "subject":
            found.append(f"subjects on both sides: {_some(self.shared_subjects)}")
        return tuple(found)

    @property
    def clean(self) -> bool:
        """True when nothing breaks the rule."""
        return not self.problems


def check_leaks(
    train: Dataset | WindowIndex,
    test: Dataset | WindowIndex,
    *,
    keep_apart: KeepApart = "subject",
    gap_samples: int = 0,
) -> LeakReport:
    """Compare two sides of a split.

    Args:
        train: one side; a data set counts whole recordings, an index its windows.
        test: the other side.
        keep_apart: ``subject`` (nothing shared), ``recording`` (subjects may be), ``interval`` (recordings may be,
            but not the same samples).
        gap_samples: at least so many samples must lie between two intervals of one source recording.

    Cost: O(N log N); reads no samples.
    """
    first, second = _extents(train), _extents(test)
    return LeakReport(
        keep_apart=keep_apart,
        gap_samples=gap_samples,
        shared_subjects=tuple(sorted(set(first.subject) & set(second.subject), key=subject_order)),
        shared_recordings=tuple(sorted(set(first.origin) & set(second.origin))),
        n_overlaps=_count_overlaps(first, second, gap_samples),
    )


def refuse_leaks(
    sides: dict[str, Dataset | WindowIndex], *, keep_apart: KeepApart = "subject", gap_samples: int = 0
) -> None:
    """Check every pair of sides (train, val, test) and refuse the first leak.

    Raises:
        DataError: two sides share what must be kept apart.
    """
    for (name_a, a), (name_b, b) in combinations(sides.items(), 2):
        report = check_leaks(a, b, keep_apart=keep_apart, gap_samples=gap_samples)
        if not report.clean:
            raise DataError(
                f"the split leaks between {name_a} and {name_b}: {'; '.join(report.problems)}",
                hint="split by subject or by recording, or in time with a gap of at least a window",
            )


def _extents(side: Dataset | WindowIndex) -> Extents:
    dataset = side.dataset if isinstance(side, WindowIndex) else side
    origin = np.array([recording.origin for recording in dataset.recordings])
    start = np.array([recording.source_start for recording in dataset.recordings], np.int64)
    subject = np.array([recording.subject for recording in dataset.recordings])
    if isinstance(side, WindowIndex):
        begin = start[side.recording] + side.start
        return Extents(origin[side.recording], begin, begin + side.window_samples, subject[side.recording])
    length = np.array([len(recording) for recording in dataset.recordings], np.int64)
    return Extents(origin, start, start + length, subject)


def _count_overlaps(first: Extents, second: Extents, gap: int) -> int:
    """Count rows of ``second`` with start < stop' + gap and start' < stop + gap for some row ' of ``first``."""
    if not len(first.start) or not len(second.start):
        return 0
    _, source = np.unique(np.concatenate([first.origin, second.origin]), return_inverse=True)
    # Sources are laid end to end on one axis, further apart than any interval and gap reach.
    stride = int(max(first.stop.max(), second.stop.max())) + 2 * gap + 1
    shift_first, shift_second = np.split(source.astype(np.int64) * stride, [len(first.start)])
    start, stop = first.start + shift_first, first.stop + shift_first
    order = np.argsort(start)
    latest_stop = np.concatenate(([-1 - gap], np.maximum.accumulate(stop[order])))
    before = np.searchsorted(start[order], second.stop + shift_second + gap, side="left")
    return int((latest_stop[before] + gap > second.start + shift_second).sum())


def _some(names: tuple[str, ...], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
