"""Durations of calls, one after the other or in turns, so that what changes with time meets all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from fsq_edge_runtime.arrays import Int64Array

T = TypeVar("T")


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that a call took, and what it returned."""
    begun = time.perf_counter()
    found = call()
    return time.perf_counter() - begun, found


def seconds(call: Callable[[], object], rounds: int = 1) -> list[float]:
    """Return the seconds of each of ``rounds`` calls."""
    return [timed(call)[0] for _ in range(rounds)]


def in_turns(calls: Mapping[str, Callable[[int], object]], rounds: int, warm_up: int) -> dict[str, Int64Array]:
    """Make every call once a round, in reverse order in every other round (A B B A).

    Args:
        calls: name -> call, which is given the number of the round, warm-up included.
        rounds: that count.
        warm_up: rounds before them.

    Returns:
        Nanoseconds (rounds,) by name.
    """
    taken = {name: np.empty(warm_up + rounds, dtype=np.int64) for name in calls}
    pairs = [(call, taken[name]) for name, call in calls.items()]
    orders, clock = (pairs, pairs[::-1]), time.perf_counter_ns
    for index in range(warm_up + rounds):
        for call, durations in orders[index % 2]:
            started = clock()
            call(index)
            durations[index] = clock() - started
    return {name: durations[warm_up:] for name, durations in taken.items()}
