"""What `run --workers` gains: windows a second of two workers against one, many streams through pipes.

Workers are started once for every measurement and are ready before the clock starts; the clock stops when the last one
has written its last decision. In the same turns one and two processes run the bare network: what a second process can
gain on this machine, whose cores may share more than they seem to. Other work takes the second core, and both figures
say so.

python -m fsq_edge_benchmarks.suites.gateway [--quick]
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle, motion_hops
from fsq_edge_benchmarks.measure.twins import bare_seconds
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.gateway import WorkerPool, feed
from fsq_edge_runtime.sources import IterableSource
from fsq_edge_runtime.sources.base import Chunk

STREAMS: Final = 128  # their checksums divide them evenly; of 64 such names one worker has 34 and the other 30
ROUNDS: Final = 5


def run(quick: bool = False) -> dict[str, Any]:
    """Measure one and two workers in turns.

    Returns:
        ``windows_per_s``: the best of the rounds by number of workers; ``ratio``: two over one; ``bare_ratio``: the
        same of processes that run nothing but the network; ``of_bare``: the first ratio in parts of the second.
    """
    hops = 20 if quick else 300
    bundle = fixed_bundle()
    pieces = motion_hops(64, 4, bundle.preprocess.hop_samples)
    taken: dict[int, list[float]] = {1: [], 2: []}
    bare: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fixed.fsqb"
        bundle.save(path)
        for turn in range(1 if quick else ROUNDS):
            for workers in (1, 2) if turn % 2 == 0 else (2, 1):
                taken[workers].append(_seconds(path, pieces, hops, workers))
                bare[workers].append(bare_seconds(path, STREAMS * hops // 2, workers))
    best = {workers: STREAMS * (hops - 1) / min(found) for workers, found in taken.items()}
    ratio, bare_ratio = best[2] / best[1], 2 * min(bare[1]) / min(bare[2])
    return {
        "streams": STREAMS,
        "windows_per_s": {str(workers): speed for workers, speed in best.items()},
        "ratio": ratio,
        "bare_ratio": bare_ratio,
        "of_bare": ratio / bare_ratio,
    }


def _seconds(bundle: Path, pieces: list[Float32Array], hops: int, workers: int) -> float:
    """Return how long so many workers take for ``hops`` hops of every stream, without their start and their exit."""
    chunks = (
        Chunk(f"dog{stream}", pieces[(turn + stream) % len(pieces)], None, time.monotonic_ns())
        for turn in range(hops)
        for stream in range(STREAMS)
    )

    written = [bundle.with_name(f"{number}.jsonl") for number in range(workers)]

    def command(number: int, descriptor: int, ready: int) -> list[str]:
        source = f"pipe:{descriptor}?live=0&ready={ready}"
        options = ["--source", source, "--sink", f"jsonl:{written[number]}", "--backend", "onnx", "--quiet"]
        return [sys.executable, "-m", "fsq_edge", "run", str(bundle), *options]

    pool, stop = WorkerPool(workers, command), threading.Event()
    pool.wait_ready(stop)
    begun = time.time()
    feed(pool, [IterableSource(chunks)], stop)
    pool.end()
    return max(path.stat().st_mtime for path in written) - begun  # the last record's; Python's own end comes later


if __name__ == "__main__":
    sys.exit(run_command("gateway", run))
