"""Intervals laid over the time of a recording: which label each stretch gets, and where every second went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fsq_edge_runtime.arrays import Float64Array, Int16Array

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Placed:
    """An interval on the sensor's clock.

    Args:
        start: seconds.
        stop: seconds, not included.
        label: number of its class, at least 0.
    """

    start: float
    stop: float
    label: int


@dataclass(frozen=True, slots=True)
class Seconds:
    """Where the seconds of the intervals went; the parts add up to ``intervals``.

    Args:
        intervals: all of them together.
        labelled: that label samples.
        trimmed: at the borders.
        overlapping: that another interval took.
        outside: before, after, or in a hole of the recording.
    """

    intervals: float = 0.0
    labelled: float = 0.0
    trimmed: float = 0.0
    overlapping: float = 0.0
    outside: float = 0.0

    def __add__(self, other: Seconds) -> Seconds:
        """Return the sum."""
        return Seconds(
            self.intervals + other.intervals,
            self.labelled + other.labelled,
            self.trimmed + other.trimmed,
            self.overlapping + other.overlapping,
            self.outside + other.outside,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Painting:
    """The result of laying intervals over spans.

    Args:
        bounds: float64 (k + 1,) rising instants.
        labels: int16 (k,) the label between them, -1 for none.
        seconds: where the intervals' seconds went.
    """

    bounds: Float64Array
    labels: Int16Array
    seconds: Seconds

    def at(self, times: Float64Array) -> Int16Array:
        """Return the label at each time, int16 (n,)."""
        found = np.full(len(times), -1, np.int16)
        if len(self.labels):
            place = np.searchsorted(self.bounds, times, "right") - 1
            inside = (place >= 0) & (place < len(self.labels))
            found[inside] = self.labels[place[inside]]
        return found


def paint(intervals: Sequence[Placed], spans: Sequence[Span], trim_s: float = 0.0) -> Painting:
    """Lay intervals over spans; a later one covers an earlier one.

    Args:
        intervals: in the order in which they are laid.
        spans: stretches of time that the recording has, in order and apart.
        trim_s: taken off both ends of each interval.
    """
    if not intervals:
        return Painting(np.empty(0), np.empty(0, np.int16), Seconds())
    whole = np.array([(entry.start, entry.stop) for entry in intervals])
    core = whole + np.array([trim_s, -trim_s])
    core[core[:, 1] < core[:, 0]] = whole.mean(axis=1)[core[:, 1] < core[:, 0], None]
    edges = np.array(list(spans), np.float64).reshape(-1)
    bounds = np.unique(np.concatenate([whole.reshape(-1), core.reshape(-1), edges]))
    length = np.diff(bounds)
    inside = np.zeros(len(length), np.bool_)
    for begin, end in spans:
        inside[np.searchsorted(bounds, begin) : np.searchsorted(bounds, end)] = True
    labels = np.full(len(length), -1, np.int16)
    depth, depth_core = np.zeros(len(length), np.int64), np.zeros(len(length), np.int64)
    for entry, (begin, end), (core_begin, core_end) in zip(intervals, whole, core, strict=True):
        depth[np.searchsorted(bounds, begin) : np.searchsorted(bounds, end)] += 1
        part = slice(int(np.searchsorted(bounds, core_begin)), int(np.searchsorted(bounds, core_end)))
        depth_core[part] += 1
        labels[part] = entry.label
    labels[~inside] = -1
    seconds = Seconds(
        intervals=float((whole[:, 1] - whole[:, 0]).sum()),
        labelled=float(length[inside & (depth_core > 0)].sum()),
        trimmed=float((length * (depth - depth_core))[inside].sum()),
        overlapping=float((length * np.maximum(depth_core - 1, 0))[inside].sum()),
        outside=float((length * depth)[~inside].sum()),
    )
    return Painting(bounds, labels, seconds)


def first_overlap(intervals: Sequence[Placed]) -> tuple[int, int] | None:
    """Return the positions of two intervals of different labels that overlap; None where there are none."""
    order = sorted(range(len(intervals)), key=lambda i: (intervals[i].start, intervals[i].stop))
    active: list[int] = []
    for i in order:
        active = [j for j in active if intervals[j].stop > intervals[i].start]
        for j in active:
            if intervals[j].label != intervals[i].label:
                return j, i
        active.append(i)
    return None
