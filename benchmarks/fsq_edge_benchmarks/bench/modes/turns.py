"""Ours and the bare network in turns, the spin loop after each pair, and what that gives as a result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from fsq_edge_benchmarks.bench.result import Mode, ModeResult, SpinRecord
from fsq_edge_benchmarks.bench.spin import SpinLoop, disturbances
from fsq_edge_benchmarks.measure.distribution import MINIMUM_SAMPLES, Distribution
from fsq_edge_benchmarks.measure.ratio import difference_of_medians, ratio_of_medians
from fsq_edge_benchmarks.measure.resources import Meter, Resources
from fsq_edge_runtime.arrays import Int64Array

T = TypeVar("T")


class Named(Protocol):
    """What a result says of the contestant: a session on a backend, or a network alone."""

    @property
    def name(self) -> str:
        """Of the backend."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the figures must be read with."""
        ...

    @property
    def waits(self) -> bool:
        """Whether a call waits for a device."""
        ...


@dataclass(frozen=True, slots=True)
class Timed(Generic[T]):
    """What was timed, after the warm-up.

    Attributes:
        ours_ns: (n,) of ours.
        bare_ns: (n,) of the comparison.
        cpu_ns: CPU time of the process in ours, all together.
        first_ns: the very first call of ours.
        answers: what ours returned.
        resources: used during the run.
        spin: the loop beside it.
        sleeps: the run waited on purpose.
    """

    ours_ns: Int64Array
    bare_ns: Int64Array
    cpu_ns: int
    first_ns: int
    answers: Sequence[T]
    resources: Resources
    spin: SpinRecord
    sleeps: bool = False


def take_turns(ours: Callable[[int], T], bare: Callable[[], object], count: int, warm_up: int) -> Timed[T]:
    """Call ours, the comparison and the spin loop in turns.

    Args:
        ours: called with 0, 1, 2, ...; what it returns is kept.
        bare: the comparison.
        count: calls that count.
        warm_up: calls before them.
    """
    clock, cpu_clock = time.perf_counter_ns, time.process_time_ns
    begun = clock()
    ours(0)
    first_ns = clock() - begun
    for index in range(1, warm_up):
        ours(index)
        bare()
    spin, answers = SpinLoop(), []
    ours_ns, bare_ns, cpu_ns = [], [], 0
    meter = Meter()
    for index in range(warm_up, warm_up + count):
        cpu_before = cpu_clock()
        started = clock()
        answer = ours(index)
        ended = clock()
        cpu_ns += cpu_clock() - cpu_before
        again = clock()
        bare()
        bare_ns.append(clock() - again)
        ours_ns.append(ended - started)
        answers.append(answer)
        spin.turn()
    return Timed(
        np.asarray(ours_ns), np.asarray(bare_ns), cpu_ns, first_ns, answers, meter.used(), spin.record()
    )  # fmt: skip


def mode_result(
    mode: Mode,
    subject: Named,
    timed: Timed[T],
    *,
    sample: str,
    bare_is: str,
    windows: int = 1,
    warm_up: int,
    stages: Mapping[str, Distribution] | None = None,
    notes: Sequence[str] = (),
    disturbed: Sequence[str] = (),
) -> ModeResult:
    """Put together what a mode found."""
    ours, bare = Distribution.of(timed.ours_ns), Distribution.of(timed.bare_ns)
    reasons = (*disturbances(timed.resources, timed.spin, sleeps=timed.sleeps or subject.waits), *disturbed)
    enough = len(timed.ours_ns) >= MINIMUM_SAMPLES[50]
    return ModeResult(
        mode=mode,
        backend=subject.name,
        sample=sample,
        windows=windows,
        ours=ours,
        bare=bare,
        bare_is=bare_is,
        ratio=ratio_of_medians(timed.ours_ns, timed.bare_ns) if enough else None,
        added_us=difference_of_medians(timed.ours_ns / 1e3, timed.bare_ns / 1e3) if enough else None,
        windows_per_s=windows * 1e9 / float(np.median(timed.ours_ns)),
        bare_windows_per_s=windows * 1e9 / float(np.median(timed.bare_ns)),
        cpu_us=timed.cpu_ns / 1e3 / len(timed.ours_ns) / windows,
        stages=dict(stages or {}),
        warm_up=warm_up,
        first_us=timed.first_ns / 1e3,
        resources=timed.resources,
        spin=timed.spin,
        valid=not reasons,
        reasons=reasons,
        notes=(*subject.notes, *notes),
    )
