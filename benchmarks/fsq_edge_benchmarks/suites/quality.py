"""Cost of the quality measurements, family by family, against a z-score of the same array.

python -m fsq_edge_benchmarks.suites.quality
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fsq_edge.data.quadruped import CHANNELS
from fsq_edge.data.quality import QualityControl
from fsq_edge.data.quality.analysis import BLOCK_VALUES
from fsq_edge.data.quality.counters import MissingCounter, MomentCounter, StuckCounter
from fsq_edge.data.quality.timing import TimingCounter
from fsq_edge.data.quality.units import NormSampler
from fsq_edge_benchmarks.measure.stopwatch import in_turns
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_runtime.arrays import BoolArray, Float32Array

RATE_HZ = 100.0


def run(quick: bool = False) -> dict[str, Any]:
    """Time every family on clean windows and on windows with 1 % missing values.

    Args:
        quick: 500 windows and two repeats, to show that it runs; the full run takes 10,000 windows of 9 x 100.

    Returns:
        ``zscore_ms``, ``families`` (milliseconds and ratio to the z-score, for ``clean`` and ``damaged``),
        ``worst_ratio``. Each figure is the least of the repeats, taken in turns with the
        z-score.
    """
    n, repeats = (500, 2) if quick else (10_000, 7)
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(n, 9, 100)).astype(np.float32)
    damaged = clean.copy()
    damaged[rng.random(clean.shape) < 0.01] = np.nan
    families: dict[str, dict[str, float]] = {}
    zscore_s = np.inf
    for kind, windows in (("clean", clean), ("damaged", damaged)):
        finite = None if kind == "clean" else np.isfinite(windows)
        for name, measure in _families(windows, finite).items():
            taken = in_turns({"zscore": lambda _: _zscore(clean), "family": measure}, repeats, 0)
            base_s, family_s = (float(taken[side].min()) / 1e9 for side in ("zscore", "family"))
            zscore_s = min(zscore_s, base_s)
            entry = families.setdefault(name, {})
            entry[f"{kind}_ms"], entry[f"{kind}_ratio"] = 1000 * family_s, family_s / base_s
    worst = max(entry[key] for entry in families.values() for key in ("clean_ratio", "damaged_ratio"))
    return {
        "schema_version": 1,
        "shape": list(clean.shape),
        "zscore_ms": 1000 * zscore_s,
        "families": families,
        "worst_ratio": worst,
    }


def _zscore(x: Float32Array) -> Float32Array:
    return np.asarray((x - x.mean(axis=(0, 2), keepdims=True)) / x.std(axis=(0, 2), keepdims=True), np.float32)


def _families(windows: Float32Array, finite: BoolArray | None) -> dict[str, Callable[[int], object]]:
    size = max(1, BLOCK_VALUES // (windows.shape[1] * windows.shape[2]))
    blocks = [slice(begin, begin + size) for begin in range(0, len(windows), size)]
    masks = [None if finite is None else finite[block] for block in blocks]
    timestamps = np.arange(windows.shape[0] * windows.shape[2]) / RATE_HZ
    codes = np.random.default_rng(1).integers(0, 240, len(windows))

    def fed(make: Callable[[], Any], *columns: Sequence[Any]) -> Callable[[int], object]:
        def measure(_: int) -> None:
            counter = make()
            for row in zip(*columns, strict=True):
                counter.feed(*row)

        return measure

    def units(_: int) -> None:
        sampler = NormSampler(CHANNELS, windows.shape[0] * windows.shape[2])
        for block in some:
            sampler.feed(block)
        sampler.result()

    some = [windows[block] for block in blocks]
    return {
        "missing and gaps": fed(lambda: MissingCounter(9, 10), some),
        "moments": fed(lambda: MomentCounter(9), some, masks),
        "stuck and saturated": fed(lambda: StuckCounter(9, 50), some, masks),
        "units": units,
        "timing": lambda _: TimingCounter(RATE_HZ, 0.1).feed(timestamps),
        "code book": lambda _: QualityControl().validate_codes(codes, 240),
    }


if __name__ == "__main__":
    sys.exit(run_command("quality", run))
