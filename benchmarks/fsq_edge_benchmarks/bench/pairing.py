"""Two contestants in turns: A B B A, so that whatever changes with time or with the order meets both alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from fsq_edge_benchmarks.bench.contestant import Subject, feed_of
from fsq_edge_benchmarks.bench.result import PairResult
from fsq_edge_benchmarks.bench.spin import SpinLoop, disturbances
from fsq_edge_benchmarks.measure import ratio
from fsq_edge_benchmarks.measure.distribution import Distribution
from fsq_edge_benchmarks.measure.resources import Meter

WARM_UP: Final = 300


def race(a: Subject, b: Subject, decisions: int, names: tuple[str, str]) -> PairResult:
    """Push every hop through both sessions, in the order A B B A, and compare the medians.

    Args:
        a: freshly opened.
        b: freshly opened; its own bundle may take other channels and hops.
        decisions: of each.
        names: of the two, for the result.
    """
    return race_calls((_pusher(a), _pusher(b)), decisions, names, waits=a.waits or b.waits)


def race_calls(
    sides: tuple[Callable[[int], Any], Callable[[int], Any]],
    decisions: int,
    names: tuple[str, str],
    *,
    waits: bool = False,
) -> PairResult:
    """Call two sides in the order A B B A and compare the medians.

    Args:
        sides: each called with 0, 1, 2, ...
        decisions: calls of each that count.
        names: of the two, for the result.
        waits: a call waits for a device, so waiting is no sign of other work on the core.
    """
    for index in range(WARM_UP):
        for push in sides:
            push(index)
    spin, meter, clock = SpinLoop(), Meter(), time.perf_counter_ns
    taken: tuple[list[int], list[int]] = ([], [])
    for index in range(WARM_UP, WARM_UP + decisions):
        for side in (0, 1) if index % 2 else (1, 0):
            push = sides[side]
            started = clock()
            push(index)
            taken[side].append(clock() - started)
        spin.turn()
    reasons = disturbances(meter.used(), spin.record(), sleeps=waits)
    return pair_result(names, taken, "in one process, call by call", reasons)


def _pusher(subject: Subject) -> Callable[[int], Any]:
    piece, push = feed_of(subject.bundle)[0], subject.session.push
    return lambda index: push(piece(index))


def pair_result(
    names: tuple[str, str],
    taken: tuple[Sequence[int], Sequence[int]],
    how: str,
    reasons: tuple[str, ...],
    blocks: int = ratio.BLOCKS,
) -> PairResult:
    """Return the result of a race.

    Args:
        names: of the two.
        taken: nanoseconds of each side's calls.
        how: the two took turns.
        reasons: why it is not valid; empty where it is.
        blocks: of calls that belong together.
    """
    return PairResult(
        a=names[0],
        b=names[1],
        a_us=Distribution.of(taken[0]),
        b_us=Distribution.of(taken[1]),
        ratio=ratio.ratio_of_medians(taken[1], taken[0], blocks=blocks),
        how=how,
        valid=not reasons,
        reasons=reasons,
    )
