"""A series of samples on the disk: its true rate, its holes, its steps, and whether its unit can be right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsq_edge.data.importing.spool import Spool
from fsq_edge.data.recording import Channel
from fsq_edge.data.sensors import least_step
from fsq_edge.data.triads import find_triads, in_si
from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.tables.units import UNITS

GRAVITY = 9.80665
GRAVITY_FACTOR = 2.0  # the median norm of worn accelerometers lies well within half and twice gravity
EXAMINED = 200_000  # samples looked at for steps and gravity, spread over the series
USUAL_RATES: tuple[float, ...] = (1, 2, 4, 5, 6.25, 8, 10, 12.5, 16, 20, 25, 26, 30, 31.25, 32, 40, 50, 51.2, 52, 60)
USUAL_RATES += (62.5, 64, 70, 75, 80)
USUAL_RATES += (90, 100, 102.4, 104, 119, 120, 125, 128, 148, 200, 204.8, 208, 238, 240, 250, 256, 400, 416, 500, 512)
USUAL_RATES += (800, 833, 1000, 1024, 1600, 2000, 3200)
SNAP = 0.025
HOLE_PERIODS = 2.5


@dataclass(frozen=True, slots=True)
class Timing:
    """When the samples of a series lie.

    Args:
        samples: how many.
        first: time of the first, seconds.
        last: time of the last.
        rate_hz: measured between holes; 0 where there are fewer than two samples.
        holes: steps longer than the map allows.
        hole_seconds: all of them together.
        longest_hole: seconds.
    """

    samples: int
    first: float
    last: float
    rate_hz: float
    holes: int
    hole_seconds: float
    longest_hole: float


def measure_timing(spool: Spool, hole_s: float) -> Timing:
    """Measure a series' rate and holes.

    Args:
        spool: of the series.
        hole_s: a step longer than this is a hole, if it is also longer than two and a half usual steps.
    """
    usual = np.diff(spool.times(0, min(spool.length, EXAMINED)))
    hole_s = max(hole_s, HOLE_PERIODS * float(np.median(usual))) if usual.size else hole_s
    steps = holes = 0
    inside = outside = longest = 0.0
    first = last = np.nan
    for times, _, _ in spool.chunks():
        joined = times if np.isnan(last) else np.concatenate(([last], times))
        first, last = (times[0] if np.isnan(first) else first), times[-1]
        difference = np.diff(joined)
        hole = difference > hole_s
        steps += int((~hole).sum())
        inside += float(difference[~hole].sum())
        holes += int(hole.sum())
        outside += float(difference[hole].sum())
        longest = max(longest, float(difference[hole].max(initial=0.0)))
    rate = steps / inside if inside > 0 else 0.0
    return Timing(spool.length, float(first), float(last), rate, holes, outside, longest)


def usual_rate(measured_hz: float) -> float:
    """Return the usual rate within 2.5 % of a measured one, else the measured one with four digits."""
    near = min(USUAL_RATES, key=lambda rate: abs(rate / measured_hz - 1))
    return float(near) if abs(near / measured_hz - 1) <= SNAP else float(f"{measured_hz:.4g}")


def examine(spool: Spool, channels: tuple[Channel, ...]) -> tuple[dict[str, float], list[tuple[str, str, float, str]]]:
    """Look at values spread over a series.

    Returns:
        The least difference between distinct values of each channel (0 for a constant), and for each accelerometer
        whose unit gravity contradicts: first channel, unit, median norm in that unit, the unit that would fit.
    """
    samples = _spread_samples(spool)
    steps = {channel.name: float(f"{least_step(samples[:, i]):.6g}") for i, channel in enumerate(channels)}
    wrong = []
    for triad in find_triads(channels):
        unit = channels[triad.first].unit
        if triad.sensor == "acceleration" and unit in UNITS and "lin" not in triad.name and "gravity" not in triad.name:
            verdict = contradicted_unit(samples[:, triad.first : triad.first + 3], unit)
            if verdict is not None:
                wrong.append((channels[triad.first].name, unit, *verdict))
    return steps, wrong


def contradicted_unit(xyz: Float64Array, unit: str) -> tuple[float, str] | None:
    """Return the median norm and the fitting unit, where gravity contradicts the unit of (n, 3) values; else None."""
    norm = np.sqrt((xyz.astype(np.float64) ** 2).sum(axis=1))
    norm = norm[np.isfinite(norm)]
    if not norm.size:
        return None
    typical = float(np.median(norm))
    fitting = fitting_unit(typical)
    ratio = typical * in_si(unit) / GRAVITY
    if 1 / GRAVITY_FACTOR <= ratio <= GRAVITY_FACTOR or not fitting:
        return None
    return typical, fitting


def fitting_unit(typical: float) -> str:
    """Return the unit in which this median norm would be gravity; empty where none fits."""
    for unit in ("g", "m/s2", "mg"):
        if 1 / GRAVITY_FACTOR <= typical * in_si(unit) / GRAVITY <= GRAVITY_FACTOR:
            return unit
    return ""


def _spread_samples(spool: Spool) -> Float64Array:
    if spool.length <= EXAMINED:
        return spool.samples(0, spool.length).astype(np.float64)
    part = EXAMINED // 20
    starts = np.linspace(0, spool.length - part, 20).astype(int)
    return np.concatenate([spool.samples(int(at), int(at) + part) for at in starts]).astype(np.float64)
