"""What the timestamps say: real rate, drift, gaps, steps back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fsq_edge.data.recording import Channel
from fsq_edge.data.triads import find_triads, in_si
from fsq_edge_runtime.arrays import BoolArray, Float32Array, Float64Array, Int64Array

_SUMS = (
    "n_steps",
    "n_gaps",
    "gap_seconds",
    "n_lost",
    "n_backward",
    "n_duplicates",
    "seconds",
    "n_idle",
    "idle_seconds",
)


@dataclass(frozen=True, slots=True)
class TimingQuality:
    """Timing over all recordings that carry timestamps.

    Attributes:
        n_steps: neighbouring pairs of timestamps.
        rate_hz: real rate, from the steps near the usual one.
        rate_drift_percentage: largest difference of a recording's rate from the nominal one, signed.
        drift_within_percentage: largest change of rate from the first to the second half of a recording, signed.
        n_gaps: steps longer than the longest gap that is interpolated; a window never spans one.
        gap_seconds: time in them.
        longest_gap_s: the longest step.
        n_lost: samples missing in shorter steps, by the usual step.
        n_backward: steps back in time.
        n_duplicates: repeated timestamps.
        seconds: time covered, gaps included.
        n_idle: gaps that begin at rest, as when a logger stops sampling because nothing moves.
        idle_seconds: time in them.
    """

    n_steps: int
    rate_hz: float
    rate_drift_percentage: float
    drift_within_percentage: float
    n_gaps: int
    gap_seconds: float
    longest_gap_s: float
    n_lost: int
    n_backward: int
    n_duplicates: int
    seconds: float
    n_idle: int = 0
    idle_seconds: float = 0.0


# m/s2, of each axis over a second. Source: van Hees et al. 2013, doi 10.1371/journal.pone.0061691, which calls a worn
# accelerometer still below a standard deviation of 13 mg.
REST_STD = 0.013 * 9.80665


def rest_of(
    channels: tuple[Channel, ...], samples: Float32Array, rate_hz: float
) -> Callable[[Int64Array], BoolArray] | None:
    """Return what tells rest from movement by the first accelerometer; None where a recording has none.

    Args:
        channels: C.
        samples: (n, C).
        rate_hz: of the samples.
    """
    first = next((triad.first for triad in find_triads(channels) if triad.sensor == "acceleration"), None)
    if first is None:
        return None
    count = max(2, round(rate_hz))
    limit = REST_STD / in_si(channels[first].unit)

    def at_rest(places: Int64Array) -> BoolArray:
        seconds = (samples[max(0, place + 1 - count) : place + 1, first : first + 3] for place in places.tolist())
        return np.array([bool((second.std(axis=0) < limit).all()) for second in seconds], np.bool_)

    return at_rest


class TimingCounter:
    """Adds up recordings.

    Args:
        sample_rate_hz: nominal rate.
        max_gap_s: longest gap that is interpolated.
    """

    def __init__(self, sample_rate_hz: float, max_gap_s: float) -> None:
        self._rate = sample_rate_hz
        self._longest = max(max_gap_s, 1.5 / sample_rate_hz)
        self._parts: list[TimingQuality] = []

    def feed(self, timestamps: Float64Array, at_rest: Callable[[Int64Array], BoolArray] | None = None) -> None:
        """Add the timestamps (n,) of one recording, seconds; fewer than two say nothing.

        Args:
            timestamps: of the samples.
            at_rest: says of samples (k,) whether the body was at rest in the second that ends there; None where that
                is not known.
        """
        step = np.diff(timestamps)
        forward = step[step > 0]
        if not forward.size:
            return
        usual = float(np.median(forward))
        regular = (step > 0) & (step < 1.5 * usual)
        middle = len(step) // 2
        first, second = step[:middle][regular[:middle]], step[middle:][regular[middle:]]
        within = 100 * (float(first.mean()) / float(second.mean()) - 1) if first.size and second.size else 0.0
        rate = 1 / float(step[regular].mean())
        places = np.flatnonzero(step > self._longest)
        gaps = step[places]
        idle = np.zeros(len(gaps), np.bool_) if at_rest is None else at_rest(places)
        late = step[(step >= 1.5 * usual) & (step <= self._longest)]
        self._parts.append(
            TimingQuality(
                n_steps=len(step),
                rate_hz=rate,
                rate_drift_percentage=100 * (rate / self._rate - 1),
                drift_within_percentage=within,
                n_gaps=len(gaps),
                gap_seconds=float(gaps.sum()),
                longest_gap_s=float(step.max()),
                n_lost=int(np.rint(late / usual - 1).sum()),
                n_backward=int(np.count_nonzero(step < 0)),
                n_duplicates=int(np.count_nonzero(step == 0)),
                seconds=float(forward.sum()),
                n_idle=int(np.count_nonzero(idle)),
                idle_seconds=float(gaps[idle].sum()),
            )
        )

    def result(self) -> TimingQuality | None:
        """Return the sums and extremes over all recordings, None where none had timestamps."""
        if not self._parts:
            return None
        parts = self._parts
        sums: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in _SUMS}
        return TimingQuality(
            **sums,
            rate_hz=sum(part.rate_hz * part.n_steps for part in parts) / sums["n_steps"],
            rate_drift_percentage=max((part.rate_drift_percentage for part in parts), key=abs),
            drift_within_percentage=max((part.drift_within_percentage for part in parts), key=abs),
            longest_gap_s=max(part.longest_gap_s for part in parts),
        )
