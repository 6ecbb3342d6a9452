"""A day of one sensor at full speed: flat memory, constant descriptors, no window lost or doubled.

The input has everything a day has: gaps, duplicates, late samples, clock jumps, missing values, a stuck channel.

python -m fsq_edge_benchmarks.suites.soak [--quick] [--hours H]
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle
from fsq_edge_benchmarks.measure.fixed_network import motion_windows
from fsq_edge_benchmarks.suites.command import heading, run_command
from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.sinks.base import CallbackSink
from fsq_edge_runtime.sinks.files import JsonlSink, Output
from fsq_edge_runtime.sources.iterable import IterableSource
from fsq_edge_runtime.stream.records import Decision, Gap, Record

RATE_HZ: Final = 100.0
WARM_UP_SHARE: Final = 0.1
CHUNK: Final = 700  # no multiple of a hop
MINUTE: Final = int(60 * RATE_HZ)


class Auditor:
    """Sees every record: numbers must run on, windows must move on by whole hops within a segment."""

    def __init__(self, hop_s: float) -> None:
        self.hop_s, self.seq, self.windows, self.gaps = hop_s, -1, 0, 0
        self.faults: list[str] = []
        self.fault_count = 0
        self._last_start: float | None = None
        self.resident: list[int] = []
        self.descriptors: list[int] = []

    def take(self, record: Record) -> None:
        """Check one record."""
        if isinstance(record, Gap):
            self.gaps += 1
            self._last_start = None
        if not isinstance(record, Decision):
            return
        self.windows += 1
        if record.seq != self.seq + 1:
            self._fault(f"window {record.seq} after {self.seq}")
        if self._last_start is not None and abs(record.t_start - self._last_start - self.hop_s) > 1e-6:
            self._fault(f"window {record.seq} starts {record.t_start - self._last_start} s after the one before")
        self.seq, self._last_start = record.seq, record.t_start

    def look(self) -> None:
        """Write down the process's memory and descriptors."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.resident.append(pages * os.sysconf("SC_PAGE_SIZE"))
        self.descriptors.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - counts, makes no paths

    def _fault(self, text: str) -> None:
        self.fault_count += 1
        if len(self.faults) < 10:
            self.faults.append(text)


def run(quick: bool = False, *, hours: float | None = None) -> dict[str, Any]:
    """Replay a day.

    Args:
        quick: forty minutes.
        hours: of the recording, not of the run; None is a day, or what ``quick`` says.

    Returns:
        ``growth_mb``: of resident memory from the end of the warm-up (a tenth) to the highest of the last tenth;
        ``faults``: the first ten windows that were lost or doubled, ``fault_count`` all of them; ``descriptors_grown``
        after the warm-up; ``speed``: times real time; ``passed``: every sample and window is accounted for.
    """
    hours = hours or (2 / 3 if quick else 24.0)
    bundle = fixed_bundle(sample_rate_hz=RATE_HZ)
    auditor = Auditor(bundle.preprocess.hop_samples / RATE_HZ)
    minutes = max(int(hours * 60), 20)
    written = JsonlSink(Output(Path(os.devnull)))
    begun = time.monotonic()
    with bundle.open_session(backend="onnx", deadline_ms=0.0) as session:
        source = IterableSource(_day(minutes, auditor))
        facts = Runner(session, [source], [CallbackSink(auditor.take), written]).run(threading.Event())
    took = time.monotonic() - begun
    written.close()
    warm = max(int(WARM_UP_SHARE * len(auditor.resident)), 1)
    growth = max(auditor.resident[-warm:]) - auditor.resident[warm]
    steady = auditor.descriptors[warm:]
    answered = facts["decided"] + facts["abstained"] + facts["missed"]
    accounted = sum(facts[kind] for kind in ("accepted", "duplicate", "late", "bad_time", "paused", "overrun"))
    whole = not auditor.faults and auditor.windows == facts["windows"] == answered and accounted == facts["received"]
    return {
        **heading("soak"),
        "hours": minutes / 60,
        "samples": facts["received"],
        "windows": facts["windows"],
        "abstained": facts["abstained"],
        "gaps": auditor.gaps,
        "clock_jumps": facts["clock_jumps"],
        "late": facts["late"],
        "duplicate": facts["duplicate"],
        "faults": auditor.faults,
        "fault_count": auditor.fault_count,
        "growth_mb": growth / 2**20,
        "descriptors_grown": max(steady) - min(steady),
        "speed": 60 * minutes / took,
        "passed": whole,
    }


def _day(minutes: int, auditor: Auditor) -> Iterator[tuple[Float32Array, Float64Array]]:
    """Yield the samples minute by minute in chunks, each minute with a fault of its own."""
    draw = np.random.default_rng(0)
    rows = np.concatenate([window.T for window in motion_windows(MINUTE // 100, seed=4)])
    clock = 1.6e9
    for minute in range(minutes):
        samples, times = rows.copy(), clock + np.arange(MINUTE) / RATE_HZ + draw.uniform(-1e-3, 1e-3, MINUTE)
        clock = _spoil(minute % 12, samples, times, draw, clock) + MINUTE / RATE_HZ
        for at in range(0, MINUTE, CHUNK):
            yield samples[at : at + CHUNK], times[at : at + CHUNK]
        if minute % max(minutes // 100, 1) == 0:
            auditor.look()


def _spoil(kind: int, samples: Float32Array, times: Float64Array, draw: np.random.Generator, clock: float) -> float:
    """Put one fault into a minute, in place; return the clock's reading after it, less the minute."""
    at = int(draw.integers(200, MINUTE - 200))
    if kind == 1:
        samples[at : at + 150, 2] = np.nan
    elif kind == 2:
        samples[at : at + 150, 4] = samples[at, 4]  # stuck
    elif kind == 3:
        times[at:] += 3.0  # a gap
        clock += 3.0
    elif kind == 4:
        times[at:] -= 3600.0  # the end of summer time
        clock -= 3600.0
    elif kind == 5:
        times[at] = times[at - 1]  # a duplicate
    elif kind == 6:
        times[at : at + 5] -= 0.5  # late
    elif kind == 7:
        times[at:] += 0.05  # a short gap, bridged
        clock += 0.05
    elif kind == 8:
        times[at] = np.nan
    return clock


if __name__ == "__main__":
    HOURS = {"type": float, "help": "hours of the recording, not of the run (default: 24, or two thirds with --quick)"}
    sys.exit(run_command("soak", run, {"hours": HOURS}))
