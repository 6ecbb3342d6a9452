"""What the CPU makes of a device's answers: are they plausible, which does it repeat, how often do both agree."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float32Array
from fsq_edge_runtime.backends.fallback_policy import FallbackPolicy

REPEATS = 3  # so many equal answers in a row look like an output that nobody writes any more
LEAST_STEP = 0.25  # of t in [-1, 1]; smaller steps are what a moving wearer makes
STEP_FACTOR = 4.0  # times the usual step
USUAL_AFTER = 8  # answers before there is a usual step
RECENT = 8  # answers of which the codes are compared with the training's
MOST_UNSEEN = 2
UNSEEN_FACTOR = 3.0


class AnswerWatch:
    """Looks at the answers of one device, in order.

    Args:
        counts: how often each code occurred in training, by code index; None leaves the codes alone.
    """

    def __init__(self, counts: Sequence[int] | None = None) -> None:
        self._seen: BoolArray | None = None
        self._unseen_rate = 0.0
        array = np.asarray(() if counts is None else counts)
        if array.any():
            self._seen = array > 0
            # Good and Turing: the chance that a new window has a code that training never had.
            self._unseen_rate = float(np.count_nonzero(array == 1) / array.sum())
        self.forget()

    def forget(self) -> None:
        """Start anew, with a device that came back."""
        self._last: list[float] | None = None
        self._repeats = 0
        self._usual_step = 0.0
        self._steps = 0
        self._unseen: deque[bool] = deque(maxlen=RECENT)

    def is_odd(self, t: Float32Array, code: int) -> bool:
        """Return whether an answer looks wrong after those before it.

        Args:
            t: (D,) float32.
            code: its code index.
        """
        values = t.tolist()
        odd = self._steps_too_far(values)
        if self._seen is not None:
            self._unseen.append(not self._seen[code])
            expected = UNSEEN_FACTOR * self._unseen_rate * len(self._unseen)
            odd = odd or sum(self._unseen) > max(MOST_UNSEEN, expected)
        return odd

    def _steps_too_far(self, values: list[float]) -> bool:
        last, self._last = self._last, values
        if last is None:
            return False
        step = max(abs(value - before) for value, before in zip(values, last, strict=True))
        if step == 0.0:
            self._repeats += 1
            return self._repeats == REPEATS  # once: that it stays so has been compared then
        self._repeats = 0
        odd = self._steps >= USUAL_AFTER and step > max(LEAST_STEP, STEP_FACTOR * self._usual_step)
        self._steps += 1
        self._usual_step += (step - self._usual_step) / min(self._steps, 32)
        return odd


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
