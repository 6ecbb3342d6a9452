"""When to leave windows out in an engine that gets more of them than it can answer.

Without relief such an engine takes every window when its deadline is almost over, and much of what it computes comes
too late. So it leaves windows out, which costs next to nothing, before that: until what waits is young again. How young
is another value every time, spread evenly, so that streams that send at the same moment of every second do not lose
alone.
"""

from __future__ import annotations

from typing import Final

# Of the patience: how much must be left for a batch to be begun; less shows that the engine falls behind. Between these
# two it is half as much again as the batch before took, so that the last streams of many that send together are served.
LEAST_LEFT: Final = 0.03
MOST_LEFT: Final = 0.25
CAUGHT_UP: Final = (0.2, 0.6)  # of the patience: where it goes on answering lies between these
GOLDEN: Final = 0.6180339887498949  # multiples of it are spread over 0 to 1 as evenly as can be (a Weyl sequence)


class Relief:
    """Says which batches of windows are not answered since the engine is behind.

    Args:
        patience_ns: the longest time from a window's last sample to its answer.
        wanted_ns: how long samples wait on purpose: what is within that is no sign of an engine that is behind.
    """

    def __init__(self, patience_ns: int, wanted_ns: int = 0) -> None:
        self._patience_ns, self._wanted_ns = patience_ns - wanted_ns, wanted_ns
        self._left_ns = LEAST_LEFT * self._patience_ns
        self._caught_up_ns = 0.0
        self._turn = 0.0
        self._skipping = False

    def took(self, batch_ns: int) -> None:
        """Learn how long a batch took; one stall counts no more than ``MOST_LEFT``."""
        low, high = LEAST_LEFT * self._patience_ns, MOST_LEFT * self._patience_ns
        self._left_ns = min(max(1.5 * batch_ns, low), high)

    def skips(self, waited_ns: int) -> bool:
        """Return whether windows that have waited so long are left out."""
        waited_ns -= self._wanted_ns
        if self._skipping:
            self._skipping = waited_ns > self._caught_up_ns
        elif waited_ns > self._patience_ns - self._left_ns:
            self._turn = (self._turn + GOLDEN) % 1.0
            low, high = CAUGHT_UP
            self._caught_up_ns = (low + (high - low) * self._turn) * self._patience_ns
            self._skipping = True
        return self._skipping
