"""One stream at the sensor's own rate, so that what idling does (cold caches, a lower clock) shows."""

from __future__ import annotations

import itertools
import time
from typing import Final

import numpy as np

from fsq_edge_benchmarks.bench.contestant import Subject, first_frames, hops_of
from fsq_edge_benchmarks.bench.modes.single import NOTE, missed_note, stages_of
from fsq_edge_benchmarks.bench.modes.turns import Timed, mode_result
from fsq_edge_benchmarks.bench.result import ModeResult
from fsq_edge_benchmarks.bench.spin import SpinLoop
from fsq_edge_benchmarks.measure.resources import Meter
from fsq_edge_runtime import Decision

MAX_LATE_NS: Final = 2_000_000
MAX_LATE_SHARE: Final = 0.05  # of samples handed in later than that: something else had the core
SPINS: Final = 40  # in a gap after a decision; the first half only warms the core up again


def measure_paced(subject: Subject, decisions: int) -> ModeResult:
    """Push sample by sample in real time; time each decision from the push of its window's last sample.

    The bare network is called in the middle between two samples, so it comes out of the same idleness.

    Args:
        subject: freshly opened.
        decisions: how many to time; one comes every hop.
    """
    session, config = subject.session, subject.bundle.preprocess
    first, hops = hops_of(subject.bundle)
    bare, bare_is = subject.bare(first_frames(subject.bundle, 1))
    period_ns = 1e9 / config.sample_rate_hz
    started = time.perf_counter_ns()
    session.push(first)
    first_ns = time.perf_counter_ns() - started
    bare()
    spin, meter = SpinLoop(), Meter()
    ours_ns: list[int] = []
    bare_ns: list[int] = []
    late_ns: list[float] = []
    answers: list[Decision] = []
    cpu_ns = 0
    begun = time.perf_counter_ns()
    for index, row in enumerate(itertools.cycle(row for hop in hops for row in hop)):
        due = begun + index * period_ns
        if len(ours_ns) == decisions:
            break
        _sleep_until(due)
        cpu_before = time.process_time_ns()
        started = time.perf_counter_ns()
        pushed = session.push(row)
        ended = time.perf_counter_ns()
        cpu_ns += time.process_time_ns() - cpu_before
        late_ns.append(started - due)
        if not pushed:
            continue
        ours_ns.append(ended - started)
        answers += pushed
        _sleep_until(due + period_ns / 2)
        started = time.perf_counter_ns()
        bare()
        bare_ns.append(time.perf_counter_ns() - started)
        _spin_warm(spin)
    resources = meter.used()
    timed: Timed[Decision] = Timed(
        np.asarray(ours_ns), np.asarray(bare_ns), cpu_ns, first_ns, answers, resources, spin.record(), sleeps=True
    )
    late = float(np.mean(np.asarray(late_ns) > MAX_LATE_NS))
    busy = cpu_ns / 1e9 / resources.wall_s
    notes = (
        f"the stream keeps a core busy for {busy:.2%} of the time",
        f"samples were handed in {np.median(late_ns) / 1e3:.0f} µs late at the median: the kernel's timer",
        NOTE,
        *missed_note(answers),
    )
    return mode_result(
        "paced",
        subject,
        timed,
        sample="last sample pushed to decision returned",
        bare_is=f"{bare_is}, between two samples",
        warm_up=1,
        stages=stages_of(subject, answers, 1),
        notes=notes,
        disturbed=(f"disturbed: {late:.0%} of the samples were handed in late",) if late > MAX_LATE_SHARE else (),
    )


def _sleep_until(due_ns: float) -> None:
    left = due_ns - time.perf_counter_ns()
    if left > 0:
        time.sleep(left / 1e9)


def _spin_warm(spin: SpinLoop) -> None:
    """Take turns until the core is awake and keep the later half: being idle is no disturbance here."""
    for _ in range(SPINS):
        spin.turn()
    del spin.turns_ns[-SPINS : -SPINS // 2]
