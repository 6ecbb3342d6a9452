"""What two workers do with sensors of 50 Hz when they have less than they can answer, and when they have more.

A network is taken of such a size that 80 % of what this machine, as it is at this moment, can answer are 2,000 streams
or a few more. The most that is answered with far too many streams, and with twice as many as that, is the capacity.
Then as many streams come as make 80 % of it, and 150 %, one after the other and all at once. Below capacity no window
may be missed; beyond it the newest win, and every stream should lose alike. At last one stream sends 90 % of the
capacity, and others, one hop a second each, 60 %: it must not take from them.

python -m fsq_edge_benchmarks.suites.overload [--quick]
"""

from __future__ import annotations

import json
import math
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle, motion_hops
from fsq_edge_benchmarks.measure.fixed_network import small_bundle
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_runtime.gateway import WorkerPool, feed
from fsq_edge_runtime.sources import IterableSource
from fsq_edge_runtime.sources.base import Chunk

WORKERS: Final = 2
MOST_STREAMS: Final = 7800  # a worker takes 4,096, and names are not divided quite evenly
SECONDS: Final = 20.0
LOADS: Final = (0.5, 0.8, 1.5, 3.0)
AT_ONCE: Final = (0.8, 1.5)
AIM: Final = (2500.0, 2750.0)  # windows a second: 80 % of the least are 2,000 streams
WIDTHS: Final = (64, 128, 128)  # of the network, to be multiplied
SIZES: Final = (2.0, 6)  # what they are multiplied by at first, and how many are tried
SLEEP_S: Final = 0.002  # a sleep is not exact: a few hops at a time
WARM_TURNS: Final = 4  # hops of a stream before those that count: workers are cold, and do not know their capacity


def run(quick: bool = False) -> dict[str, Any]:
    """Measure the capacity, then the loads.

    Returns:
        ``capacity``: windows a second; ``widths``: of the network; ``loads``: by share of the capacity, ``at_once``:
        all at the same moment, ``one_sends_most``: what :func:`paced` returns.
    """
    most, seconds = (64, 3.0) if quick else (MOST_STREAMS, SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.fsqb"
        times, tries = SIZES
        for _ in range(1 if quick else tries):
            widths, capacity = _sized(path, times, most, seconds / 2)
            if AIM[0] <= capacity <= AIM[1]:
                break
            times *= math.sqrt(capacity / (sum(AIM) / 2))  # a layer's cost goes with the square of its width

        def loaded(load: float, **options: Any) -> dict[str, Any]:
            return paced(path, max(2, min(most, round(load * capacity))), seconds, **options)

        loads = {f"{load:.0%}": loaded(load) for load in LOADS}
        at_once = {f"{load:.0%}": loaded(load, at_once=True) for load in AT_ONCE}
        one = loaded(0.6, first_sends=max(2, round(0.9 * capacity)))
    return {
        "workers": WORKERS,
        "widths": widths,
        "capacity": capacity,
        "loads": loads,
        "at_once": at_once,
        "one_sends_most": one,
    }


def _sized(path: Path, times: float, most: int, seconds: float) -> tuple[list[int], float]:
    """Write the bundle of a network of so many times the usual widths; return these and the windows a second."""
    widths = [8 * max(1, round(times * width / 8)) for width in WIDTHS]
    small_bundle(fixed_bundle(), tuple(widths)).save(path)
    capacity = paced(path, most, seconds)["answered"] * most
    streams = max(2, min(most, round(2 * capacity)))  # what is left out costs something, too: less of it
    return widths, max(capacity, paced(path, streams, seconds)["answered"] * streams)


def paced(path: Path, streams: int, seconds: float, *, at_once: bool = False, first_sends: int = 1) -> dict[str, Any]:
    """Let sensors send a hop of one second each second.

    Args:
        path: of the bundle.
        streams: sensors.
        seconds: of stream that count.
        at_once: all at the same moment; else one after the other.
        first_sends: hops that the first sensor sends each second; the shares below are then those of the others.

    Returns:
        ``streams``; ``windows``: that count; ``answered``: the share of them; ``least``, ``p5``, ``median``, ``p95``,
        ``most``: of the share that a stream was answered; ``least_of_mean``: the least in parts of the mean; ``jain``:
        Jain's index of the shares, 1 where all have the same; ``missed``: records that say so; ``lost_samples``: that
        no window had; ``behind_s``: how late the sender was at the end; ``worker_mb``: the largest memory of a worker
        of this process so far.
    """
    config = fixed_bundle().preprocess
    pieces = motion_hops(64, 4, config.hop_samples)
    period = config.hop_samples / config.sample_rate_hz
    turns = WARM_TURNS + max(2, round(seconds / period))
    # Each second's hops: when they come, in parts of it, and of whom.
    hops = [(0.0 if at_once else stream / streams, stream) for stream in range(streams)]
    hops = sorted([*hops, *((at / first_sends, 0) for at in range(1, first_sends))], key=lambda hop: hop[0])
    behind = 0.0

    def chunks() -> Iterator[Chunk]:
        nonlocal behind
        begun = time.monotonic()
        for turn in range(turns):
            for part, stream in hops:
                due = begun + (turn + part) * period
                wait = due - time.monotonic()
                if wait > SLEEP_S:
                    time.sleep(wait)
                behind = max(0.0, -wait)
                yield Chunk(f"dog{stream}", pieces[(turn + stream) % len(pieces)], None, int(due * 1e9))

    records = _run(path, chunks())
    windows = turns - WARM_TURNS
    answered = Counter(
        record["stream"] for record in records if record["type"] == "decision" and record["t_end"] > WARM_TURNS * period
    )
    shares = np.asarray([answered[f"dog{stream}"] / windows for stream in range(streams)])
    shares = shares if first_sends == 1 else shares[1:]
    least, p5, median, p95, most = np.percentile(shares, [0, 5, 50, 95, 100]).tolist()
    return {
        "streams": streams,
        "windows": windows * len(shares),
        "answered": float(shares.mean()),
        "least": least,
        "p5": p5,
        "median": median,
        "p95": p95,
        "most": most,
        "least_of_mean": least / float(shares.mean() or 1.0),
        "jain": float(shares.sum() ** 2 / (len(shares) * (shares**2).sum() or 1.0)),
        "missed": sum(record["type"] == "missed" for record in records),
        "lost_samples": sum(record.get("overrun", 0) for record in records if record["type"] == "end"),
        "behind_s": behind,
        "worker_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }


def _run(path: Path, chunks: Iterator[Chunk]) -> list[dict[str, Any]]:
    """Feed the workers; return the records that they wrote."""

    def command(number: int, descriptor: int, ready: int) -> list[str]:
        source, sink = f"pipe:{descriptor}?live=1&ready={ready}", f"jsonl:{path.with_name(f'{number}.jsonl')}"
        options = ["--source", source, "--sink", sink, "--backend", "onnx", "--no-latency", "--quiet"]
        return [sys.executable, "-m", "fsq_edge", "run", str(path), *options]

    pool, stop = WorkerPool(WORKERS, command), threading.Event()
    feed(pool, [IterableSource(chunks)], stop)
    pool.end()
    parts = [path.with_name(f"{number}.jsonl").read_text(encoding="utf-8") for number in range(WORKERS)]
    return [json.loads(line) for part in parts for line in part.splitlines()]


if __name__ == "__main__":
    sys.exit(run_command("overload", run))
