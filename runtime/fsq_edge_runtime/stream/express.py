"""The common push in one function: regular samples of a plain stream, and at most one window, which has no fault.

Record for record what a session does for it step by step, which ``tests/property/test_express_properties.py`` holds.
All else is left to those steps.

Cost: beside a small network the steps' calls and their looks at attributes count, since the network has emptied the
caches: this saves 0.7 of 5 us. So it is longer than other functions, and the names that it needs are its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from time import monotonic_ns

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.preprocess import PreprocessConfig
from fsq_edge_runtime.stream.classifier import WindowClassifier
from fsq_edge_runtime.stream.head import DecisionHead
from fsq_edge_runtime.stream.records import Decision
from fsq_edge_runtime.stream.state import StreamState

Express = Callable[[StreamState, Float32Array, Float64Array | None, int, int], list[Decision] | None]


def open_express(classifier: WindowClassifier, config: PreprocessConfig) -> Express | None:
    """Return what answers a push at once; None for a session whose network does not prepare its windows itself.

    Args:
        classifier: of the session.
        config: the model's grid.

    Returns:
        A function of a stream, samples (n, C) float32, their times (n,) or None, and the monotonic nanoseconds at which
        the engine took them and at which they had arrived. It returns the record of the window, if one became due; None
        where it is no such push, and then it has done nothing.
    """
    graph, head = classifier.inference.graph, classifier.inference.head
    if graph is None or not isinstance(head, DecisionHead):
        return None
    size, hop, rate = config.window_samples, config.hop_samples, config.sample_rate_hz
    last, patience_ns = size - 1, classifier.patience_ns
    sound, infer, decide, answers = classifier.check.sound, graph.infer, classifier.decide, classifier.answers
    ends, sure = head.ends, head.sure

    def express(
        state: StreamState, samples: Float32Array, times: Float64Array | None, begun: int, arrived: int
    ) -> list[Decision] | None:
        ring, start, seq, n = state.ring, state.next_start, state.seq, len(samples)
        end = ring.end + n
        if end - start >= size + hop or not 0 < n <= ring.room or state.resampler is not None:
            return None
        if ring.irregular_until > start or seq < state.doubted_until or not state.grid.follow(n, times):
            return None
        at = ring.end - ring.base
        if at + n > ring.capacity:
            at = ring.move_to_front(start)
        ring.rows[at : at + n] = samples
        ring.end, state.ahead = end, True
        if end - start < size:
            return []
        state.next_start = start + hop
        limit, placed = arrived + patience_ns, monotonic_ns()
        window = ring.views.get(start - ring.base)
        if placed > limit or not sound(ring.window(start) if window is None else window):
            return [decide(state, start, begun, arrived)]
        prepared = monotonic_ns()
        try:
            t = infer()
        except Exception:  # noqa: BLE001 - the step that is taken instead meets it again and says what it is
            return [decide(state, start, begun, arrived)]
        code = sure.get(tuple(map(bisect_right, ends, t.tolist())))
        if code is None:  # near a boundary, or not met before
            return [decide(state, start, begun, arrived)]
        inferred = monotonic_ns()
        state.seq = seq + 1
        state.counters.windows += 1
        t0 = state.t0
        due = state, seq, t0 + start / rate, t0 + (start + last) / rate, ()
        if inferred > limit:
            return [answers.unanswered(due, "deadline")]
        spent = placed - begun, prepared - placed, inferred - prepared
        return [answers.answered(due, head, code, t, spent, inferred, arrived)]

    return express
