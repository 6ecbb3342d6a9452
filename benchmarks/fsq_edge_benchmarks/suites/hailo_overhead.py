"""What the hailo backend adds around the device's own computing, in units of a thread hand-off.

The device is the fake of :mod:`fsq_edge_runtime.testing`, so nothing here is a latency of Hailo silicon: it is the cost
of our code and of HailoRT's calling scheme (launch, callback from another thread, wake up), without the PCIe transfer
and without HailoRT's own work. Run it as ``python -m fsq_edge_benchmarks.suites.hailo_overhead``.

Everything runs on one core. Left to the scheduler, one and the same hand-off costs 22 us in one run and 230 us in the
next (observed), as its threads happen to share a core or not, and that says nothing about the backend.

The backend runs in two forms in the same run, in turns: with the vendor's library in this process, and with it in a
process of its own, as a stream uses it, with frames in shared memory. What the second costs more is the price of a
stream that a silent or lost device cannot stop.
"""

from __future__ import annotations

import os
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge_benchmarks.bench.stand_in import fake_device, fake_hef
from fsq_edge_benchmarks.measure.distribution import percentile
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_runtime.backends.hailo.process import HailoProcess
from fsq_edge_runtime.testing import write_fake_package

FRAME: Final = (12, 2, 50)
CODE: Final = 3
WARM_UP: Final = 100


class HandOff:
    """A thread that answers at once: the least that any call to another thread costs."""

    def __init__(self) -> None:
        self._questions: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._answered = threading.Lock()
        self._answered.acquire()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self._questions.get():
            self._answered.release()

    def round_trip(self) -> None:
        """Ask and wait for the answer."""
        self._questions.put(True)
        self._answered.acquire()

    def close(self) -> None:
        """End the thread."""
        self._questions.put(False)
        self._thread.join()


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and threads it starts, on one core where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def _isolated(graph: bytes | None) -> Iterator[HailoProcess]:
    """Open the device of :func:`fake_device` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        write_fake_package(Path(folder), 4, graph=graph, zeros=0 if graph else CODE)
        sys.path.insert(0, folder)
        try:
            backend = HailoProcess({"hailo8l": fake_hef(FRAME, CODE)}, FRAME, CODE)
        finally:
            sys.path.remove(folder)
        try:
            yield backend
        finally:
            backend.close()


@one_core()
def run(quick: bool = False, graph: bytes | None = None) -> dict[str, Any]:
    """Time inferences through the backend, alternating with bare hand-offs.

    Args:
        quick: 300 calls instead of 3,000.
        graph: encoder.onnx with frames (1, 12, 2, 50); None lets the fake copy zeros instead of computing.

    Returns:
        ``added_us_p50``: wall time of ``infer`` less the fake's computing, microseconds; ``hand_off_us_p50``: a bare
        round trip to another thread in the same run; ``ratio``: their quotient; ``isolated_us_p50`` and
        ``in_process_us_p50``: wall time of ``infer`` with the library in a process of its own and in this one;
        ``isolation_ratio``: their quotient.
    """
    calls = 300 if quick else 3000
    backend, fake = fake_device(FRAME, CODE, graph)
    hand_off = HandOff()
    frame = np.random.default_rng(0).normal(size=(1, *FRAME)).astype(np.float32)
    added, computing, trips = [], [], []
    try:
        for _ in range(calls + WARM_UP):
            took = _took(backend.infer, frame)
            trips.append(_took(hand_off.round_trip))
            computing.append(fake.chip.compute_ns[-1])
            added.append(took - computing[-1])
        with _isolated(graph) as apart:
            turns = [(_took(backend.infer, frame), _took(apart.infer, frame)) for _ in range(calls + WARM_UP)]
    finally:
        backend.close()
        hand_off.close()
    here, isolated = zip(*turns[WARM_UP:], strict=True)
    inside, outside = percentile(here, 50), percentile(isolated, 50)
    ours, trip = percentile(added[WARM_UP:], 50), percentile(trips[WARM_UP:], 50)
    assert ours is not None and trip is not None  # noqa: PT018 - 300 samples support a median
    assert inside is not None and outside is not None  # noqa: PT018
    return {
        "schema_version": 1,
        "benchmark": "hailo-overhead",
        "device": "fake: not a measurement of Hailo silicon",
        "calls": calls,
        "added_us_p50": ours,
        "added_us_p99": percentile(added[WARM_UP:], 99),
        "fake_compute_us_p50": percentile(computing[WARM_UP:], 50),
        "hand_off_us_p50": trip,
        "hand_off_us_p99": percentile(trips[WARM_UP:], 99),
        "ratio": ours / trip,
        "in_process_us_p50": inside,
        "isolated_us_p50": outside,
        "isolated_us_p99": percentile(isolated, 99),
        "isolation_ratio": outside / inside,
    }


def _took(call: Callable[..., object], *arguments: object) -> int:
    started = time.perf_counter_ns()
    call(*arguments)
    return time.perf_counter_ns() - started


if __name__ == "__main__":
    sys.exit(run_command("hailo_overhead", run))
