"""Recordings whose rows do not each stand for one time: packets under one timestamp, sensors in turns.

A radio packet often carries several samples and one time, that of its arrival; a logger with two sensors of their own
rates writes a row for each value, the other sensor's cells empty. Both are recognised in the first rows of a stream,
said aloud, and turned into rows with a time of their own.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float32Array, Float64Array

PACKED_SHARE = 0.2  # of the samples that share the time of the one before them, and differ from it
TURNS_SHARE = 0.5  # of the rows that lack some channels but not all
PRESENT_SHARE = 0.05  # least share of the rows that hold a channel
LONGEST_PACKET = 4.0  # times the usual time of its samples; more is a gap, not a packet's length
HELD_ROWS = 8192  # rows that may wait for another sensor's next value, or for the end of a packet

Rows = tuple[Float32Array, Float64Array]


class Arrangement(Protocol):
    """Turns rows as they were written into rows that each hold every channel at a time of their own.

    Attributes:
        said: what was recognised and what is done about it.
    """

    said: str

    def take(self, samples: Float32Array, times: Float64Array) -> Rows:
        """Take rows (n, C) and (n,) seconds; return those that are complete."""

    def finish(self) -> Rows:
        """Return what was held back."""


def find_arrangement(
    samples: Float32Array, times: Float64Array, period_s: float, max_gap_s: float
) -> Arrangement | None:
    """Recognise how the first rows of one stream are arranged.

    Args:
        samples: (n, C); NaN is missing.
        times: (n,) seconds.
        period_s: nominal time between two samples of the source.
        max_gap_s: longest time without a value that is interpolated.

    Returns:
        What puts such rows in order; None where every row stands for one time.
    """
    if len(times) < 8:
        return None
    present = np.isfinite(samples)
    partial = present.any(axis=1) & ~present.all(axis=1)
    if partial.mean() >= TURNS_SHARE and (present.mean(axis=0) >= PRESENT_SHARE).all():
        return Turns(present, times, period_s, max_gap_s)
    repeats = (np.diff(times) == 0) & (samples[1:] != samples[:-1]).any(axis=1)
    if repeats.mean() >= PACKED_SHARE:
        return Packets(times, int(repeats.sum()))
    return None


class Packets:
    """Spreads the samples of a packet evenly over the time since the packet before it.

    Args:
        times: (n,) of the first rows.
        shared: how many of them repeat the time before.
    """

    def __init__(self, times: Float64Array, shared: int) -> None:
        steps = np.diff(times)
        packets = steps[steps > 0]
        size = len(times) / (len(packets) + 1)
        self._step_s = float(np.median(packets)) / size if packets.size else 0.0
        self._last: float | None = None
        self._samples: Float32Array | None = None
        self._times: Float64Array = np.empty(0)
        self.said = (
            f"{shared} of the first {len(times)} samples share the timestamp of the one before: they are packets of "
            f"about {size:.3g} samples, whose times are now spread, {1000 * self._step_s:.4g} ms apart"
        )

    def take(self, samples: Float32Array, times: Float64Array) -> Rows:
        """See :class:`Arrangement`."""
        if self._samples is not None:
            samples, times = np.concatenate((self._samples, samples)), np.concatenate((self._times, times))
        starts = np.flatnonzero(np.diff(times, prepend=np.nan) != 0)
        cut = int(starts[-1]) if len(starts) and len(times) - starts[-1] < HELD_ROWS else len(times)
        self._samples, self._times = samples[cut:], times[cut:]
        return samples[:cut], self._spread(times[:cut])

    def finish(self) -> Rows:
        """See :class:`Arrangement`."""
        if self._samples is None:
            return np.empty((0, 0), np.float32), np.empty(0)
        samples, times = self._samples, self._spread(self._times)
        self._samples, self._times = None, np.empty(0)
        return samples, times

    def _spread(self, times: Float64Array) -> Float64Array:
        spread = np.array(times)
        if not len(times):
            return spread
        starts = np.flatnonzero(np.diff(times, prepend=np.nan) != 0)
        for first, end in zip(starts.tolist(), [*starts[1:].tolist(), len(times)], strict=True):
            count, at = end - first, float(times[first])
            step = self._step_s
            if self._last is not None and 0 < at - self._last <= LONGEST_PACKET * count * step:
                step = (at - self._last) / count
            spread[first:end] = at - step * np.arange(count - 1, -1, -1)
            self._last = at
        return spread


class Turns:
    """Interpolates the channels of the other sensors at the times of one of them.

    Args:
        present: (n, C), which values the first rows hold.
        times: (n,) of these rows.
        period_s: nominal time between two samples; the sensor whose rate is nearest gives the times.
        max_gap_s: between two values further apart nothing is interpolated.
    """

    def __init__(self, present: BoolArray, times: Float64Array, period_s: float, max_gap_s: float) -> None:
        span = float(np.ptp(times[np.isfinite(times)])) if np.isfinite(times).any() else 0.0
        rates = present.sum(axis=0) / span if span > 0 else present.sum(axis=0).astype(np.float64)
        self._reference = int(np.argmin(np.abs(np.log(np.maximum(rates, 1e-9) * period_s))))
        self._max_gap_s = max_gap_s
        self._samples: Float32Array | None = None
        self._times: Float64Array = np.empty(0)
        self._until = -np.inf
        found = ", ".join(f"{rate:.4g}" for rate in sorted(set(np.round(rates, 1).tolist()))) if span > 0 else "unknown"
        self.said = (
            f"{100 * (~present.all(axis=1)).mean():.0f} % of the rows lack some channels: sensors in turns, at {found} "
            f"Hz; the rows of the sensor at {rates[self._reference]:.4g} Hz are taken, the others' values interpolated"
        )

    def take(self, samples: Float32Array, times: Float64Array) -> Rows:
        """See :class:`Arrangement`."""
        if self._samples is not None:
            samples, times = np.concatenate((self._samples, samples)), np.concatenate((self._times, times))
        present = np.isfinite(samples) & np.isfinite(times)[:, None]
        latest = [float(times[seen].max()) if seen.any() else -np.inf for seen in present.T]
        limit = float(np.nanmax(times, initial=-np.inf)) if len(times) > HELD_ROWS else min(latest)
        rows = self._rows(samples, times, present, limit)
        # What lies before each channel's last value up to the limit is not needed any more.
        needed = [np.flatnonzero(seen & (times <= limit)) for seen in present.T]
        keep = min((int(at[-1]) for at in needed if len(at)), default=0)
        if len(times) - keep > HELD_ROWS:
            keep = len(times) - HELD_ROWS // 2
        self._samples, self._times = samples[keep:], times[keep:]
        return rows

    def finish(self) -> Rows:
        """See :class:`Arrangement`."""
        if self._samples is None or not len(self._times):
            return np.empty((0, 0), np.float32), np.empty(0)
        samples, times = self._samples, self._times
        self._samples, self._times = None, np.empty(0)
        present = np.isfinite(samples) & np.isfinite(times)[:, None]
        return self._rows(samples, times, present, np.inf)

    def _rows(self, samples: Float32Array, times: Float64Array, present: BoolArray, limit: float) -> Rows:
        chosen = present[:, self._reference] & (times > self._until) & (times <= limit)
        at = times[chosen]
        out = np.array(samples[chosen])
        if not len(at):
            return out, at
        self._until = float(at.max())
        for channel, seen in enumerate(present.T):
            lacking = ~np.isfinite(out[:, channel])
            if lacking.any() and seen.any():
                out[lacking, channel] = self._between(at[lacking], times[seen], samples[seen, channel])
        return out, at

    def _between(self, at: Float64Array, times: Float64Array, values: Float32Array) -> Float64Array:
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
        after = np.clip(np.searchsorted(times, at), 0, len(times) - 1)
        before = np.maximum(after - (times[after] > at), 0)
        found: Float64Array = np.interp(at, times, values)
        # At a border one neighbour stands for both; further away than the longest gap there is no value.
        far = np.maximum(np.abs(times[after] - at), np.abs(at - times[before])) > self._max_gap_s
        found[far] = np.nan
        return found
