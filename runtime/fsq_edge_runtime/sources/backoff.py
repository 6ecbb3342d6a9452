"""How long to wait before trying again."""

from __future__ import annotations


class Backoff:
    """Doubling waits.

    Args:
        first_s: the first wait.
        longest_s: no wait is longer.
    """

    def __init__(self, first_s: float = 0.1, longest_s: float = 5.0) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._wait_s = first_s

    def next_s(self) -> float:
        """Return the next wait, seconds."""
        wait, self._wait_s = self._wait_s, min(2 * self._wait_s, self._longest_s)
        return wait

    def reset(self) -> None:
        """Start anew: it worked."""
        self._wait_s = self._first_s
