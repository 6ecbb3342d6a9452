"""What watching costs a run: drift, metrics and the live page, each alone and all together, in turns with none.

    python -m fsq_edge_benchmarks.suites.watching [--quick] [--json FILE]

A process of its own looks on: it holds the page's events open and scrapes the metrics every second. Decisions are
paced, as a sensor's are, so that the page's thread has its turns between them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final

import numpy as np

from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle, motion_hops
from fsq_edge_benchmarks.measure.onlookers import onlooker
from fsq_edge_benchmarks.measure.ratio import interval_json, ratio_of_medians
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
from fsq_edge_runtime.sources import IterableSource
from fsq_edge_runtime.stream.lockstep import Pushed

BLOCK: Final = 64  # decisions of one side before the next has its turn: a judgement of the drift watch
PAUSE_S: Final = 0.001
STREAMS: Final = 200
CYCLE_S: Final = 0.1  # of many streams: ten decisions a second each
KINDS: Final = ("drift", "metrics", "page", "all")


class _Side:
    """A run that is pushed by hand: a session, its runner's way to the sinks, and what watches it."""

    def __init__(self, stack: ExitStack, bundle: Bundle, kind: str) -> None:
        self.session: Session = stack.enter_context(bundle.open_session("onnx", deadline_ms=0.0))
        if kind in ("drift", "all"):
            self.session.watch_drift()
        sinks: list[Sink] = [CallbackSink(lambda record: None)]
        self.page: MonitorSink | None = None
        if kind in ("page", "all"):
            self.page = MonitorSink(about=About.of(self.session))
            sinks.append(self.page)
        runner = Runner(self.session, [IterableSource([])], sinks)
        self.metrics: MetricsSink | None = None
        if kind in ("metrics", "all"):
            self.metrics = MetricsSink("127.0.0.1", 0, runner.health)
            runner.attach(self.metrics)
        for sink in (self.page, self.metrics):
            if sink is not None:
                stack.callback(sink.close)

    def push(self, stream: str, samples: Float32Array) -> None:
        """Hand in samples of one stream, as the runner does."""
        if self.page is not None:
            self.page.take_samples(stream, samples, None)
        self.session.push(samples, stream=stream)

    def push_many(self, chunks: list[Pushed]) -> None:
        """Hand in samples of many streams."""
        if self.page is not None:
            self.page.take_chunks(chunks)
        self.session.push_many(chunks)


def run(quick: bool = False) -> dict[str, Any]:
    """Measure single decisions and many streams.

    Returns:
        ``single``: for ``drift``, ``metrics``, ``page`` and ``all`` the ``ratio_p50`` of a decision over one that
        nothing watches, ``added_us``, ``ratio_p99`` and ``ratio_mean``; ``drift``: ``mean``, with over without on
        average, looks and judgements among it; ``memory_mb``: what all of it takes; ``many``: ``ratio`` of the engine's
        time for 200 streams, ``ratio_p99`` and ``ratio_mean``.
    """
    from fsq_edge_benchmarks.suites.drift import cost

    bundle = fixed_bundle()
    single = single_stream(bundle, 4 if quick else 150)
    drift = cost(bundle, "watch", 8 if quick else 300)
    return {
        **heading("watching", quick=quick),
        "single": single,
        "drift": {"mean": drift["ratio"], "added_us": drift["added_us"]},
        "memory_mb": memory_mb(bundle, 20 if quick else 3600),
        "many": many_streams(bundle, 6 if quick else 300),
    }


def single_stream(bundle: Bundle, rounds: int) -> dict[str, Any]:
    """Return what each kind of watching adds to the median of a paced decision, a block of each in turns."""
    hops = motion_hops(256, 1, bundle.preprocess.hop_samples)
    with ExitStack() as stack:
        sides = {kind: _Side(stack, bundle, kind) for kind in ("nothing", *KINDS)}
        _look_on(stack, sides["all"])
        calls = {kind: _pusher(side, hops) for kind, side in sides.items()}
        taken = in_blocks(calls, rounds, PAUSE_S)
    plain = taken["nothing"]
    return {
        kind: {
            "ratio_p50": interval_json(ratio_of_medians(taken[kind], plain)),
            "added_us": float(np.median(taken[kind]) - np.median(plain)) / 1e3,
            "ratio_p99": float(np.percentile(taken[kind], 99) / np.percentile(plain, 99)),
            "ratio_mean": float(taken[kind].mean() / plain.mean()),
        }
        for kind in KINDS
    }


def many_streams(bundle: Bundle, rounds: int) -> dict[str, Any]:
    """Return how the engine's time for a hop of 200 streams changes with a live page that is looked at."""
    hops = motion_hops(STREAMS, 2, bundle.preprocess.hop_samples)
    pushed: list[Pushed] = [(str(number), hops[number], None) for number in range(STREAMS)]
    with ExitStack() as stack:
        plain, watched = (_Side(stack, bundle, kind) for kind in ("nothing", "all"))
        _look_on(stack, watched)
        taken = {"nothing": [], "all": []}  # type: dict[str, list[int]]
        for number in range(rounds):
            order = (("nothing", plain), ("all", watched))
            for name, side in order if number % 2 else reversed(order):
                begun = time.perf_counter_ns()
                side.push_many(pushed)
                taken[name].append(time.perf_counter_ns() - begun)
                time.sleep(CYCLE_S / 2)
    ours, base = (np.array(taken[name][rounds // 10 :], dtype=np.float64) for name in ("all", "nothing"))
    return {
        "streams": STREAMS,
        "ratio": interval_json(ratio_of_medians(ours, base)),
        "ratio_p99": float(np.percentile(ours, 99) / np.percentile(base, 99)),
        "ratio_mean": float(ours.mean() / base.mean()),
        "without_ms": float(np.median(base)) / 1e6,
    }


def memory_mb(bundle: Bundle, seconds: int) -> float:
    """Return the resident memory that watching takes: after so many seconds of ten decisions each, without pauses."""
    hops = motion_hops(256, 1, bundle.preprocess.hop_samples)
    with ExitStack() as stack:
        plain = _Side(stack, bundle, "nothing")
        for number in range(10 * seconds):
            plain.push("0", hops[number % len(hops)])
        before = resident_mb()
        watched = _Side(stack, bundle, "all")
        _look_on(stack, watched)
        for number in range(10 * seconds):
            watched.push("0", hops[number % len(hops)])
            if number % 100 == 0:
                time.sleep(PAUSE_S)
        time.sleep(1.0)
        return resident_mb() - before


def _look_on(stack: ExitStack, side: _Side) -> None:
    if side.page is None or side.metrics is None:
        raise ValueError("nothing to look at")
    side.session.open_stream("0")
    stack.enter_context(onlooker(side.page.port, side.metrics.port))


def _pusher(side: _Side, hops: Sequence[Float32Array]) -> Callable[[int], None]:
    return lambda turn: side.push("0", hops[turn % len(hops)])


def in_blocks(calls: dict[str, Callable[[int], None]], rounds: int, pause_s: float) -> dict[str, Float64Array]:
    """Return nanoseconds of every call; the sides take turns by blocks, in another order each round."""
    names = list(calls)
    taken = {name: np.empty((rounds + 1, BLOCK)) for name in names}
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            for turn in range(BLOCK):
                begun = time.perf_counter_ns()
                calls[name](number * BLOCK + turn)
                taken[name][number, turn] = time.perf_counter_ns() - begun
                time.sleep(pause_s)
    return {name: values[1:].ravel() for name, values in taken.items()}


if __name__ == "__main__":
    sys.exit(run_command("watching", run))
