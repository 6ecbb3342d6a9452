"""Events in a label stream, and how well decisions find them: false events, misses, onset delay.

The matching rule, per class. An event of the truth is a stretch of samples with one label, ``[onset, offset)``. An
event of the stream is a run of decisions with one label; ``unknown`` is none, and a window without an answer
(abstained, missed) neither begins nor ends one. Decisions count at the time of their window's last sample.

* A true event is found when some decision of its class lies in ``[onset, offset + tolerance)``, and missed when none
  does. Its delay is the time from the onset to the first of them.
* An event of the stream is false when none of its decisions lies in such an interval of its class. One that begins
  where the truth has no label is not judged.
* An event of the stream that such an interval explains, but that is the first to find none, is a repeat: right, but
  reported again.
* An event of the truth that begins less than the tolerance before the last decision is cut off by the end of the
  recording: it is neither found nor missed, though it explains decisions.

The tolerance is the length of a window: until then the window still holds samples of the event.

Source: overlap decides, as in the streaming benchmark of MLPerf Tiny (mlcommons/tiny, streaming_wakeword: positive
until 0.5 s after the word is found, positive beyond 1 s after it is false) and in Ward, Lukowicz, Gellersen 2011, ACM
TIST 2(1) 6, for classes that follow one another: inserted, deleted, fragmented are here false, missed, repeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float64Array, Int64Array, IntArray

NO_EVENT = -1  # `unknown` in decisions, no label in the truth
NO_ANSWER = -2  # abstained or missed


class Event(NamedTuple):
    """A stretch of one label.

    Attributes:
        label: class index.
        onset: time of its first sample, seconds.
        offset: time at which it is over, seconds.
    """

    label: int
    onset: float
    offset: float


def label_events(labels: IntArray, times: Float64Array, *, classes: int, period_s: float) -> list[Event]:
    """Return the events of a labelled recording.

    Args:
        labels: (n,) class of each sample; below 0 for no label, ``classes`` or above for none of the classes.
        times: (n,) seconds, ascending.
        classes: K.
        period_s: time that the last sample of a stretch stands for.

    Example:
        >>> label_events(np.array([0, 0, 1, -1]), np.arange(4.0), classes=2, period_s=1.0)
        [Event(label=0, onset=0.0, offset=2.0), Event(label=1, onset=2.0, offset=3.0)]
    """
    edges = np.flatnonzero(np.diff(labels)) + 1
    starts, ends = np.concatenate(([0], edges)), np.concatenate((edges, [len(labels)]))
    return [
        Event(int(labels[start]), float(times[start]), float(times[end - 1]) + period_s)
        for start, end in zip(starts, ends, strict=True)
        if end > start and 0 <= labels[start] < classes
    ]


class Truth:
    """What one stream should have said, laid out on the times of its decisions.

    Args:
        labels: (n,) class of each sample; below 0 for no label, ``classes`` or above for none of the classes, where
            every event is false; n >= 1.
        times: (n,) seconds, ascending.
        decided: (T,) seconds, ascending: time of each decision, that of its window's last sample.
        classes: K.
        tolerance_s: how long after its offset an event may still be found; the length of a window.
        period_s: time between samples.

    Attributes:
        classes: K.
        events: that are scored, in order of time; those that the end cuts off are not.
        spans: per scored event, (first, last + 1) of the decisions that may find it.
        explained: (2, K, T) int64, 1 where the truth explains a decision of that class: by any event, by a scored one.
        labelled_s: seconds that have a label.
        at: (T,) label of the truth at each decision, below 0 for none.
    """

    def __init__(
        self,
        labels: IntArray,
        times: Float64Array,
        decided: Float64Array,
        *,
        classes: int,
        tolerance_s: float,
        period_s: float,
    ) -> None:
        self.classes, self.decided = classes, decided
        self.labelled_s = float((labels >= 0).sum()) * period_s
        events = label_events(labels, times, classes=classes, period_s=period_s)
        slack = period_s / 4  # a decision's time may lie that far from the sample it stands for
        onsets = np.array([event.onset for event in events]) - slack
        ends = np.array([event.offset for event in events]) + (tolerance_s - slack)
        spans = np.column_stack([np.searchsorted(decided, onsets), np.searchsorted(decided, ends)]).tolist()
        self.explained = np.zeros((2, classes, len(decided)), dtype=np.int64)
        self.events: list[Event] = []
        self.spans: list[tuple[int, int]] = []
        for event, (first, last) in zip(events, spans, strict=True):
            self.explained[0, event.label, first:last] = 1
            if event.onset + tolerance_s - slack <= decided[-1]:
                self.explained[1, event.label, first:last] = 1
                self.events.append(event)
                self.spans.append((first, last))
        self.at = labels[np.clip(np.searchsorted(times, decided + slack) - 1, 0, len(labels) - 1)]


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What came of many label streams over the same decisions; S of them, E events in the truth.

    Attributes:
        found: (S, E) bool.
        delay_s: (S, E) seconds from onset to the first decision of the class; NaN where missed.
        false: (S, K) events of the stream that no event of the truth explains, by class.
        repeats: (S,) events of the stream beyond the first for one event of the truth.
    """

    found: BoolArray
    delay_s: Float64Array
    false: Int64Array
    repeats: Int64Array


