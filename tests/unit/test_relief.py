"""What an engine does that gets more windows than it can answer: simulated time, so that no machine decides."""

from __future__ import annotations

import time
from collections import deque
from itertools import islice

import numpy as np
import pytest

from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.sources import IterableSource
from fsq_edge_runtime.stream.inference import Inference
from fsq_edge_runtime.stream.relief import MAX_KNOWN, Relief
from tests.factories.bundles import motion, random_bundle

PATIENCE = 1_000_000
STREAMS, BATCH, SECONDS = 500, 25, 60


def answers(
    load: float,
    *,
    relief: bool = True,
    rations: bool = True,
    at_once: bool = False,
    stalls: bool = False,
    more: int = 0,
    until: int = SECONDS,
) -> np.ndarray:
    """Return how many windows (SECONDS, STREAMS) are answered: each sends one every PATIENCE, first come, first served.

    At a load of 1 the engine is just quick enough. Leaving a window out costs a twentieth of answering it. What ends
    later than PATIENCE after its arrival is lost. With ``at_once`` all streams send at the same moment; the first one
    has ``more`` windows than the others, one after the other. From second ``until`` on a quarter of the streams send.
    With ``stalls`` the engine does nothing for most of every third second.
    """
    cost = load * PATIENCE / (STREAMS + more)
    quarter = STREAMS // 4
    sent = [(turn * PATIENCE + (not at_once) * stream * PATIENCE // STREAMS, stream)
            for turn in range(SECONDS) for stream in range(STREAMS if turn < until else quarter)]  # fmt: skip
    sent += [(turn * PATIENCE + at * PATIENCE // more, 0) for turn in range(SECONDS) for at in range(more)]
    waiting = deque(sorted(sent, key=lambda one: one[0]))
    answered, engine, now = np.zeros((SECONDS, STREAMS)), Relief(PATIENCE), 0
    next_stall = 2
    while waiting:
        first = waiting[0][0]
        now = max(now, first)
        if stalls and now // PATIENCE >= next_stall:
            now, next_stall = now + 9 * PATIENCE // 10, next_stall + 3
        ready = sum(arrived <= now for arrived, _ in islice(waiting, BATCH))
        batch = [waiting.popleft() for _ in range(ready)]
        lost = now - first > PATIENCE or (relief and engine.skips(now - first))
        taken = [one for one in batch if not engine.rations or engine.grants(str(one[1]), now, lost=lost)]
        taken = [] if lost else taken
        ended = now + int(cost * (len(taken) + (len(batch) - len(taken)) / 20))
        in_time = not lost and ended - first <= PATIENCE
        if relief:
            engine.took(ended - now, len(taken))
        if relief and rations:
            engine.count(*((len(taken), 0) if in_time else (0, len(taken) or len(batch))), first, ended)
        for arrived, stream in taken:
            answered[arrived // PATIENCE, stream] += in_time
        now = ended
    return answered


def simulated(load: float, **options: bool | int) -> np.ndarray:
    """Return the share of its windows that each stream is answered, see :func:`answers`."""
    return answers(load, **options).mean(axis=0)


def jain(shares: np.ndarray) -> float:
    """Return Jain's index of fairness: 1 when all have the same, 1/n when one has everything."""
    return float(shares.sum() ** 2 / (len(shares) * (shares**2).sum()))


@pytest.mark.parametrize("load", [0.5, 0.8, 0.95])
def test_nothing_is_left_out_below_the_capacity(load: float) -> None:
    assert simulated(load).min() == 1.0
    assert simulated(load, at_once=True).min() == 1.0, "the last of a burst are not left out"


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("load", [1.2, 1.5, 4.0])
def test_beyond_it_the_engine_goes_on_answering_what_it_can_and_streams_lose_alike(load: float, at_once: bool) -> None:
    shares = simulated(load, at_once=at_once)
    # Of all its time a twentieth of a window's cost goes to each that is left out.
    possible = (1 / load - 0.05) / 0.95
    assert shares.mean() > (0.8 if at_once else 0.9) * possible
    assert jain(shares) > 0.975
    assert shares.min() > 0.7 * shares.mean(), "the first seconds are not yet even"
    assert shares.max() < 1.3 * shares.mean()
    if not at_once:
        assert simulated(load, relief=False).mean() < 0.8 * shares.mean(), "what comes too late was computed in vain"


@pytest.mark.parametrize("at_once", [False, True])
def test_a_stream_that_sends_a_hundred_times_as_much_takes_nothing_from_the_others(at_once: bool) -> None:
    # The others alone are 0.25 of what the engine can answer; all together are 1.5 times that.
    shares = simulated(1.5, at_once=at_once, more=5 * STREAMS)
    assert shares[1:].mean() > 0.95
    assert shares[1:].min() > 0.9
    assert shares[0] > 1.0, "what they leave is its own"


@pytest.mark.parametrize("at_once", [False, True])
def test_where_the_engine_is_held_up_again_and_again_rations_cost_little(at_once: bool) -> None:
    plain, shared = (simulated(1.5, stalls=True, at_once=at_once, rations=rations) for rations in (False, True))
    assert shared.mean() > (0.65 if at_once else 0.85) * plain.mean()
    assert shared.min() > 0.75 * shared.mean() > plain.min()


def test_rations_end_with_the_overload_and_a_stall_brings_none() -> None:
    found = answers(2.0, until=20)
    assert found[5:20].mean() < 0.6
    assert found[24:, : STREAMS // 4].min() == 1.0
    engine, now = Relief(PATIENCE), 0
    for turn in range(20):
        lost = turn == 3
        assert not any(not engine.grants(str(stream), now, lost=lost) for stream in range(9) if engine.rations)
        engine.count(*((0, 9) if lost else (9, 0)), now, now + PATIENCE // 2)
        now += PATIENCE
    assert not engine.rations


def test_an_engine_that_is_never_idle_but_lets_nothing_wait_answers_all_again() -> None:
    engine, now, batches, size = Relief(PATIENCE), 0, 100, 5
    step = PATIENCE // batches

    def second(lost: bool) -> float:
        """Take batches back to back, each of samples that came while the one before ran."""
        nonlocal now
        answered = 0
        for batch in range(batches):
            engine.skips(2 * PATIENCE if lost else step)
            names = [str(batch * size + number) for number in range(size)]
            granted = sum(not engine.rations or engine.grants(name, now, lost=lost) for name in names)
            now += step
            engine.count(*((0, size) if lost else (granted, 0)), now - 2 * step, now)
            answered += 0 if lost else granted
        return answered / (batches * size)

    for _ in range(12):  # the processor is away
        second(lost=True)
    found = [second(lost=False) for _ in range(20)]
    assert found[0] < 0.2
    assert found[-3:] == [1.0, 1.0, 1.0]


def test_batches_of_a_slow_network_are_shorter_than_the_deadline() -> None:
    engine = Relief(PATIENCE)
    assert engine.most >= 64, "nothing is known yet"
    engine.took(PATIENCE // 2, 10)
    assert engine.most == 5, "a quarter of the patience"
    engine.took(3 * PATIENCE, 1)
    assert engine.most == 1, "one is always tried"
    engine.took(PATIENCE // 100, 10)
    assert engine.most == 250


class SlowNetwork:
    """Simulated time, of which every window that the network answers takes some.

    Attributes:
        now: nanoseconds.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, window_ms: int) -> None:
        self.now, infer = 0, Inference.infer_rows

        def slow(inference: Inference, windows: np.ndarray, frames: np.ndarray | None) -> object:
            self.now += window_ms * 1_000_000 * len(windows if frames is None else frames)
            return infer(inference, windows, frames)

        monkeypatch.setattr(time, "monotonic_ns", lambda: self.now)
        monkeypatch.setattr(Inference, "infer_rows", slow)

    def answered(self, session: Session, streams: int, samples: int, arrived_ns: int) -> set[str]:
        """Return which streams were answered of those that send at the same moment."""
        rows = {str(number): motion(samples, seed=number) for number in range(streams)}
        found = session.push_many(rows, arrived_ns=arrived_ns)
        return {decision.stream for decision in found if decision.missed is None}


def test_the_first_of_a_slow_batch_are_answered_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    network = SlowNetwork(monkeypatch, window_ms=5)
    with random_bundle().open_session("onnx", deadline_ms=150.0) as session:
        assert not network.answered(session, 60, 100, network.now), "60 windows take 300 ms, answered together"
        # Then a batch has the 7 for which 37 ms are enough, and the last one begins before the 112nd millisecond.
        assert len(network.answered(session, 60, 50, network.now)) == 4 * 7


def test_in_a_session_streams_that_send_at_once_lose_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    network, streams, turns, settled = SlowNetwork(monkeypatch, window_ms=25), 60, 30, 5
    shares = np.zeros(streams)
    with random_bundle().open_session("onnx") as session:
        network.answered(session, streams, 50, 0)
        for turn in range(1, turns):
            arrived = turn * 1_000_000_000
            network.now = max(network.now, arrived)
            found = network.answered(session, streams, 50, arrived)
            shares[[int(name) for name in found]] += turn >= settled
        assert session.totals.windows == streams * (turns - 1)
    shares /= turns - settled
    assert 0.5 < shares.mean() < 40 / 60, "a second is enough for 40 of the 60"
    assert shares.min() > 0.75 * shares.mean()
    assert jain(shares) > 0.98


def test_streams_with_a_ration_are_bounded() -> None:
    engine = Relief(PATIENCE)
    for number in range(3 * MAX_KNOWN):
        engine.grants(f"{number}", number)
    assert len(engine._saved) <= MAX_KNOWN


def test_a_batch_that_has_waited_too_long_is_missed_and_costs_no_inference() -> None:
    with random_bundle().open_session("onnx", deadline_ms=1e6) as session:
        patience = session.settings.deadline_ns(session.bundle.preprocess)

        def push(turn: int, waited: float) -> list[str | None]:
            rows = {name: motion(100, seed=turn) for name in ("a", "b")}
            found = session.push_many(rows, arrived_ns=time.monotonic_ns() - int(waited * patience))
            return sorted({decision.missed for decision in found}, key=str)

        assert push(0, 0.0) == [None]
        assert push(1, 0.9) == [None], "not yet"
        assert push(2, 0.98) == ["overrun"]
        assert push(3, 0.65) == ["overrun"], "until what waits is young again"
        assert push(4, 0.1) == [None]
        assert push(5, 0.7) == [None]


def test_a_wait_that_is_wanted_is_no_sign_of_being_behind() -> None:
    with random_bundle().open_session("onnx", deadline_ms=1e6) as session:
        patience = session.settings.deadline_ns(session.bundle.preprocess)
        Runner(session, [IterableSource([], live=True)], [], max_wait_s=1e9)  # at most half of the deadline

        def push(turn: int, waited: float) -> set[str | None]:
            rows = {name: motion(100, seed=turn) for name in ("a", "b")}
            arrived = time.monotonic_ns() - int(waited * patience)
            return {decision.missed for decision in session.push_many(rows, arrived_ns=arrived)}

        assert push(0, 0.8) == {None}
        assert push(1, 0.99) == {"overrun"}, "a stall"
        assert push(2, 0.55) == {None}, "the wait that was asked for, and a little"
        assert [push(turn, 0.55) for turn in range(3, 20)] == [{None}] * 17
