"""The range of every activation over a calibration set, by one of four methods, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from fsq_edge_compile.int8.probe import ActivationProbe
from fsq_edge_runtime.arrays import Float32Array, Float64Array

RangeMethod = Literal["minmax", "percentile", "entropy", "mse"]
RANGE_METHODS: Final[tuple[RangeMethod, ...]] = get_args(RangeMethod)

BINS: Final = 2048
LEVELS: Final = 256
KEPT_SHARE: Final = 0.9999  # percentile: what stays inside the range, both ends together
SHRINKS: Final = np.linspace(1.0, 0.3, 71)  # entropy and mse: candidate ranges, as a share of the full one


@dataclass(frozen=True, slots=True)
class Histogram:
    """Values of one tensor over the calibration set.

    Attributes:
        low: smallest value, or 0 if that is smaller (a quantised range always holds zero).
        high: largest value, or 0.
        counts: (BINS,) float64, equal bins from low to high.
    """

    low: float
    high: float
    counts: Float64Array

    @property
    def centers(self) -> Float64Array:
        """The middle of each bin."""
        edges = np.linspace(self.low, self.high, len(self.counts) + 1)
        return np.asarray((edges[:-1] + edges[1:]) / 2)


def activation_ranges(
    probe: ActivationProbe, frames: Float32Array, method: RangeMethod
) -> dict[str, tuple[float, float]]:
    """Run the graph over the set and return the range of each tensor that ``probe`` shows.

    Args:
        probe: of the float graph.
        frames: (N, C', H, W) float32.
        method: ``minmax`` keeps every value; ``percentile`` 99.99 % of them; ``entropy`` the range that loses least
            information; ``mse`` the range with the least squared error at 256 levels.

    Returns:
        name -> (low, high), low <= 0 <= high.

    Cost: one pass for minmax, two for the others; memory does not grow with N.
    """
    low = dict.fromkeys(probe.names, 0.0)
    high = dict.fromkeys(probe.names, 0.0)
    for values in probe.observe(frames):
        for name in probe.names:
            low[name] = min(low[name], float(values[name].min()))
            high[name] = max(high[name], float(values[name].max()))
    if method == "minmax":
        return {name: (low[name], high[name]) for name in probe.names}
    moving = [name for name in probe.names if high[name] > low[name]]
    counts = {name: np.zeros(BINS) for name in moving}
    for values in probe.observe(frames):
        for name in moving:
            counts[name] += np.histogram(values[name], bins=BINS, range=(low[name], high[name]))[0]
    choose = {"percentile": percentile_range, "entropy": entropy_range, "mse": mse_range}[method]
    chosen = {name: choose(Histogram(low[name], high[name], counts[name])) for name in moving}
    return {name: chosen.get(name, (low[name], high[name])) for name in probe.names}


def percentile_range(histogram: Histogram, kept: float = KEPT_SHARE) -> tuple[float, float]:
    """Return the range that leaves out (1 - kept) / 2 of the values at each end."""
    edges = np.linspace(histogram.low, histogram.high, len(histogram.counts) + 1)
    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    tail = (1.0 - kept) / 2
    first = int(np.searchsorted(share, tail, side="right"))
    last = int(np.searchsorted(share, 1.0 - tail, side="left"))
    return min(0.0, float(edges[first])), max(0.0, float(edges[min(last, len(share) - 1) + 1]))


def mse_range(histogram: Histogram) -> tuple[float, float]:
    """Return the range, shrunk towards zero from the full one, with the least expected squared error."""
    x = histogram.centers

    def error(low: float, high: float) -> float:
        step = (high - low) / (LEVELS - 1)
        kept = np.round((np.clip(x, low, high) - low) / step) * step + low
        # A bin is wider than nothing: within the range the rounding error of a step is never below step^2 / 12.
        inside = (x >= low) & (x <= high)
        squared = np.where(inside, np.maximum((x - kept) ** 2, step * step / 12), (x - kept) ** 2)
        return float((histogram.counts * squared).sum())

    return min(_candidates(histogram), key=lambda ends: error(*ends))


def entropy_range(histogram: Histogram) -> tuple[float, float]:
    """Return the shrunk range whose 256 levels keep the distribution best (least Kullback-Leibler divergence).

    Source: Migacz 2017, 8-bit inference with TensorRT.
    """
    # Fine bins over few windows hold sampling noise, which the measure takes for information.
    counts = histogram.counts.reshape(2 * LEVELS, -1).sum(axis=1)
    x = Histogram(histogram.low, histogram.high, counts).centers

    def divergence(low: float, high: float) -> float:
        inside = np.flatnonzero((x >= low) & (x <= high))
        p = counts[inside].copy()
        q_source = p.copy()
        p[0] += counts[: inside[0]].sum()
        p[-1] += counts[inside[-1] + 1 :].sum()
        level = (np.arange(len(p)) * LEVELS // len(p)).astype(np.int64)
        filled = p > 0
        mass = np.bincount(level, weights=q_source, minlength=LEVELS)
        members = np.bincount(level, weights=filled, minlength=LEVELS)
        q = np.where(filled, mass[level] / np.maximum(members[level], 1), 0.0)
        p, q = p / p.sum(), np.maximum(q / max(q.sum(), 1e-300), 1e-12)
        return float((p[filled] * np.log(p[filled] / q[filled])).sum())

    return min(_candidates(histogram), key=lambda ends: divergence(*ends))


def _candidates(histogram: Histogram) -> list[tuple[float, float]]:
    """Return the full range first, so that a tie keeps every value."""
    return [(histogram.low * float(shrink), histogram.high * float(shrink)) for shrink in SHRINKS]
