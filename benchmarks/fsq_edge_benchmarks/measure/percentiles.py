"""Percentiles that the number of samples can support, and none that it cannot."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

# Fewest samples for a percentile p at 99 % confidence: the least n for which at most one sample beyond p has a
# probability of at most 1 % when the true percentile is worse. Source: MLPerf inference rules, early stopping.
MINIMUM_SAMPLES: Final = {50: 11, 90: 64, 95: 130, 99: 662, 99.9: 6636}


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
