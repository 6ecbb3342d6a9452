"""What watching costs a run: drift, metrics and the live page, each alone and all together, in turns with none.

    python -m fsq_edge_benchmarks.suites.watching [--quick] [--json FILE]

A process of its own looks on: it holds the page's events open and scrapes the metrics every second. Decisions are
paced, as a sensor's are, so that the page's thread has its turns between them. The time of one is that from its last
sample, handed to the run, until the run asks for more.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from queue import Queue
from typing import Any, Final

import numpy as np

from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle, motion_hops
from fsq_edge_benchmarks.measure.onlookers import onlooker
from fsq_edge_benchmarks.measure.ratio import interval_json, median_of_ratios
from fsq_edge_benchmarks.measure.resources import resident_mb
from fsq_edge_benchmarks.suites.command import heading, run_command
from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.monitor.about import About
from fsq_edge_runtime.monitor.sink import MonitorSink
from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.sinks.base import CallbackSink, Sink
from fsq_edge_runtime.sinks.prometheus import MetricsSink
from fsq_edge_runtime.sources import Chunk, IterableSource
from fsq_edge_runtime.stream.lockstep import Pushed

BLOCK: Final = 64  # decisions of one side before the next has its turn: a judgement of the drift watch
SETTLING: Final = 6  # turns: memory that is taken for the first time costs less than what was used before
PAUSE_S: Final = 0.001
STREAMS: Final = 200
CYCLE_S: Final = 0.1  # of many streams: ten decisions a second each
KINDS: Final = ("drift", "metrics", "page", "all")
PROCESSES: Final = 20
PROCESSES_OF_MANY: Final = 5

Taken = dict[str, Float64Array]  # by side


class _Side:
    """A run, and what watches it; its samples come in blocks.

    Args:
        stack: closes what is opened.
        bundle: the model.
        kind: what watches, one of ``KINDS``, or ``nothing``.

    Attributes:
        session: of the run.
        page, metrics: what watches, or None.
    """

    def __init__(self, stack: ExitStack, bundle: Bundle, kind: str) -> None:
        self.session: Session = stack.enter_context(bundle.open_session("onnx", deadline_ms=0.0))
        if kind in ("drift", "all"):
            self.session.watch_drift()
        sinks: list[Sink] = [CallbackSink(lambda record: None)]
        self.page: MonitorSink | None = None
        if kind in ("page", "all"):
            self.page = MonitorSink(about=About.of(self.session))
            sinks.append(self.page)
        self._blocks: Queue[tuple[Sequence[Float32Array], float]] = Queue()
        self._taken: Queue[list[int]] = Queue()
        self._runner = Runner(self.session, [IterableSource(self._samples())], sinks)
        self.metrics: MetricsSink | None = None
        if kind in ("metrics", "all"):
            self.metrics = MetricsSink("127.0.0.1", 0, self._runner.health)
            self._runner.attach(self.metrics)
        for sink in (self.page, self.metrics):
            if sink is not None:
                stack.callback(sink.close)
        self._thread: threading.Thread | None = None

    def run(self, hops: Sequence[Float32Array], pause_s: float = 0.0) -> list[int]:
        """Let the run take samples, each of which makes a window due; return the nanoseconds that each took."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._runner.run, args=(threading.Event(),), daemon=True)
            self._thread.start()
        self._blocks.put((hops, pause_s))
        return self._taken.get()

    def _samples(self) -> Iterator[Chunk]:
        """Give a block's samples to the run, and note when it comes back for more."""
        while True:
            hops, pause_s = self._blocks.get()
            taken = []
            for hop in hops:
                begun = time.perf_counter_ns()
                yield Chunk("0", hop, None, time.monotonic_ns())
                taken.append(time.perf_counter_ns() - begun)
                if pause_s:
                    time.sleep(pause_s)
            self._taken.put(taken)

    def push_many(self, chunks: list[Pushed]) -> None:
        """Hand in samples of many streams, as the run does with those of live sources."""
        if self.page is not None:
            self.page.take_chunks(chunks)
        self.session.push_many(chunks)


def run(quick: bool = False) -> dict[str, Any]:
    """Measure single decisions and many streams.

    Returns:
        ``single``: for ``drift``, ``metrics``, ``page`` and ``all`` the ``ratio_p50`` of a decision over one that
        nothing watches, ``added_us``, ``ratio_p99`` and ``ratio_mean``; ``drift``: ``mean``, with over without on
        average, looks and judgements among it, and ``added_us``, medians over processes; ``memory_mb``: what all of it
        takes; ``many``: ``ratio_p50`` of the engine's time for 200 streams, the same way, and ``without_ms`` that it
        takes then.
    """
    bundle = fixed_bundle()
    drift = _in_processes(drift_cost, 8 if quick else 100, 1 if quick else PROCESSES)
    single = _in_processes(single_stream, 4 if quick else 14, 1 if quick else PROCESSES)
    many = _in_processes(many_streams, 6 if quick else 80, 1 if quick else PROCESSES_OF_MANY)
    return {
        **heading("watching", quick=quick),
        "single": {kind: _compared(single[kind], single["nothing"], BLOCK) for kind in KINDS},
        "drift": {"mean": float(np.median(drift["ratio"])), "added_us": float(np.median(drift["added_us"]))},
        "memory_mb": memory_mb(bundle, 20 if quick else 3600),
        "many": {
            "streams": STREAMS,
            **_compared(many["all"], many["nothing"], 1),
            "without_ms": float(np.median(many["nothing"])) / 1e6,
        },
    }


