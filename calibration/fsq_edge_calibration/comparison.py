"""Two distributions side by side: the set and the training split, or one set and another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fsq_edge_calibration.distribution import Distribution, psi, shares
from fsq_edge_runtime.errors import DataError

RANGE_QUANTILES: Final = (0.001, 0.999)
BODY_QUANTILES: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class ChannelComparison:
    """One channel of ``other`` against ``reference``.

    Attributes:
        name: the channel.
        psi: population stability index: 0 for equal histograms, above 0.25 shifted.
        range_coverage: share of the reference's 0.1 % to 99.9 % range that the other's values span, 0 to 1.
        quantile_shift: largest difference of the 1 % to 99 % quantiles, in training sigmas.
        lag1_reference: autocorrelation of the reference at a lag of one sample.
        lag1_other: autocorrelation of the other at a lag of one sample.
    """

    name: str
    psi: float
    range_coverage: float
    quantile_shift: float
    lag1_reference: float
    lag1_other: float


def compare_channels(reference: Distribution, other: Distribution) -> tuple[ChannelComparison, ...]:
    """Compare channel by channel.

    Raises:
        DataError: the channels or the clip of the two differ.
    """
    names = [channel.name for channel in reference.channels]
    if names != [channel.name for channel in other.channels] or reference.clip_sigma != other.clip_sigma:
        raise DataError("the two sets were not made for the same preprocessing: channels or clip differ")
    wide = reference.quantiles(RANGE_QUANTILES)
    shift = np.abs(reference.quantiles(BODY_QUANTILES) - other.quantiles(BODY_QUANTILES)).max(axis=1)
    rows = []
    for row, (a, b) in enumerate(zip(reference.channels, other.channels, strict=True)):
        low, high = float(wide[row, 0]), float(wide[row, 1])
        spanned = min(b.high, high) - max(b.low, low)
        rows.append(
            ChannelComparison(
                name=a.name,
                psi=psi(a.counts, b.counts),
                range_coverage=float(np.clip(spanned / (high - low), 0, 1)) if high > low else 1.0,
                quantile_shift=float(shift[row]),
                lag1_reference=a.lag1,
                lag1_other=b.lag1,
            )
        )
    return tuple(rows)


def code_coverage(reference: Distribution, other: Distribution) -> float | None:
    """Return the share of the reference's windows whose code occurs in ``other``; None where codes are unknown."""
    if not reference.codes or not other.codes:
        return None
    return float(sum(share for code, share in shares(reference.codes).items() if code in other.codes))
