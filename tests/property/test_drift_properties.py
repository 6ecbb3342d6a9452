"""What the drift watch learns of a stream does not depend on which other streams were pushed with it."""

from functools import cache

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.drift.past import BLOCK
from tests.factories.bundles import motion, preprocess_config, random_bundle

SLOWLY = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
WINDOW, HOP, STREAMS = 40, 16, 10
NAMES = [f"s{number}" for number in range(STREAMS)]


@cache
def bundle() -> Bundle:
    return random_bundle(preprocess=preprocess_config(window_samples=WINDOW, hop_samples=HOP))


def learned(session):
    """Return all that is known of each stream."""
    watch = session._drift
    watch.settle()
    return {
        name: (past.codes, past.confidence, past.begins, past.blocks, past.test.usual.tolist(), past.counts.tolist())
        for name, past in sorted(watch._streams.items())
    }


class Run:
    """A session with all that it reported, each stream's own samples handed in hop by hop."""

    def __init__(self, session, samples):
        self.session, self.samples = session, samples
        self.taken = dict.fromkeys(NAMES, 0)
        session.watch_drift()

    def chunk(self, name, n=HOP):
        at = self.taken[name]
        self.taken[name] = at + n
        number = NAMES.index(name)
        return np.roll(self.samples, 37 * number, axis=0)[at : at + n]


def rounds_in_step(first=(), alone=None, fewer=None, closed=-1, parted=(), n=HOP, seed=0):
    """Hold two sessions against each other; return after how many pushes a round waited in the first."""
    samples, in_step, reported = motion(4000, seed=seed), 0, []
    with (
        bundle().open_session("onnx", deadline_ms=0.0, on_record=reported.append) as one,
        bundle().open_session("onnx", deadline_ms=0.0, on_record=lambda record: None) as other,
    ):
        together, single = Run(one, samples), Run(other, samples)
        one.report_to(reported.append, reported.extend)

        def push_alone(names, n=HOP, *, both=True):
            for name in names:
                other.push(single.chunk(name, n), stream=name)
                if both:
                    one.push(together.chunk(name, n), stream=name)

        push_alone(first)
        for turn in range((2 * BLOCK + 30) * HOP // n):
            if turn in parted:
                one.push(samples[:0], stream=NAMES[-1])
            names = NAMES[: (fewer or {}).get(turn, STREAMS)]
            one.push_many([(name, together.chunk(name, n), None) for name in names])
            in_step += bool(one._drift._rounds)
            push_alone(names, n, both=False)
            push_alone((alone or {}).get(turn, ()))
            if turn == closed:
                one.close_stream(NAMES[0])
                other.close_stream(NAMES[0])
        assert learned(one) == learned(other)
        assert len(reported) >= one.totals.decided
    return in_step


@SLOWLY
@given(
    first=st.lists(st.sampled_from(NAMES), max_size=30),
    alone=st.dictionaries(st.integers(0, 150), st.lists(st.sampled_from(NAMES), min_size=1, max_size=3), max_size=5),
    fewer=st.dictionaries(st.integers(0, 150), st.integers(1, STREAMS - 1), max_size=3),
    closed=st.integers(0, 300),
    parted=st.sets(st.integers(0, 600), max_size=40),
    n=st.sampled_from([HOP, HOP // 4]),
    seed=st.integers(0, 99),
)
def test_streams_learn_the_same_in_step_and_alone(first, alone, fewer, closed, parted, n, seed):
    rounds_in_step(first, alone, fewer, closed, parted, n, seed)


def test_streams_in_step_wait_in_rounds():
    assert rounds_in_step() > BLOCK


def test_rounds_that_wait_come_before_those_of_a_new_cohort():
    assert rounds_in_step(parted=[230], n=HOP // 4) > BLOCK
