"""Samples without timestamps that come at another rate than they are counted at."""

import math

import numpy as np
import pytest

from fsq_edge_runtime.drift.arrival import AGREEING, LOOK_S, ArrivalWatch
from fsq_edge_runtime.stream import Decision, StreamEvent
from tests.factories.bundles import motion, random_bundle

NOMINAL_HZ = 50


def found_of(counts, *, timed: bool = False, watch: ArrivalWatch | None = None, first_s: float = 100.0) -> list:
    """Push so many samples between two looks; return the records of every look."""
    watch, found, begin = watch or ArrivalWatch(), [], 0
    with random_bundle().open_session("onnx", deadline_ms=0.0) as session:
        session.open_stream("rex")
        for number, count in enumerate((1, *counts)):
            times = np.arange(begin, begin + count) / NOMINAL_HZ if timed else None
            session.push(motion(max(count, 1), seed=number)[:count], times, "rex")
            begin += count
            now_ns = int((first_s + number * LOOK_S) * 1e9)
            found.append(watch.look(session._streams.values(), now_ns))
            assert watch.look(session._streams.values(), now_ns + 10**9) == [], "between two looks nothing is judged"
    return found


WHOLE = int(NOMINAL_HZ * LOOK_S)


@pytest.mark.parametrize(("share", "value"), [(0.5, -math.log(2.0)), (2.0, math.log(2.0)), (0.8, math.log(0.8))])
def test_half_and_double_the_rate_are_named_within_a_minute(share: float, value: float) -> None:
    found = found_of([int(share * WHOLE)] * (AGREEING + 3))
    assert [len(events) for events in found] == [0] * AGREEING + [1] + [0] * 3
    (event,) = found[AGREEING]
    assert (event.kind, event.stream) == ("drift", "rex")
    assert (event.facts["test"], event.facts["what"]) == ("training", "rate")
    assert event.facts["value"] == pytest.approx(value, abs=0.01)
    assert event.facts["score"] > 1
    assert 0 <= event.facts["t_start"] < event.facts["t_end"]


def test_the_nominal_rate_and_a_sensor_with_pauses_are_not() -> None:
    assert not any(found_of([WHOLE, int(0.97 * WHOLE), int(1.03 * WHOLE)] * 4))
    assert not any(found_of([WHOLE, WHOLE // 2, WHOLE, WHOLE // 3] * 4)), "silent now and then"
    assert not any(found_of([WHOLE, 0, 0, 0, 0, 0, WHOLE]))


def test_with_timestamps_the_flag_of_each_window_says_it() -> None:
    assert not any(found_of([WHOLE // 2] * 8, timed=True))


def test_a_rate_that_was_right_again_may_be_named_again() -> None:
    found = found_of([WHOLE // 2] * 5 + [WHOLE] * 5 + [WHOLE // 2] * 5)
    assert sum(map(len, found)) == 2


def test_a_live_run_emits_the_record_once_drift_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [10**9]
    monkeypatch.setattr("time.monotonic_ns", lambda: clock[0])
    for watched in (True, False):
        records: list = []
        with random_bundle().open_session("onnx", deadline_ms=0.0, on_record=records.append) as session:
            if watched:
                session.watch_drift()
            for number in range(AGREEING + 2):
                session.push(motion(WHOLE // 2, seed=number))
                session.look_at_arrival()
                clock[0] += int(LOOK_S * 1e9)
        told = [record for record in records if isinstance(record, StreamEvent)]
        assert [event.facts["what"] for event in told] == (["rate"] if watched else [])
        assert sum(isinstance(record, Decision) for record in records) > 0
