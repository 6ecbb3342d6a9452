"""What streaming adds around the network: one stream, a thousand streams in batches, and the CPU at 100 Hz.

Every figure stands next to the bare network in the same run, on the fixed network, so that a slower net earns nothing.

python -m fsq_edge_benchmarks.suites.streaming [--quick]
"""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from fsq_edge_benchmarks.measure.bare import BARE_IS, bare_batches
from fsq_edge_benchmarks.measure.distribution import Distribution
from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle, motion_hops
from fsq_edge_benchmarks.measure.fixed_network import motion_windows
from fsq_edge_benchmarks.measure.ratio import interval_json, ratio_of_medians, ratio_of_p99
from fsq_edge_benchmarks.measure.stopwatch import in_turns
from fsq_edge_benchmarks.suites.command import heading, run_command
from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.backends.onnx import open_onnx
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.sinks.base import CallbackSink
from fsq_edge_runtime.sources.iterable import IterableSource

WARM_UP: Final = 300
STREAMS: Final = 1000
SENSOR_HZ: Final = 100.0


def run(quick: bool = False) -> dict[str, Any]:
    """Measure all three.

    Returns:
        ``single``: by kind of push (with and without timestamps) the distributions of ``decision`` and ``bare``,
        ``ratio_p50`` with its interval, ``ratio_p99`` (the median over slices of the run), ``added_us_p50``; ``many``:
        windows a second and ``ratio``; ``cpu``: shares of a core.
    """
    bundle = fixed_bundle()
    single = {
        kind: single_stream(bundle, 700 if quick else 20_000, timed=timed)
        for kind, timed in (("counted", False), ("timestamped", True))
    }
    return {
        **heading("streaming"),
        "bare_is": BARE_IS,
        "single": single,
        "many": many_streams(bundle, 50 if quick else STREAMS, 100 if quick else 40),
        "cpu": cpu_share(1, 3.0) if quick else cpu_share(12, 5.0),
    }


def single_stream(bundle: Bundle, decisions: int, *, timed: bool) -> dict[str, Any]:
    """Time decisions of one stream, a hop a push, in turns with the bare network (A B B A).

    Args:
        bundle: on the onnx backend, one thread.
        decisions: to time, at least 662 for a p99.
        timed: push timestamps, too.
    """
    config = bundle.preprocess
    hop = config.hop_samples
    hops, network = hops_and_network(bundle)
    times = np.arange(hop) / config.sample_rate_hz
    with bundle.open_session(backend="onnx", deadline_ms=0.0) as session:
        session.push(hops[-1], times - hop / config.sample_rate_hz if timed else None)

        def push(turn: int) -> None:
            session.push(hops[turn % len(hops)], times + turn * hop / config.sample_rate_hz if timed else None)

        taken = in_turns({"ours": push, "bare": network}, decisions, WARM_UP)
        assert session.totals.decided == WARM_UP + decisions, "every push must end as a decision"
    ours, bare = taken["ours"], taken["bare"]
    decision, alone = Distribution.of(ours), Distribution.of(bare)
    assert decision.p50 and decision.p99 and alone.p50 and alone.p99, "662 decisions support a p99"  # noqa: PT018
    return {
        "decision_us": decision.model_dump(mode="json"),
        "bare_us": alone.model_dump(mode="json"),
        "ratio_p50": interval_json(ratio_of_medians(ours, bare)),
        "ratio_p99": ratio_of_p99(ours, bare).value,
        "added_us_p50": decision.p50 - alone.p50,
    }


def hops_and_network(bundle: Bundle) -> tuple[list[Float32Array], Callable[[int], object]]:
    """Return hops of motion, and a call that gives the bare network, host graph too, the ready frame of its turn."""
    frames = Preprocessor(bundle.preprocess).frames(motion_windows(256, seed=1))
    feeds = [{"input": frame[None].copy()} for frame in frames]
    run = open_onnx(bundle.read("encoder")).run
    hops = motion_hops(256, 1, bundle.preprocess.hop_samples)
    if not bundle.has("host"):
        return hops, lambda turn: run(None, feeds[turn % len(feeds)])
    behind = open_onnx(bundle.read("host")).run
    return hops, lambda turn: behind(None, {"t": run(None, feeds[turn % len(feeds)])[0]})


