"""What a dead, a silent and a full receiver cost a decision, each in turns with a run that writes nowhere.

    python -m fsq_edge_benchmarks.suites.receivers [--quick] [--json FILE]

Dead: nothing listens at the port. Silent: something listens and never answers. Full: a pipe that nobody reads, or a
disk without room (``/dev/full``). Gone: a real Mosquitto that is killed once the sink is open; left out where it is
not installed. Decisions are paced, as a sensor's are.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle, motion_hops
from fsq_edge_benchmarks.measure.ratio import interval_json, ratio_of_medians
from fsq_edge_benchmarks.measure.resources import resident_mb
from fsq_edge_benchmarks.suites.command import heading, run_command
from fsq_edge_benchmarks.suites.watching import BLOCK, PAUSE_S
from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.sinks.base import CallbackSink, Sink
from fsq_edge_runtime.sinks.opening import open_sink

NOWHERE: Final = "nowhere"
BROKER_GONE: Final = "mqtt, broker gone"
MEMORY_DECISIONS: Final = 60_000  # 100 minutes of ten decisions a second, as fast as they come


def run(quick: bool = False) -> dict[str, Any]:
    """Measure every kind of receiver.

    Returns:
        ``receivers``: for each the ``ratio_p50`` and ``ratio_p99`` of a decision over one that goes nowhere, and the
        ``memory_mb`` that all its records left; ``worst``: the largest of each.
    """
    bundle = fixed_bundle()
    with tempfile.TemporaryDirectory() as folder, _places(Path(folder)) as places:
        found = _in_turns(bundle, places, 2 if quick else 60)
        for name, place in places.items():
            found[name]["memory_mb"] = _memory_mb(bundle, name, place, 2_000 if quick else MEMORY_DECISIONS)
    return {
        **heading("receivers", quick=quick),
        "receivers": found,
        "worst": {
            "ratio_p50": max(one["ratio_p50"]["value"] for one in found.values()),
            "ratio_p99": max(one["ratio_p99"] for one in found.values()),
            "memory_mb": max(one["memory_mb"] for one in found.values()),
        },
    }


@contextmanager
def _places(folder: Path) -> Iterator[dict[str, str]]:
    """Yield name -> what ``--sink`` would say of a receiver that takes nothing, and of a folder that takes all."""
    with socket.socket() as gone, socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        gone.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        dead_port, silent_port = gone.getsockname()[1], silent.getsockname()[1]
        pipe = folder / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            yield {
                "influx http, dead": f"influx:http://127.0.0.1:{dead_port}/?db=motion",
                "influx http, silent": f"influx:http://127.0.0.1:{silent_port}/?db=motion",
                "influx udp, dead": f"influx:udp://127.0.0.1:{dead_port}",
                "webhook, silent": f"webhook:http://127.0.0.1:{silent_port}/",
                "jsonl, full pipe": f"jsonl:{pipe}",
                "jsonl, full disk": "jsonl:/dev/full",
                "parquet": f"parquet:{folder / 'parquet'}",
            } | ({BROKER_GONE: str(folder)} if _mosquitto() else {})
        finally:
            os.close(reader)


def _mosquitto() -> str | None:
    return shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def _open(stack: ExitStack, name: str, place: str) -> Sink:
    stop = threading.Event()
    sink = _open_and_lose(Path(place), stop) if name == BROKER_GONE else open_sink(place, stop=stop)
    stack.callback(sink.close)
    stack.callback(stop.set)
    return sink


def _open_and_lose(folder: Path, stop: threading.Event) -> Sink:
    """Open a sink to a broker, then kill the broker."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    broker = subprocess.Popen(
        [str(_mosquitto()), "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        return open_sink(f"mqtt://127.0.0.1:{port}/motion", stop=stop)
    finally:
        broker.kill()
        broker.wait()


def _pusher(stack: ExitStack, bundle: Bundle, sink: Sink) -> Callable[[int], None]:
    hops: list[Float32Array] = list(motion_hops(256, 1, bundle.preprocess.hop_samples))
    session = stack.enter_context(bundle.open_session("onnx", deadline_ms=0.0, on_record=lambda record: None))

    def push(turn: int) -> None:
        for decision in session.push(hops[turn % len(hops)]):
            sink.write(decision)

    return push


def _in_turns(bundle: Bundle, places: dict[str, str], rounds: int) -> dict[str, dict[str, Any]]:
    with ExitStack() as stack:
        calls = {NOWHERE: _pusher(stack, bundle, CallbackSink(lambda record: None))}
        calls |= {name: _pusher(stack, bundle, _open(stack, name, place)) for name, place in places.items()}
        taken = _in_blocks(calls, rounds)
    plain = taken.pop(NOWHERE)
    return {
        name: {
            "ratio_p50": interval_json(ratio_of_medians(values, plain)),
            "ratio_p99": float(np.percentile(values, 99) / np.percentile(plain, 99)),
        }
        for name, values in taken.items()
    }


def _in_blocks(calls: dict[str, Callable[[int], None]], rounds: int) -> dict[str, Float64Array]:
    """Return nanoseconds of every call; the sides take turns by blocks, in another order each round."""
    names = list(calls)
    taken = {name: np.empty((rounds + 1, BLOCK)) for name in names}
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            for turn in range(BLOCK):
                begun = time.perf_counter_ns()
                calls[name](number * BLOCK + turn)
                taken[name][number, turn] = time.perf_counter_ns() - begun
                time.sleep(PAUSE_S)
    return {name: values[1:].ravel() for name, values in taken.items()}


def _memory_mb(bundle: Bundle, name: str, place: str, decisions: int) -> float:
    """Return what resident memory grew by from the first sixth of the decisions to the last."""
    with ExitStack() as stack:
        push = _pusher(stack, bundle, _open(stack, name, place))
        for turn in range(decisions // 6):
            push(turn)
        before = resident_mb()
        for turn in range(decisions // 6, decisions):
            push(turn)
        return resident_mb() - before


if __name__ == "__main__":
    sys.exit(run_command("receivers", run))
