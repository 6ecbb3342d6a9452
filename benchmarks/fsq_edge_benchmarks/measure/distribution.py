"""Many durations of one kind as a few numbers: the percentiles that their count supports, and a histogram."""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.artefact import StrictModel

BINS_PER_DECADE: Final = 20  # a bin is 12 % wide: finer than the differences that matter, coarse enough to store
# Fewest samples for a percentile p at 99 % confidence: the least n for which at most one sample beyond p has a
# probability of at most 1 % when the true percentile is worse. Source: MLPerf inference rules, early stopping.
MINIMUM_SAMPLES: Final = {50: 11, 90: 64, 95: 130, 99: 662, 99.9: 6636}
RANKS: Final = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p99.9": 99.9}


class Distribution(StrictModel):
    """Durations in microseconds; a percentile is None where the samples do not support it.

    Attributes:
        samples: how many were timed, warm-up not among them.
        minimum: the least.
        p50: median; needs 11 samples.
        p90: needs 64.
        p95: needs 130.
        p99: needs 662.
        p99_9: needs 6,636.
        maximum: the most.
        first_bin: bin k holds durations from 10 ** (k / 20) us to below 10 ** ((k + 1) / 20) us.
        counts: durations in bin ``first_bin`` and those after it.
    """

    samples: int = Field(ge=1)
    minimum: float = Field(ge=0)
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p99_9: float | None
    maximum: float = Field(ge=0)
    first_bin: int
    counts: tuple[int, ...]

    @classmethod
    def of(cls, nanoseconds: npt.ArrayLike) -> Self:
        """Summarise durations (n,) in nanoseconds, n >= 1."""
        values = np.asarray(nanoseconds, dtype=np.int64)
        p50, p90, p95, p99, p99_9 = (percentile(values, rank) for rank in RANKS.values())
        bins = np.floor(BINS_PER_DECADE * np.log10(np.maximum(values, 1) / 1e3)).astype(np.int64)
        first = int(bins.min())
        return cls(
            samples=len(values),
            minimum=float(values.min()) / 1e3,
            p50=p50,
            p90=p90,
            p95=p95,
            p99=p99,
            p99_9=p99_9,
            maximum=float(values.max()) / 1e3,
            first_bin=first,
            counts=tuple(np.bincount(bins - first).tolist()),
        )

    def edges(self) -> Float64Array:
        """Return the edges (len(counts) + 1,) of the bins, microseconds."""
        exponent = np.arange(self.first_bin, self.first_bin + len(self.counts) + 1) / BINS_PER_DECADE
        return np.asarray(10.0**exponent)


def percentile(nanoseconds: npt.ArrayLike, rank: float) -> float | None:
    """Return a percentile in microseconds, or None where there are fewer samples than it needs.

    Args:
        nanoseconds: (n,) durations.
        rank: one of ``MINIMUM_SAMPLES``.
    """
    values = np.asarray(nanoseconds, dtype=np.int64)
    if len(values) < MINIMUM_SAMPLES[rank]:
        return None
    return float(np.percentile(values, rank)) / 1e3


def duration(us: float) -> str:
    """Return a duration with the unit that suits it: ``62.1 µs``, ``3.7 ms``, ``1.24 s``.

    Example:
        >>> [duration(us) for us in (62.14, 3710.0, 1.24e6)]
        ['62.1 µs', '3.71 ms', '1.24 s']
    """
    for limit, divisor, unit in ((1e3, 1.0, "µs"), (1e6, 1e3, "ms")):
        if abs(us) < limit:
            return f"{us / divisor:.3g} {unit}"
    return f"{us / 1e6:.3g} s"
