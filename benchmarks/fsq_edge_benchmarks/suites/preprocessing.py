"""Raw windows to frames, one and many, and the filling of gaps, against the plain numpy that one would write."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from fsq_edge_benchmarks.measure.distribution import Distribution
from fsq_edge_benchmarks.measure.fixed_network import fixed_preprocess, motion_windows
from fsq_edge_benchmarks.measure.ratio import interval_json, ratio_of_medians
from fsq_edge_benchmarks.measure.stopwatch import in_turns
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.preprocess import FrameWriter, Preprocessor

Taken = Mapping[str, Int64Array]

BATCH: Final = 1000
MISSING: Final = 0.01  # share of values, alone or in runs of three
ROUNDS: Final = (7000, 200)  # of one window, of a batch; a quick run takes 11 of each


def run(quick: bool = False) -> dict[str, Any]:
    """Time one window, a batch of 1,000 and a batch with gaps, each in turns with its baseline.

    Our frames hold more than the baseline's: raw channels and z-copies, both standardised and clipped, in the network's
    layout. The baseline only takes each window's channels to mean 0 and deviation 1.

    Args:
        quick: 11 rounds, to show that it runs.

    Returns:
        ``one``: distributions of a window in a session (``stream``), of the array interface (``frames``) and of the
        baseline (``plain``), with ``stream_ratio`` and ``frames_ratio``; ``batch``: distributions of 1,000 windows,
        ``ratio`` and ``window_us``; ``gaps``: of 1,000 windows with 1 % missing, ``loop_over_ours`` against a loop
        over ``np.interp``.
    """
    windows = motion_windows(BATCH)
    preprocessor = Preprocessor(fixed_preprocess(windows))
    rounds = (11, 11) if quick else ROUNDS
    return {
        "one": _one(preprocessor, windows, rounds[0]),
        "batch": _batch(preprocessor, windows, rounds[1]),
        "gaps": _gaps(preprocessor, windows, rounds[1]),
    }


def plain_zscore(windows: Float32Array) -> Float32Array:
    """Return windows (..., C, T) with every channel of every window at mean 0 and deviation 1."""
    mean, std = windows.mean(axis=-1, keepdims=True), windows.std(axis=-1, keepdims=True)
    scaled: Float32Array = (windows - mean) / (std + np.float32(1e-6))
    return scaled


def loop_fill(windows: Float32Array) -> Float32Array:
    """Return windows (N, C, T) with missing values interpolated, row by row."""
    filled = windows.copy()
    at = np.arange(windows.shape[-1])
    for window in filled:
        for row in window:
            present = np.isfinite(row)
            if not present.all() and present.sum() > 1:
                row[~present] = np.interp(at[~present], at[present], row[present])
    return filled


def windows_with_gaps(windows: Float32Array, seed: int = 0) -> Float32Array:
    """Return a copy with about ``MISSING`` of the values NaN, in runs of one to three inside the rows."""
    draw = np.random.default_rng(seed)
    damaged = windows.copy()
    rows = damaged.reshape(-1, damaged.shape[-1])
    runs = int(MISSING * rows.size / 2)
    row, start = draw.integers(0, len(rows), runs), draw.integers(1, rows.shape[1] - 4, runs)
    for index, (at, first) in enumerate(zip(row, start, strict=True)):
        rows[at, first : first + 1 + index % 3] = np.nan
    return damaged


def _one(preprocessor: Preprocessor, windows: Float32Array, rounds: int) -> dict[str, Any]:
    frame = np.empty(preprocessor.config.frame_shape, dtype=np.float32)
    writer = FrameWriter(preprocessor, frame)
    taken = in_turns(
        {
            "stream": lambda index: writer.write(windows[index % BATCH]),
            "frames": lambda index: preprocessor.frames(windows[index % BATCH : index % BATCH + 1]),
            "plain": lambda index: plain_zscore(windows[index % BATCH]),
        },
        rounds,
        rounds // 10 + 1,
    )
    ratios = {
        f"{name}_ratio": interval_json(ratio_of_medians(taken[name], taken["plain"])) for name in ("stream", "frames")
    }
    return {**_distributions(taken), **ratios}


def _batch(preprocessor: Preprocessor, windows: Float32Array, rounds: int) -> dict[str, Any]:
    taken = in_turns(
        {"frames": lambda _: preprocessor.frames(windows), "plain": lambda _: plain_zscore(windows)},
        rounds,
        rounds // 10 + 1,
    )
    return {
        **_distributions(taken),
        "windows": BATCH,
        "window_us": float(np.median(taken["frames"])) / 1e3 / BATCH,
        "ratio": interval_json(ratio_of_medians(taken["frames"], taken["plain"])),
    }


def _gaps(preprocessor: Preprocessor, windows: Float32Array, rounds: int) -> dict[str, Any]:
    damaged = windows_with_gaps(windows)
    calls = {"ours": lambda _: preprocessor.fill_gaps(damaged), "loop": lambda _: loop_fill(damaged)}
    taken = in_turns(calls, rounds, rounds // 10 + 1)
    return {
        **_distributions(taken),
        "windows": BATCH,
        "missing": float(np.isnan(damaged).mean()),
        "loop_over_ours": interval_json(ratio_of_medians(taken["loop"], taken["ours"])),
    }


def _distributions(taken: Taken) -> dict[str, Any]:
    return {name: Distribution.of(durations).model_dump(mode="json") for name, durations in taken.items()}


if __name__ == "__main__":
    sys.exit(run_command("preprocessing", run))
