"""The common push in one function: regular samples of a plain stream, and at most one window, which has no fault.

Record for record what a session does for it step by step, which ``tests/property/test_express_properties.py`` holds.
All else is left to those steps.

Cost: beside a small network the steps' calls and their looks at attributes count, since the network has emptied the
caches: this saves 1.6 of 18.5 us where sessions take turns. So it is longer than other functions, and the names that it
needs are its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from time import monotonic_ns

import numpy.typing as npt
from numpy import ndarray

from fsq_edge_runtime.preprocess import PreprocessConfig
from fsq_edge_runtime.stream.answers import Plain, new_tuple
from fsq_edge_runtime.stream.classifier import WindowClassifier
from fsq_edge_runtime.stream.head import DecisionHead
from fsq_edge_runtime.stream.records import Decision
from fsq_edge_runtime.stream.samples import FLOAT32, FLOAT64
from fsq_edge_runtime.stream.state import StreamState

Express = Callable[[StreamState, npt.ArrayLike, npt.ArrayLike | None, int, int], list[Decision] | int | None]


def open_express(classifier: WindowClassifier, config: PreprocessConfig) -> Express | None:
    """Return what answers a push at once; None for a session whose network does not prepare its windows itself.

    Args:
        classifier: of the session.
        config: the model's grid.

    Returns:
        A function of a stream, what is pushed and its times or None, and the monotonic nanoseconds at which the engine
        took them and at which they had arrived. It returns a list of the record of the window, if one became due; the
        grid index at which a window begins that is due and left to the steps; None where it is no such push, and then
        it has done nothing.
    """
    graph, head = classifier.inference.graph, classifier.inference.head
    if graph is None or not isinstance(head, DecisionHead):
        return None
    size, hop, rate, channels = config.window_samples, config.hop_samples, config.sample_rate_hz, len(config.channels)
    last, patience_ns = size - 1, classifier.patience_ns
    sound, infer, answers = classifier.check.sound, graph.infer, classifier.answers
    ends, sure = head.ends, head.sure
    told: dict[tuple[int, ...], Plain] = {}

    def express(
        state: StreamState, samples: npt.ArrayLike, times: npt.ArrayLike | None, begun: int, arrived: int
    ) -> list[Decision] | int | None:
        if type(samples) is not ndarray or samples.dtype is not FLOAT32:
            return None
        shape = samples.shape
        if len(shape) != 2 or shape[1] != channels:
            return None
        n = shape[0]
        if times is not None and (type(times) is not ndarray or times.dtype is not FLOAT64 or times.shape != (n,)):
            return None
        ring, start, seq = state.ring, state.next_start, state.seq
        end = ring.end + n
        if end - start >= size + hop or not 0 < n <= ring.room or state.resampler is not None:
            return None
        if ring.irregular_until > start or seq < state.doubted_until or not state.grid.follow(n, times):
            return None
        at = ring.end - ring.base
        if at + n > ring.capacity:
            at = ring.move_to_front(start)
        spot = ring.spots.get(at)
        if spot is None or spot[0] != n:
            spot = None
            ring.rows[at : at + n] = samples
        else:
            spot[1][...] = samples
            if spot[4] is not None:
                spot[4][...] = samples
                ring.fronted = end, n
        ring.end, state.ahead = end, True
        if end - start < size:
            return []
        state.next_start = start + hop
        limit, placed = arrived + patience_ns, monotonic_ns()
        if spot is not None and spot[2] == start - ring.base:
            window = spot[3]
        else:
            window = ring.window(start)
            ring.keep_spot(n, start)
        ring.latest_due = window
        if placed > limit or not sound(window):
            return start
        prepared = monotonic_ns()
        try:
            t = infer()
        except Exception:  # noqa: BLE001 - the step that is taken instead meets it again and says what it is
            return start
        below = tuple(map(bisect_right, ends, t.tolist()))
        known = told.get(below)
        if known is None:
            if below not in sure:  # near a boundary, or not met before
                return start
            known = told[below] = answers.plainly(sure[below], head)
        raw, label, sureness, code, backend, shares = known
        inferred = monotonic_ns()
        state.seq = seq + 1
        counters, chain, t0 = state.counters, state.chain, state.t0
        counters.windows += 1
        if inferred > limit or not chain.plain or state.wearer is not None or state.lesson is not None:
            due = state, seq, t0 + start / rate, t0 + (start + last) / rate, ()
            if inferred > limit:
                return [answers.unanswered(due, "deadline")]
            before = placed - begun, prepared - placed, inferred - prepared
            return [answers.answered(due, head, code, t, before, inferred, arrived)]
        chain.take(raw)
        counters.decided += 1
        done = monotonic_ns()
        spent = placed - begun, prepared - placed, inferred - prepared, done - inferred, done - arrived
        ends_at = t0 + (start + last) / rate
        return [
            new_tuple(
                Decision,
                (seq, state.name, t0 + start / rate, ends_at, label, label, sureness, code, (), backend, None, shares,
                 shares, spent, None, None),
            )
        ]  # fmt: skip

    return express
