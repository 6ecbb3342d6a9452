"""Calibration sets out of many windows: seconds by method, and the memory of a process that chooses the largest set.

python -m fsq_edge_benchmarks.suites.calibration
"""

from __future__ import annotations

import resource
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge_benchmarks.measure.stopwatch import timed
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_calibration import METHODS, audit_set, build_calibration_set, describe_windows
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig, fit_preprocess

CHUNK: Final = 5000


def run(quick: bool = False) -> dict[str, Any]:
    """Choose 1,024 of 100,000 memory-mapped windows by every method, then 4,096, and audit that.

    Args:
        quick: 5,000 windows, to show that it runs.

    Returns:
        ``seconds`` by method for 1,024 windows, ``seconds_4096`` (coverage, the slowest), ``seconds_describe`` and
        ``seconds_audit``, and ``peak_mb`` (resident, of the whole process with the mapped pages).
    """
    count = 5_000 if quick else 100_000
    rng = np.random.default_rng(0)
    labels, codes = rng.integers(0, 7, count), rng.integers(0, 150, count)
    subjects = np.char.add("s", rng.integers(0, 10, count).astype(str))
    with tempfile.TemporaryDirectory() as folder:
        windows = _mapped_windows(Path(folder) / "windows.npy", count)
        preprocess = _preprocess(windows[:2000])

        def choose(size: int, method: Any) -> Any:
            return build_calibration_set(windows, labels, subjects, preprocess, size=size, method=method, codes=codes)

        seconds = {method: timed(partial(choose, 1024, method))[0] for method in METHODS}
        seconds_4096, chosen = timed(lambda: choose(4096, "coverage"))
        seconds_describe, training = timed(lambda: describe_windows(windows, preprocess, labels, subjects, codes))
        seconds_audit, audit = timed(lambda: audit_set(chosen, training, preprocess))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "schema_version": 1,
        "n_windows": count,
        "seconds": seconds,
        "seconds_4096": seconds_4096,
        "seconds_describe": seconds_describe,
        "seconds_audit": seconds_audit,
        "audit_passed": audit.passed,
        "peak_mb": peak,
    }


def _mapped_windows(path: Path, count: int) -> Float32Array:
    """Write smooth random motion (count, 6, 100) chunk by chunk and map it."""
    rng = np.random.default_rng(1)
    time_s = np.arange(100) / 50.0
    shape = (count, 6, 100)
    mapped = np.lib.format.open_memmap(path, "w+", np.float32, shape)  # type: ignore[no-untyped-call]  # numpy's stubs
    for first in range(0, count, CHUNK):
        size = min(CHUNK, count - first)
        pace, phase = rng.uniform(0.5, 4.0, (size, 1, 1)), rng.uniform(0, 6.3, (size, 6, 1))
        wave = np.sin(2 * np.pi * pace * time_s + phase) * rng.uniform(0.2, 2.0, (size, 6, 1))
        mapped[first : first + size] = wave + rng.normal(0, 0.02, (size, 6, 100))
    mapped.flush()
    del mapped
    windows: Float32Array = np.load(path, mmap_mode="r")
    return windows


def _preprocess(windows: Float32Array) -> PreprocessConfig:
    channels = tuple(ChannelSpec(name=f"c{index}", unit="g") for index in range(6))
    draft = PreprocessConfig(channels=channels, sample_rate_hz=50.0, mean=(0.0,) * 12, std=(1.0,) * 12)
    return fit_preprocess(windows, draft)


if __name__ == "__main__":
    sys.exit(run_command("calibration", run))
