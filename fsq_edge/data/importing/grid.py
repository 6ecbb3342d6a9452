"""Several sensors of one recording, or a recording of another rate, on one uniform grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fsq_edge.data.importing.series import Timing
from fsq_edge.data.importing.spool import Spool
from fsq_edge_runtime.arrays import AnyArray, BoolArray, Float32Array, Float64Array, Int16Array, Int64Array
from fsq_edge_runtime.errors import DataError

CHUNK = 1 << 15
MAX_GRID = 1 << 31
NEAR_PERIODS = 2.5  # a slower sensor is interpolated over this many of its own periods


@dataclass(frozen=True, slots=True, eq=False)
class Sensor:
    """One file's series and its timing."""

    name: str
    spool: Spool
    timing: Timing


def merge(sensors: Sequence[Sensor], rate_hz: float, fill_s: float, folder: Path) -> tuple[Spool, dict[str, int]]:
    """Put sensors on one grid, from when all have begun until the first ends.

    Values are interpolated between neighbours that are at most ``fill_s`` (or two and a half of the sensor's own
    periods) apart; where the rate falls they are first averaged over a step of the grid, so that nothing folds
    back. Grid points in a hole of any sensor are left out. Labels are those of the first sensor that has one.

    Args:
        sensors: their series.
        rate_hz: of the grid.
        fill_s: longest distance that is interpolated, seconds.
        folder: for the new spool.

    Returns:
        The spool with the channels of all sensors, and how many samples of each sensor lie outside the common
        time or in another's hole.

    Raises:
        DataError: they have no time in common.
    """
    begin = max(sensor.timing.first for sensor in sensors)
    end = min(sensor.timing.last for sensor in sensors)
    points = int(np.floor((end - begin) * rate_hz + 1e-6)) + 1
    if points < 2:
        spans = "; ".join(f"{s.name} {s.timing.first:.3f} to {s.timing.last:.3f} s" for s in sensors)
        raise DataError(
            f"sensors of one recording have no time in common: {spans}",
            hint="where they are two recordings, give each section a session: of its own; else change time: in the map",
        )
    if points > MAX_GRID:
        raise DataError(f"a grid of {points} points at {rate_hz:g} Hz is too large", hint="change rate_hz in the map")
    out = Spool(folder, sum(sensor.spool.channels for sensor in sensors))
    cursors = [_Cursor(sensor, rate_hz, fill_s) for sensor in sensors]
    for at in range(0, points, CHUNK):
        grid = begin + np.arange(at, min(points, at + CHUNK)) / rate_hz
        parts, labels, good = [], np.full(len(grid), -1, np.int16), np.ones(len(grid), np.bool_)
        for cursor in cursors:
            values, marks, near = cursor.at(grid)
            parts.append(values)
            labels = np.where(labels < 0, marks, labels)
            good &= near
        out.append(grid[good], np.concatenate(parts, axis=1)[good], labels[good])
    return out, {cursor.name: cursor.outside(begin, end) for cursor in cursors}


class _Cursor:
    """Interpolates one sensor, reading only the part of its series that a piece of the grid needs."""

    def __init__(self, sensor: Sensor, rate_hz: float, fill_s: float) -> None:
        self.name, self._spool = sensor.name, sensor.spool
        period = 1 / sensor.timing.rate_hz if sensor.timing.rate_hz else 0.0
        self._near = max(fill_s, NEAR_PERIODS * period)
        self._half = 0.5 / rate_hz if period and rate_hz * period < 0.99 else 0.0
        self._times = np.memmap(sensor.spool.paths[0], "<f8", "r", shape=(sensor.spool.length,))

    def at(self, grid: Float64Array) -> tuple[Float32Array, Int16Array, BoolArray]:
        first = max(0, int(np.searchsorted(self._times, grid[0] - 2 * self._half)) - 2)
        last = min(len(self._times), int(np.searchsorted(self._times, grid[-1] + 2 * self._half)) + 2)
        times, samples, labels = self._spool.read(first, last)
        after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
        distance = times[after] - times[after - 1]
        exact = (times[after] == grid) | (times[after - 1] == grid)
        near = (distance <= self._near) | exact
        nearest = np.where(grid - times[after - 1] <= times[after] - grid, after - 1, after)
        values = self._averaged(times, samples, grid) if self._half else self._between(times, samples, grid, after)
        return values, labels[nearest], near

    def outside(self, begin: float, end: float) -> int:
        inside = np.searchsorted(self._times, end, "right") - np.searchsorted(self._times, begin)
        return int(len(self._times) - inside)

    def _between(
        self, times: Float64Array, samples: Float32Array, grid: Float64Array, after: Int64Array
    ) -> Float32Array:
        share = ((grid - times[after - 1]) / (times[after] - times[after - 1]))[:, None]
        # At a sample itself its value is taken as it is: the neighbour may be missing.
        low, high = samples[after - 1].astype(np.float64), samples[after].astype(np.float64)
        found = np.where(share <= 0, low, np.where(share >= 1, high, low + (high - low) * share))
        return np.asarray(found, np.float32)

    def _averaged(self, times: Float64Array, samples: Float32Array, grid: Float64Array) -> Float32Array:
        start = np.searchsorted(times, grid - self._half)
        stop = np.maximum(np.searchsorted(times, grid + self._half), start + 1)
        stop = np.minimum(stop, len(times))
        start = np.minimum(start, stop - 1)
        present = np.isfinite(samples)
        sums, counts = _running(np.where(present, samples, 0)), _running(present)
        with np.errstate(invalid="ignore", divide="ignore"):  # nothing present is missing
            found = (sums[stop] - sums[start]) / (counts[stop] - counts[start])
        return np.asarray(found, np.float32)


def _running(values: AnyArray) -> Float64Array:
    return np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
