"""Intervals of counts: shares, and rare events. A device has no use for them, and its wheel leaves them out."""

from __future__ import annotations

import math
from typing import Final

from fsq_edge_runtime.scores import Interval

_Z: Final = 1.959963984540054  # the standard normal's quantile at (1 + LEVEL) / 2


def wilson(hits: int, n: int) -> Interval:
    """Return the share ``hits / n`` with Wilson's score interval; the whole of 0 to 1 where n is 0.

    Source: Wilson 1927, J. Am. Stat. Assoc. 22.

    Example:
        >>> shown = wilson(9, 10)
        >>> round(shown.low, 3), round(shown.high, 3)
        (0.596, 0.982)
    """
    if not n:
        return Interval(math.nan, 0.0, 1.0)
    share, z2 = hits / n, _Z * _Z / n
    centre, half = (share + z2 / 2) / (1 + z2), _Z * math.sqrt(share * (1 - share) / n + z2 / n / 4) / (1 + z2)
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def poisson(count: int) -> Interval:
    """Return a count of rare events with the interval of the mean behind it.

    Source: Byar's approximation (Breslow and Day 1987, IARC 82, section 2.3), within 1 % of the exact one from 2 on.
    """
    above = count + 1
    high = above * (1 - 1 / (9 * above) + _Z / (3 * math.sqrt(above))) ** 3
    low = count * (1 - 1 / (9 * count) - _Z / (3 * math.sqrt(count))) ** 3 if count else 0.0
    return Interval(float(count), max(low, 0.0), high)
