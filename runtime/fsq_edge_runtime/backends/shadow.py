"""Which of a device's windows the CPU answers, too, and how often the two agreed lately."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends.fallback_policy import FallbackPolicy
from fsq_edge_runtime.backends.plausibility import AnswerWatch


class ShadowComparison:
    """One window in ``shadow_every``, and every one of the next ``parity_windows`` after an odd or a wrong answer.

    Args:
        policy: of the fallback.
        code_counts: how often each code occurred in training; None leaves the codes alone.
    """

    def __init__(self, policy: FallbackPolicy, code_counts: Sequence[int] | None) -> None:
        self._every = policy.shadow_every
        self._windows = policy.parity_windows
        self._watch = AnswerWatch(code_counts)
        self._agreements: deque[bool] = deque(maxlen=policy.parity_windows)
        self._doubted = 0  # windows that are still compared

    def look_at(self, t: Float32Array, code: int) -> bool:
        """Take note of an answer (D,) and its code; return whether it is odd."""
        odd = self._watch.is_odd(t, code)
        if odd:
            self._doubted = self._windows
        return odd

    def is_due(self, answered: int, latest: int) -> bool:
        """Return whether the latest window is to be compared.

        Args:
            answered: windows that the device has answered so far.
            latest: how many of them the last call brought.
        """
        if self._doubted:
            self._doubted -= 1
            return True
        return answered % self._every < latest

    def differing(self, agree: bool) -> int:
        """Take note of a comparison; return how many of the latest ``parity_windows`` differed."""
        self._agreements.append(agree)
        if not agree:
            self._doubted = self._windows
        return self._agreements.count(False)

    def forget(self) -> None:
        """Start anew, with a device that came back."""
        self._watch.forget()
        self._agreements.clear()
        self._doubted = 0