def many_streams(
    bundle: Bundle, streams: int, rounds: int, bare_of: Bundle | None = None, **options: Any
) -> dict[str, Any]:
    """Push a hop of every stream at a time, in turns with onnxruntime's best batches over as many ready frames.

    Args:
        bundle: on the onnx backend, one thread.
        streams: named by their numbers.
        rounds: hops of every stream.
        bare_of: whose graph the batches run; None is the bundle's own.
        options: of the session.
    """
    hop = bundle.preprocess.hop_samples
    windows = motion_windows(streams, seed=2)
    graph = (bare_of or bundle).read("encoder-batch")
    bare, how = bare_batches(graph, Preprocessor(bundle.preprocess).frames(windows))
    hops = [np.ascontiguousarray(window.T[:hop]) for window in windows]
    with bundle.open_session(backend="onnx", deadline_ms=0.0, **options) as session:
        session.push_many({str(stream): samples for stream, samples in enumerate(hops)})
        pushed = [{str(stream): hops[(stream + turn) % streams] for stream in range(streams)} for turn in range(2)]
        calls = {"ours": lambda turn: session.push_many(pushed[turn % 2]), "bare": lambda _: bare()}
        taken = in_turns(calls, rounds, 1)
        assert session.totals.decided == streams * (rounds + 1), "every push must end as a decision"
    mine, theirs = (float(np.median(taken[side])) for side in ("ours", "bare"))
    return {
        "streams": streams,
        "windows_per_s": streams * 1e9 / mine,
        "bare_windows_per_s": streams * 1e9 / theirs,
        "bare_is": how,
        "ratio": theirs / mine,
    }


def cpu_share(slices: int, seconds: float) -> dict[str, Any]:
    """Run one stream of 100 Hz, sample by sample at its own pace, from a live source to a sink of JSON lines.

    Args:
        slices: how often, next to the sensor and the network alone: a machine whose core others slow down at times
            counts more processor time then, up to twice as much.
        seconds: of one.

    Returns:
        Shares of one core, medians over the slices: ``used`` by the process, ``network`` by the bare network for as
        many windows, ``sensor`` by the loop that stands for the sensor, alone; ``beyond_network`` is what is left of
        the first, ``beyond_network_mean`` the mean of that.
    """
    bundle = fixed_bundle(sample_rate_hz=SENSOR_HZ)
    taken = np.array([_cpu_slice(bundle, seconds) for _ in range(slices)])
    used, sensor, network = (taken[:, :3] / seconds).T
    beyond = used - sensor - network
    return {
        "slices": slices,
        "seconds": seconds,
        "sample_rate_hz": SENSOR_HZ,
        "hop_samples": bundle.preprocess.hop_samples,
        "windows": int(taken[:, 3].sum()),
        "used": float(np.median(used)),
        "sensor": float(np.median(sensor)),
        "network": float(np.median(network)),
        "beyond_network": float(np.median(beyond)),
        "beyond_network_mean": float(beyond.mean()),
    }


def _cpu_slice(bundle: Bundle, seconds: float) -> tuple[float, float, float, int]:
    """Return the processor's seconds for a stream, for its sensor and for its network alone, and the windows."""
    rows = np.concatenate([window.T for window in motion_windows(64, seed=3)])
    out, windows = io.StringIO(), 0

    def paced() -> Iterator[tuple[Float32Array, Float64Array]]:
        begun = time.monotonic()
        for number in range(int(seconds * SENSOR_HZ)):
            time.sleep(max(0.0, begun + number / SENSOR_HZ - time.monotonic()))
            yield rows[number % len(rows)][None], np.asarray([number / SENSOR_HZ])

    def write(record: Any) -> None:
        nonlocal windows
        windows += hasattr(record, "seq")
        out.write(json.dumps(record.to_dict()) + "\n")

    with bundle.open_session(backend="onnx") as session:
        runner = Runner(session, [IterableSource(paced(), live=True)], [CallbackSink(write)])
        used = _cpu_s(lambda: runner.run(threading.Event()))
    sensor = _cpu_s(lambda: sum(1 for _ in paced()))
    feed = {"input": np.zeros((1, *bundle.preprocess.frame_shape), dtype=np.float32)}
    session_run = open_onnx(bundle.read("encoder")).run
    network = 0.0
    for _ in range(windows):
        time.sleep(0.005)  # as in a stream, where caches have cooled
        network += _cpu_s(lambda: session_run(None, feed))
    return used, sensor, network, windows


def _cpu_s(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


if __name__ == "__main__":
    sys.exit(run_command("streaming", run))
