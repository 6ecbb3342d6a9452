"""The common push in one function gives, record for record, what the steps of a session give."""

from functools import cache

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.stream.head import NEAR, DecisionHead
from tests.factories.bundles import motion, preprocess_config, random_bundle
from tests.factories.streams import cut

SLOWLY = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
WINDOW, HOP, RATE, TOTAL = 40, 16, 50.0, 600
CHAINS = {
    "plain": DecisionSettings(),
    "smooth": DecisionSettings(smoothing="ema", smoothing_ms=900, enter=0.4, leave=0.2, unknown_below=0.2),
}


@cache
def bundle(chain: str) -> Bundle:
    return random_bundle(preprocess=preprocess_config(window_samples=WINDOW, hop_samples=HOP), decision=CHAINS[chain])


def told(chain, chunks, *, express, drift=False, break_at=()):
    """Return the records of a session, the counters, and how many windows the one function answered."""
    records, served, asked = [], [], 0
    with bundle(chain).open_session("onnx", on_record=records.append, deadline_ms=0.0) as session:
        if drift:
            session.watch_drift()
        whole = session._express
        assert whole is not None

        def counted(*given):
            found = whole(*given)
            served.append(found is not None)
            return found

        session._express = counted if express else None
        run = session.backend.window_graph._run
        for number, (samples, times) in enumerate(chunks):
            session.backend.window_graph._run = fails if number in break_at else run
            try:
                session.push(samples, times)
            except BackendError:
                asked += 1
        facts = {name: counters.to_dict() for name, counters in session.counters.items()}
    lines = [one.to_dict(latency=False, scores=True) if hasattr(one, "seq") else one.to_dict() for one in records]
    return lines, facts, asked, sum(served)


def fails():
    raise RuntimeError("the graph broke")


@SLOWLY
@given(
    sizes=st.lists(st.sampled_from([1, 3, HOP, HOP, HOP, HOP, HOP, 2 * HOP, 50]), max_size=40),
    chain=st.sampled_from(sorted(CHAINS)),
    timed=st.sampled_from(["no", "yes", "jitter", "gap"]),
    faults=st.lists(st.tuples(st.integers(0, TOTAL - 60), st.sampled_from([np.nan, np.inf, 0.0, 1e30])), max_size=3),
    drift=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_one_function_is_never_seen(sizes, chain, timed, faults, drift, seed):
    samples, times = motion(TOTAL, seed=seed), np.arange(TOTAL) / RATE
    for at, value in faults:
        samples[at : at + 30, 1] = value
    if timed == "jitter":
        times += np.random.default_rng(seed).uniform(-0.3, 0.3, TOTAL) / RATE
    elif timed == "gap":
        times[TOTAL // 2 :] += 3.0
    chunks = cut(samples, None if timed == "no" else times, sizes or [HOP] * 40)
    assert told(chain, chunks, express=True, drift=drift)[:3] == told(chain, chunks, express=False, drift=drift)[:3]


def hops(seed=3):
    return cut(motion(TOTAL, seed=seed), None, [HOP] * 40)


def test_it_serves_nearly_all_regular_pushes():
    *_, served = told("plain", hops(), express=True)
    windows = (TOTAL - WINDOW) // HOP
    assert served >= windows - 2


def test_near_a_boundary_and_after_a_failure_the_steps_answer(monkeypatch):
    broken = told("plain", hops(), express=True, break_at=(9, 20))
    assert broken[:3] == told("plain", hops(), express=False, break_at=(9, 20))[:3]
    assert broken[2] == 2
    expected = told("plain", hops(), express=False)
    monkeypatch.setattr(DecisionHead, "sure_code", lambda _, t: NEAR)
    assert told("plain", hops(), express=True)[:3] == expected[:3]


def test_a_deadline_that_passes_is_said_as_the_steps_say_it():
    records = []
    with bundle("plain").open_session("onnx", on_record=records.append, deadline_ms=1000.0) as session:
        session.push(motion(WINDOW, seed=1))
        session.push(motion(HOP, seed=2), arrived_ns=0)
    assert [record.missed for record in records] == [None, "overrun"]
