"""An archive of 200 hours scored by one and by two workers, against ``push_many`` on samples in memory, in turns."""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge.scoring.reading import CHUNK
from fsq_edge_benchmarks.measure.children import child_environment
from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle
from fsq_edge_benchmarks.measure.fixed_network import CHANNELS, RATE_HZ
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import InternalError

HOURS, FILES, TURNS = 200, 20, 3
QUICK_HOURS, QUICK_FILES = 0.5, 4
ALONE_HOURS: Final = 20.0  # of push_many in one turn


def run(*, quick: bool = False) -> dict[str, Any]:
    """Make the archive, score it in turns, and return rates in recorded hours an hour."""
    return measure(QUICK_HOURS, QUICK_FILES, 1) if quick else measure(float(HOURS), FILES, TURNS)


def measure(hours: float, files: int, turns: int) -> dict[str, Any]:
    """Measure an archive of ``hours`` in ``files``.

    Rates are by the clock, and by processor time, which other work on the machine disturbs less.
    """
    names = ("push_many", "one", "two")
    by_clock: dict[str, list[float]] = {name: [] for name in names}
    by_processor: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="fsq-edge-scale-") as folder:
        root = Path(folder)
        bundle = fixed_bundle()
        bundle.save(root / "b.fsqb")
        _make_archive(root / "archive", hours, files)
        for _ in range(turns):
            alone = min(hours, ALONE_HOURS)
            for name, recorded, (seconds, busy) in (
                ("push_many", alone, _push_many(bundle, alone)),
                ("one", hours, _score(root, 1)),
                ("two", hours, _score(root, 2)),
            ):
                by_clock[name].append(recorded * 3600 / seconds)
                by_processor[name].append(recorded * 3600 / busy)
    clock = {name: statistics.median(values) for name, values in by_clock.items()}
    worked = {name: statistics.median(values) for name, values in by_processor.items()}
    found: dict[str, Any] = {"hours": hours, "files": files, "rates": by_clock, "rates_by_processor": by_processor}
    for name, workers in (("one", 1), ("two", 2)):
        found[name] = {
            "rate": clock[name],
            "of_push_many": clock[name] / (workers * clock["push_many"]),
            "of_push_many_processor": worked[name] / worked["push_many"],
            "scaling": clock[name] / clock["one"],
        }
    return {**found, "push_many": clock["push_many"], "peak_mb": _children().ru_maxrss / 1024}


def _children() -> resource.struct_rusage:
    return resource.getrusage(resource.RUSAGE_CHILDREN)


def _recording(hours: float, seed: int) -> Float32Array:
    """Motion of an hour at most, repeated to the length: what it costs does not depend on what moves."""
    samples = int(hours * 3600 * RATE_HZ)
    draw = np.random.default_rng(seed)
    once = min(samples, int(3600 * RATE_HZ))
    pace = np.repeat(draw.uniform(0.5, 4.0, once // 150 + 1), 150)[:once]
    phase = np.cumsum(pace) / RATE_HZ * 2 * np.pi
    waves = [np.sin(phase + draw.uniform(0, 6)) * draw.uniform(0.3, 2) for _ in CHANNELS]
    moved = (np.stack(waves, axis=1) + draw.normal(0, 0.05, (once, len(CHANNELS)))).astype(np.float32)
    return np.tile(moved, (-(-samples // once), 1))[:samples]


def _make_archive(folder: Path, hours: float, files: int) -> None:
    folder.mkdir()
    for number in range(files):
        np.savez(folder / f"{number:03d}.npz", samples=_recording(hours / files, number))


def _push_many(bundle: Bundle, hours: float) -> tuple[float, float]:
    """Return seconds by the clock and of processor time."""
    samples = _recording(hours, 0)
    with bundle.open_session("onnx", deadline_ms=0.0) as session:
        begun, worked = time.perf_counter(), time.process_time()
        for at in range(0, len(samples), CHUNK):
            session.push_many([("0", samples[at : at + CHUNK], None)])
        return time.perf_counter() - begun, time.process_time() - worked


def _score(root: Path, workers: int) -> tuple[float, float]:
    """Score the archive by the command line, from its start to its end, into a new folder; seconds as above."""
    words = ["score", str(root / "b.fsqb"), str(root / "archive"), "--out", str(root / "out"), "--quiet"]
    begun, before = time.perf_counter(), _children()
    ended = subprocess.run(
        [sys.executable, "-m", "fsq_edge", *words, "--workers", str(workers)],
        capture_output=True,
        text=True,
        env=child_environment(),
        check=False,
    )
    seconds, after = time.perf_counter() - begun, _children()
    if ended.returncode:
        raise InternalError(f"score ended with {ended.returncode}: {ended.stderr[-300:]}")
    shutil.rmtree(root / "out")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(run_command("scale", run))
