"""What an engine does that gets more windows than it can answer: simulated time, so that no machine decides."""

from __future__ import annotations

import time
from collections import deque
from itertools import islice

import numpy as np
import pytest

from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.sources import IterableSource
from fsq_edge_runtime.stream.relief import Relief
from tests.factories.bundles import motion, random_bundle

PATIENCE = 1_000_000
STREAMS, BATCH, SECONDS = 500, 25, 60


def simulated(load: float, *, relief: bool, at_once: bool = False) -> np.ndarray:
    """Return the share of its windows that each stream is answered: one every PATIENCE, batches in order of arrival.

    At a load of 1 the engine is just quick enough. Leaving a window out costs a twentieth of answering it. What ends
    later than PATIENCE after its arrival is lost.
    """
    cost = load * PATIENCE / STREAMS
    waiting = deque((turn * PATIENCE + (not at_once) * stream * PATIENCE // STREAMS, stream)
                    for turn in range(SECONDS) for stream in range(STREAMS))  # fmt: skip
    answered, engine, now = np.zeros(STREAMS), Relief(PATIENCE), 0.0
    while waiting:
        now = max(now, waiting[0][0])
        batch = [waiting.popleft() for _ in range(min(BATCH, sum(one[0] <= now for one in islice(waiting, BATCH))))]
        waited = int(now - batch[0][0])
        if waited > PATIENCE or (relief and engine.skips(waited)):
            now += len(batch) * cost / 20
            continue
        now += len(batch) * cost
        engine.took(int(len(batch) * cost))
        answered[[stream for arrived, stream in batch if now - batch[0][0] <= PATIENCE]] += 1
    return answered / SECONDS


@pytest.mark.parametrize("load", [0.5, 0.8, 0.95])
def test_nothing_is_left_out_below_the_capacity(load: float) -> None:
    assert simulated(load, relief=True).min() == 1.0
    assert simulated(load, relief=True, at_once=True).min() == 1.0, "the last of a burst are not left out"


@pytest.mark.parametrize("load", [1.2, 1.5, 2.0, 4.0])
def test_beyond_it_the_engine_goes_on_answering_what_it_can_and_streams_lose_alike(load: float) -> None:
    shares = simulated(load, relief=True)
    # Of all its time a twentieth of a window's cost goes to each that is left out.
    possible = (1 / load - 0.05) / 0.95
    assert shares.mean() > 0.9 * possible
    assert shares.std() < 0.1, "streams differ by a few of 60 windows"
    assert shares.min() > 0.4 * possible
    assert simulated(load, relief=False).mean() < 0.8 * shares.mean(), "what comes too late was computed in vain"


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
