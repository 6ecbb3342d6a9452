"""Streams that are pushed together form cohorts; what comes out is what each stream gives alone."""

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsq_edge_runtime.backends.base import Missed
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.session import Session
from tests.factories.bundles import motion, preprocess_config, random_bundle
from tests.factories.streams import Scripted, batched

SLOWLY = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
STREAMS, WINDOW, HOP, RATE = 11, 40, 16, 50.0
CHAINS = {
    "plain": DecisionSettings(),
    "smooth": DecisionSettings(
        smoothing="ema", smoothing_ms=900, enter=0.4, leave=0.2, dwell_ms=300, refractory_ms=600, unknown_below=0.2
    ),
    "median": DecisionSettings(smoothing="median", smoothing_ms=1500, enter=0.3),
}
NAMES = [f"s{one}" for one in range(STREAMS)]


@cache
def bundle(chain: str) -> Bundle:
    config = preprocess_config(window_samples=WINDOW, hop_samples=HOP)
    return batched(random_bundle(preprocess=config, decision=CHAINS[chain]))


def lines(decisions):
    return [
        (*decision[:13], tuple(decision.probabilities or ()), tuple(decision.smoothed or ())) for decision in decisions
    ]


def facts(session):
    return {name: counters.to_dict() for name, counters in session.counters.items()}


@SLOWLY
@given(
    sizes=st.lists(st.sampled_from([1, 3, HOP, HOP, HOP, HOP, HOP, HOP, HOP + 1, 50]), min_size=12, max_size=20),
    chain=st.sampled_from(sorted(CHAINS)),
    timed=st.sampled_from(["no", "yes", "late"]),
    faults=st.lists(st.tuples(st.integers(0, STREAMS - 1), st.integers(0, 300), st.sampled_from("ngse")), max_size=3),
    ahead=st.lists(st.integers(0, 30), min_size=STREAMS, max_size=STREAMS),
    seed=st.integers(0, 99),
)
def test_a_cohort_is_never_seen(sizes, chain, timed, faults, ahead, seed):
    total = sum(sizes) + 30
    rows = [motion(total, seed=seed + one) for one in range(STREAMS)]
    times = [np.arange(total) / RATE + one for one in range(STREAMS)]
    for stream, at, kind in faults:
        at = at % total
        if kind == "n":
            rows[stream][at : at + 4, 2] = np.nan
        elif kind == "g":
            times[stream][at:] += 2.0
        elif kind == "s":
            rows[stream][at : at + 60, 1] = 0.25
        else:
            times[stream][at:] += 0.3 / RATE
    alone, together = [], []
    formed = 0
    with (
        bundle(chain).open_session(backend="onnx", deadline_ms=0.0, on_record=alone.append) as one_by_one,
        bundle(chain).open_session(backend="onnx", deadline_ms=0.0, on_record=together.append) as session,
    ):
        for one, name in enumerate(NAMES):  # so that windows do not become due all at once
            part = rows[one][: ahead[one]], times[one][: ahead[one]] if timed == "yes" else None
            one_by_one.push(*part, stream=name)
            session.push(*part, stream=name)
        done = 0
        for number, size in enumerate(sizes):
            pushed = []
            for one, name in enumerate(NAMES):
                at = ahead[one] + done
                stamped = timed == "yes" or (timed == "late" and number > 5)
                pushed.append((name, rows[one][at : at + size], times[one][at : at + size] if stamped else None))
            done += size
            wanted = [decision for name, *part in pushed for decision in one_by_one.push(*part, stream=name)]
            found = session.push_many({name: part for name, part, _ in pushed} if timed == "no" else pushed)
            assert lines(found) == lines(wanted)
            formed += bool(session._lockstep.cohorts)
            assert facts(session) == facts(one_by_one)
        ends = session.drain(), one_by_one.drain()
        assert lines(ends[0]) == lines(ends[1])
    assert [type(record) for record in together] == [type(record) for record in alone]
    if chain != "median" and not faults and sum(sizes[:8]) > 80 and sizes[-4:] == [HOP] * 4:
        assert formed, "nothing was tested"


def test_cohorts_are_formed_and_end_with_the_first_push_of_another_kind():
    rows = motion(400)
    with bundle("smooth").open_session(backend="onnx") as session:
        for at in range(0, 160, HOP):
            session.push_many(dict.fromkeys(NAMES, rows[at : at + HOP]))
        assert [len(cohort.names) for cohort in session._lockstep.cohorts] == [STREAMS]
        session.push(rows[160:170], stream="s4")
        assert session._lockstep.cohorts == []
        assert session.counters["s4"].received == 170


@pytest.mark.parametrize("reason", ["backend", "deadline"])
def test_what_the_backend_loses_is_missed_and_the_rest_is_answered(reason):
    small = bundle("smooth")
    rows = motion(400)
    script = Scripted(small, [])
    with Session(small, script, deadline_ms=0.0) as session:
        for at in range(0, 128, HOP):
            session.push_many(dict.fromkeys(NAMES, rows[at : at + HOP]))
        assert session._lockstep.cohorts
        script.script = iter([Missed(reason, "lost"), None, Missed(reason, "lost")])
        found = session.push_many(dict.fromkeys(NAMES, rows[128:144]))
        assert [decision.missed for decision in found if decision.missed] == [reason]
        assert [decision.stream for decision in found] == NAMES
        assert session.totals.missed == 1
        assert session.totals.windows == session.totals.decided + 1


def test_windows_that_waited_too_long_are_missed_in_a_cohort_too():
    rows = motion(400)
    with bundle("plain").open_session(backend="onnx") as session:
        for at in range(0, 128, HOP):
            session.push_many(dict.fromkeys(NAMES, rows[at : at + HOP]))
        assert session._lockstep.cohorts
        found = session.push_many(dict.fromkeys(NAMES, rows[128:144]), arrived_ns=1)
        assert {decision.missed for decision in found} == {"overrun"}
        assert len(found) == STREAMS