def tally_events(labels: IntArray, truth: Truth) -> Tally:
    """Count events in S label streams.

    Args:
        labels: (S, T) decided class by stream and decision; ``NO_EVENT`` or ``NO_ANSWER`` where there is none.
        truth: of T decisions.

    Cost: linear in S * T.
    """
    labels = _hold(labels)
    streams = len(labels)
    changes = np.ones(labels.shape, dtype=np.bool_)
    changes[:, 1:] = labels[:, 1:] != labels[:, :-1]
    run_of = np.cumsum(changes, axis=1)
    found = np.zeros((streams, len(truth.events)), dtype=np.bool_)
    delay = np.full(found.shape, np.nan)
    finder = np.zeros(found.shape, dtype=np.int64)
    for index, (event, (first, last)) in enumerate(zip(truth.events, truth.spans, strict=True)):
        if last <= first:
            continue
        hit = labels[:, first:last] == event.label
        at = hit.argmax(axis=1) + first
        found[:, index] = hit.any(axis=1)
        delay[:, index] = np.maximum(truth.decided[at] - event.onset, 0.0)
        finder[:, index] = np.where(found[:, index], run_of[np.arange(streams), at], 0)
    delay[~found] = np.nan
    false, explained = _judge_runs(labels, changes, truth)
    return Tally(found, delay, false, explained - _distinct(finder))


def _hold(labels: IntArray) -> IntArray:
    """Return the streams with each window that has no answer taking the label before it."""
    silent = labels == NO_ANSWER
    if not silent.any():
        return labels
    held = labels.copy()
    held[silent[:, 0], 0] = NO_EVENT
    silent[:, 0] = False
    steps = np.where(silent, 0, np.arange(labels.shape[1]))
    return np.take_along_axis(held, np.maximum.accumulate(steps, axis=1), axis=1)


def _judge_runs(labels: IntArray, changes: BoolArray, truth: Truth) -> tuple[Int64Array, Int64Array]:
    """Return how many runs of decisions are false (S, K), and how many a scored event explains (S,)."""
    streams, steps = labels.shape
    stream, start = np.nonzero(changes)
    end = np.append(start[1:], 0)
    end[end == 0] = steps  # the next run is another stream's first
    label = labels[stream, start]
    real = label >= 0
    stream, start, end, label = stream[real], start[real], end[real], label[real]
    so_far = np.cumsum(np.pad(truth.explained, ((0, 0), (0, 0), (1, 0))), axis=2)
    explained, scored = so_far[:, label, end] > so_far[:, label, start]
    false = ~explained & (truth.at[start] >= 0)
    counts = np.bincount(stream[false] * truth.classes + label[false], minlength=streams * truth.classes)
    return counts.reshape(streams, truth.classes), np.bincount(stream[scored], minlength=streams)


def _distinct(runs: Int64Array) -> Int64Array:
    """Return how many different runs above 0 stand in each row of (S, E)."""
    ordered = np.sort(runs, axis=1)
    new = np.diff(ordered, axis=1, prepend=0) > 0
    return np.asarray(new.sum(axis=1), dtype=np.int64)