def _in_processes(measure: Callable[[int, int], Taken], rounds: int, processes: int) -> Taken:
    """Measure in processes of their own, one after the other, and join what they took.

    In each process the sides lie in memory in another way, which alone makes equal ones differ by 2 %.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        parts = [pool.submit(measure, rounds, number).result() for number in range(processes)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _compared(watched: Float64Array, plain: Float64Array, block: int) -> dict[str, Any]:
    ratio = median_of_ratios(watched, plain, block=block)
    return {
        "ratio_p50": interval_json(ratio),
        "added_us": (ratio.value - 1.0) * float(np.median(plain)) / 1e3,
        "ratio_p99": float(np.percentile(watched, 99) / np.percentile(plain, 99)),
        "ratio_mean": float(watched.mean() / plain.mean()),
    }


def drift_cost(rounds: int, number: int) -> Taken:
    """Return what :func:`fsq_edge_benchmarks.suites.drift.cost` finds, on data of another wearer for each process.

    Args:
        rounds: blocks of each side.
        number: of the process.
    """
    from fsq_edge_benchmarks.suites.drift import cost

    found = cost(fixed_bundle(), "watch", rounds, seed=300 + number)
    return {name: np.array([value]) for name, value in found.items()}


def single_stream(rounds: int, number: int) -> Taken:
    """Return nanoseconds of every paced decision of each kind of watching, a block of each in turns.

    Args:
        rounds: of turns.
        number: of the process; it draws the order in which the sides are opened.
    """
    bundle = fixed_bundle()
    hops = motion_hops(256, 1, bundle.preprocess.hop_samples)
    with ExitStack() as stack:
        sides = _open(stack, bundle, ("nothing", *KINDS), number)
        _look_on(stack, sides["all"])
        return in_blocks(sides, hops, rounds)


def many_streams(rounds: int, number: int) -> Taken:
    """Return the engine's nanoseconds for each hop of 200 streams, without and with all that watches, as above."""
    bundle = fixed_bundle()
    hops = motion_hops(STREAMS, 2, bundle.preprocess.hop_samples)
    pushed: list[Pushed] = [(str(stream), hops[stream], None) for stream in range(STREAMS)]
    with ExitStack() as stack:
        sides = _open(stack, bundle, ("nothing", "all"), number)
        _look_on(stack, sides["all"])
        taken = {kind: np.empty(rounds) for kind in sides}
        for turn in range(rounds):
            for kind in sides if turn % 2 else reversed(sides):
                begun = time.perf_counter_ns()
                sides[kind].push_many(pushed)
                taken[kind][turn] = time.perf_counter_ns() - begun
                time.sleep(CYCLE_S / 2)
    return {kind: values[rounds // 10 :] for kind, values in taken.items()}


def memory_mb(bundle: Bundle, seconds: int) -> float:
    """Return the resident memory that watching takes: after so many seconds of ten decisions each, without pauses."""
    hops = motion_hops(256, 1, bundle.preprocess.hop_samples)
    with ExitStack() as stack:
        plain = _Side(stack, bundle, "nothing")
        for _ in range(10 * seconds // 100):
            plain.run(hops[:100])
        before = resident_mb()
        watched = _Side(stack, bundle, "all")
        _look_on(stack, watched)
        for _ in range(10 * seconds // 100):
            watched.run(hops[:100])
            time.sleep(PAUSE_S)
        time.sleep(1.0)
        return resident_mb() - before


def _open(stack: ExitStack, bundle: Bundle, kinds: tuple[str, ...], seed: int) -> dict[str, _Side]:
    opened = {kind: _Side(stack, bundle, kind) for kind in np.random.default_rng(seed).permutation(kinds).tolist()}
    return {kind: opened[kind] for kind in kinds}


def _look_on(stack: ExitStack, side: _Side) -> None:
    if side.page is None or side.metrics is None:
        raise ValueError("nothing to look at")
    side.session.open_stream("0")
    stack.enter_context(onlooker(side.page.port, side.metrics.port))


def in_blocks(sides: dict[str, _Side], hops: Sequence[Float32Array], rounds: int) -> Taken:
    """Return nanoseconds of every decision; the sides take turns by blocks, in another order each round."""
    names = list(sides)
    taken = {name: np.empty((SETTLING + rounds, BLOCK)) for name in names}
    for number in range(SETTLING + rounds):
        part = [hops[(number * BLOCK + turn) % len(hops)] for turn in range(BLOCK)]
        for name in names[number % len(names) :] + names[: number % len(names)]:
            taken[name][number] = sides[name].run(part, PAUSE_S)
    return {name: values[SETTLING:].ravel() for name, values in taken.items()}


if __name__ == "__main__":
    sys.exit(run_command("watching", run))
