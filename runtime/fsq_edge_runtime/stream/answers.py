"""From what the network said about a window to its record, and to what its stream remembers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.backends.base import Backend
from fsq_edge_runtime.decision import UNKNOWN, UNKNOWN_LABEL
from fsq_edge_runtime.feature_statistics import in_steps
from fsq_edge_runtime.label_tail import against_thresholds
from fsq_edge_runtime.preprocess import PreprocessConfig
from fsq_edge_runtime.stream.chains import Rows
from fsq_edge_runtime.stream.cohort import Cohort
from fsq_edge_runtime.stream.head import DecisionHead, StreamHead
from fsq_edge_runtime.stream.quality import ROTATION_FLAG
from fsq_edge_runtime.stream.records import Decision, StreamEvent
from fsq_edge_runtime.stream.state import StreamState

DOUBTED_WINDOWS = 20  # after one whose rotation shows another unit: a sensor does not change its unit
NO_STAGES: tuple[int, ...] = (0, 0, 0, 0, 0)


Place = tuple[StreamState, int, float, float, tuple[str, ...]]  # what a Due holds, at half the cost to make
# Of a code: its class, the name and the probability of that, the code, the backend, all probabilities.
Plain = tuple[int, str, float, int, str, tuple[float, ...]]


class Due(NamedTuple):
    """A window taken off its stream.

    Attributes:
        state: its stream.
        seq: number of the window in its stream.
        t_start: source time of its first grid sample, seconds.
        t_end: source time of its last grid sample, seconds.
        flags: what its quality check found; empty when it is sound.
    """

    state: StreamState
    seq: int
    t_start: float
    t_end: float
    flags: tuple[str, ...]


new_tuple = tuple.__new__  # half the cost of Decision(...), which is paid for every window


def place(state: StreamState, start: int, config: PreprocessConfig, flags: tuple[str, ...] = ()) -> Due:
    """Take the window that starts at a grid index off its stream: number it and count it."""
    seq = state.seq
    state.seq = seq + 1
    state.counters.windows += 1
    t0, rate = state.t0, config.sample_rate_hz
    return Due(state, seq, t0 + start / rate, t0 + (start + config.window_samples - 1) / rate, flags)


def doubted(due: Due) -> Due:
    """Flag the windows after one that turned too fast: a slow one is in that unit too, but does not show it."""
    state = due.state
    if ROTATION_FLAG in due.flags:
        state.doubted_until = due.seq + DOUBTED_WINDOWS
    elif due.seq < state.doubted_until:
        return due._replace(flags=(*due.flags, ROTATION_FLAG))
    return due


class Answers:
    """Makes records.

    Args:
        classes: of the bundle.
        backend: whose name the records bear.
        host: whether a host graph runs behind the device graph, a stage of its own.
        keep_features: put the features into every decision.

    Attributes:
        events: ``overlay`` events of the latest window; whoever reports them empties the list.
    """

    def __init__(self, classes: Sequence[str], backend: Backend, *, host: bool, keep_features: bool) -> None:
        self.events: list[StreamEvent] = []
        self._classes, self._backend, self._keep_features = classes, backend, keep_features
        self._named = (*classes, UNKNOWN_LABEL)  # UNKNOWN is -1, the last
        self._no_stages = (0, *NO_STAGES) if host else NO_STAGES

    def answered(
        self,
        due: Place,
        head: StreamHead,
        mark: int,
        t: Float32Array,
        spent: tuple[int, ...],
        inferred: int,
        arrived: int,
    ) -> Decision:
        """Return the record of a window that the network answered.

        Args:
            due: the window.
            head: of the backend that answered.
            mark: what the head made of ``t``; -1 where that is not a number.
            t: (D,), and the features behind it.
            spent: nanoseconds of every stage before the decision.
            inferred: monotonic nanoseconds at which the answer was there.
            arrived: at which the window's last samples had arrived.
        """
        if mark < 0:
            return self.unanswered(due, "backend")
        state, seq, t_start, t_end, flags = due
        probabilities: Sequence[float]
        smoothed: Sequence[float]
        code, raw, probabilities = head.known.get(mark) or head.answer(mark, t)
        classes, wearer, chain = self._classes, state.wearer, state.chain
        if state.lesson is not None:
            state.lesson.see(mark, t, t_start, t_end)
        if wearer is not None:
            raw, probabilities = wearer.judge(mark, t, raw, probabilities)
            classes = wearer.head.classes
            if wearer.changed:
                wearer.changed = False
                self.events.append(StreamEvent("overlay", state.name, {"t": t_end, **wearer.facts()}))
        bars = head.thresholds
        if bars is not None:
            label, smoothed = chain.step(against_thresholds(probabilities, bars))
        elif chain.plain:
            label, smoothed = chain.take(raw), probabilities
        else:
            label, smoothed = chain.step(probabilities)
        state.counters.decided += 1
        if label == UNKNOWN:
            name, confidence = UNKNOWN_LABEL, max(smoothed)
        else:
            name, confidence = classes[label], smoothed[label]
        done = time.monotonic_ns()
        return new_tuple(
            Decision,
            (
                seq,
                state.name,
                t_start,
                t_end,
                name,
                classes[raw],
                confidence,
                code,
                flags,
                self._backend.name,
                None,
                probabilities,
                smoothed,
                (*spent, done - inferred, done - arrived),
                None if bars is None else self._reached(smoothed),
                tuple(in_steps(t[head.tail.width :]).astype(int).tolist()) if self._keep_features else None,
            ),
        )

    def answered_together(
        self,
        cohort: Cohort,
        rows: Rows,
        head: DecisionHead,
        codes: Int64Array,
        spent: tuple[int, ...],
        inferred: int,
        arrived: int,
    ) -> list[Decision]:
        """Return the records of the due windows of a cohort; arguments as of :meth:`answered`, codes 0 or more."""
        found = codes.tolist()
        if cohort.chains.plain:
            cohort.chains.take(np.asarray(head.raw)[codes], rows)
            places = zip(*cohort.pass_on(rows), strict=True)
            done = time.monotonic_ns()
            stages = (*spent, (done - inferred) // len(found), done - arrived)
            told = {}
            for code in set(found):
                _, name, sure, _, backend, shares = self.plainly(code, head)
                told[code] = name, name, sure, code, (), backend, None, shares, shares, stages, None, None
            return [new_tuple(Decision, place + told[code]) for place, code in zip(places, found, strict=True)]
        labels, smoothed, confidence = cohort.chains.step(head.scores[codes], rows)
        seq, names, t_start, t_end = cohort.pass_on(rows)
        _, raw, probabilities = zip(*map(head.answer, found), strict=True)
        done = time.monotonic_ns()
        columns = zip(
            seq,
            names,
            t_start,
            t_end,
            map(self._named.__getitem__, labels.tolist()),
            map(self._classes.__getitem__, raw),
            confidence.tolist(),
            found,
            repeat(()),
            repeat(self._backend.name),
            repeat(None),
            probabilities,
            smoothed.tolist() if cohort.chains.decays else probabilities,
            repeat((*spent, (done - inferred) // len(found), done - arrived)),
            repeat(None),
            repeat(None),
        )
        return [new_tuple(Decision, row) for row in columns]

    def plainly(self, code: int, head: DecisionHead) -> Plain:
        """Return what a record says of a code where its best class is the label."""
        _, raw, probabilities = head.answer(code)
        return raw, self._classes[raw], probabilities[raw], code, self._backend.name, probabilities

    def unanswered(self, due: Place, missed: str | None) -> Decision:
        """Return the record of a window that abstained (None) or was lost for a reason."""
        state, seq, t_start, t_end, flags = due
        state.chain.skip()
        if missed is None:
            state.counters.abstained += 1
            if state.lesson is not None:
                state.lesson.see(None, None, t_start, t_end)
        else:
            state.counters.missed += 1
        name = self._backend.name
        return Decision(
            seq, state.name, t_start, t_end, None, None, None, None, flags, name, missed, None, None, self._no_stages
        )

    def _reached(self, smoothed: Sequence[float]) -> tuple[str, ...]:
        """Return the labels whose threshold, which lies at 0.5 here, is reached."""
        return tuple(name for name, value in zip(self._classes, smoothed, strict=True) if value >= 0.5)


def with_host(spent: tuple[int, ...], host_ns: int) -> tuple[int, ...]:
    """Take the host graph's time out of that of the inference, and put it behind."""
    return *spent[:-1], spent[-1] - host_ns, host_ns
