"""When to leave windows out in an engine that gets more of them than it can answer, and whose.

Without relief such an engine takes every window when its deadline is almost over, and much of what it computes comes
too late. So it leaves windows out, which costs next to nothing, before that: until what waits is young again. An engine
that falls behind again and again gives every stream the same ration, as many windows as the engine can answer: streams
lose alike wherever they stand in a burst, and one that sends much more than the others takes nothing from them.
"""

from __future__ import annotations

import sys
from typing import Final

# Of the patience: how much must be left for a batch to be begun; less shows that the engine falls behind. Between these
# two it is half as much again as the batch before took, so that the last streams of many that send together are served.
LEAST_LEFT: Final = 0.03
MOST_LEFT: Final = 0.25
CAUGHT_UP: Final = (0.2, 0.6)  # of the patience: where it goes on answering lies between these
GOLDEN: Final = 0.6180339887498949  # multiples of it are spread over 0 to 1 as evenly as can be (a Weyl sequence)
BUSY: Final = 0.97  # the share of its time that rations let the engine work
CHANGE: Final = (0.85, 8.0)  # of the ration from one look to the next, at least and at most
WAITS, GAIN = 0.3, 0.15  # how long windows may wait in patiences, and how quickly the ration follows
LEAST: Final = 0.01  # windows of a stream from one look to the next: from there it is not far to any other ration
SAVED: Final = 8.0  # rations that a stream keeps while it sends nothing
QUIET: Final = 4.0  # looks without a window after which the engine begins anew
MAX_KNOWN: Final = 8192  # streams with a ration; names come from outside


class Relief:
    """Says which windows are not answered since the engine is behind. All times are nanoseconds of one clock.

    Args:
        patience_ns: the longest time from a window's last sample to its answer.
        wanted_ns: how long samples wait on purpose: what is within that is no sign of an engine that is behind.
        period_ns: the time from one window of a stream to its next; the engine looks no more often at what it does.

    Attributes:
        most: windows that a batch may have: more would take longer than ``MOST_LEFT`` of the patience.
        rations: whether windows must ask with :meth:`grants`.
    """

    def __init__(self, patience_ns: int, wanted_ns: int = 0, period_ns: int = 0) -> None:
        self._patience_ns, self._wanted_ns = patience_ns - wanted_ns, wanted_ns
        self._look_ns = max(patience_ns, period_ns)
        self._left_ns = LEAST_LEFT * self._patience_ns
        self._caught_up_ns = 0.0
        self._turn = 0.0
        self.most = sys.maxsize
        self._skipping = False
        self.rations = False
        self._ration: float | None = None  # windows of a stream from one look to the next; None while it is not known
        self._top = 1.0  # a ration that was too much, or would be enough for every stream
        self._saved: dict[str, tuple[float, int]] = {}  # by stream, and since when
        self._since = self._ended = 0
        self._idle_ns = 0
        self._waits = self._waited_before = 0.0  # the longest wait of this look and of the one before, in patiences
        self._answered = self._lost = self._refused = 0

    def took(self, batch_ns: int, windows: int) -> None:
        """Learn how long a batch took; one stall counts no more than ``MOST_LEFT``."""
        low, high = LEAST_LEFT * self._patience_ns, MOST_LEFT * self._patience_ns
        self._left_ns = min(max(1.5 * batch_ns, low), high)
        if windows:
            self.most = max(1, int(high * windows / max(batch_ns, 1)))

    def skips(self, waited_ns: int) -> bool:
        """Return whether windows that have waited so long are left out."""
        waited_ns -= self._wanted_ns
        self._waits = max(self._waits, waited_ns / self._patience_ns)
        if self._skipping:
            self._skipping = waited_ns > self._caught_up_ns
        elif waited_ns > self._patience_ns - self._left_ns:
            self._turn = (self._turn + GOLDEN) % 1.0
            low, high = CAUGHT_UP
            self._caught_up_ns = (low + (high - low) * self._turn) * self._patience_ns
            self._skipping = True
        return self._skipping

    def grants(self, stream: str, now_ns: int, *, lost: bool = False) -> bool:
        """Return whether a window of a stream is within its ration, and take it from there.

        One that is ``lost`` anyway makes its stream known and takes nothing: which these are is no stream's fault.
        """
        known = self._saved.get(stream)
        if known is None:
            if len(self._saved) >= MAX_KNOWN:
                self._saved.clear()
            # Not alike, or all streams would be granted the same of their windows, and refused the others.
            known = self._saved[stream] = len(self._saved) * GOLDEN % 1.0, now_ns
        if self._ration is None or lost:
            return True
        saved, since = known
        saved = min(saved + self._ration * (now_ns - since) / self._look_ns, 1.0 + SAVED * self._ration)
        granted = saved >= 1.0
        self._saved[stream] = saved - granted, now_ns
        self._refused += not granted
        return granted

    def count(self, answered: int, lost: int, arrived_ns: int, ended_ns: int) -> None:
        """Learn how a batch ended, and from time to time what follows from it.

        Args:
            answered: windows that were answered in time.
            lost: windows that were not, though no ration stood in their way.
            arrived_ns: when the first of its samples arrived.
            ended_ns: when the last answer was there.
        """
        if ended_ns - self._since > QUIET * self._look_ns:
            self._calm(ended_ns)
        self._idle_ns += max(0, arrived_ns + self._wanted_ns - self._ended)
        self._ended = ended_ns
        self._answered += answered
        self._lost += lost
        if ended_ns - self._since >= self._look_ns:
            self._look(ended_ns - self._since)
            self._since = ended_ns
            self._forget()

    def _look(self, elapsed_ns: int) -> None:
        """Begin with rations where the engine was behind twice, adapt them, or end them where nobody was refused."""
        if not self._lost and not self._refused:
            self._calm(self._ended)
        elif not self.rations:
            self.rations = True
        elif self._ration is None:
            each = self._answered / max(1, len(self._saved))
            self._ration, self._top = max(BUSY * each * self._look_ns / elapsed_ns, LEAST), 1.0
        else:
            seen = self._answered + self._refused + self._lost
            busy = max(1.0 - self._idle_ns / elapsed_ns, 1e-3)
            # An engine is busy with many small batches, too, and has time all the same while nothing waits for it.
            waited, rise = self._waits, max(0.0, self._waits - self._waited_before)
            far = waited < WAITS / 3 and self._ration < self._top / 2
            spare = (2.0 if far else 1.0 + GAIN * (1.0 - waited / WAITS)) / (1.0 + rise)
            if self._lost:
                self._top = max(self._ration, 0.9 * self._top)
            change = 1.0 - self._lost / seen if self._lost else max(1.0 / busy, spare / BUSY)
            low, high = CHANGE
            self._ration = max(self._ration * min(max(BUSY * change, low), high), LEAST)

    def _calm(self, now_ns: int) -> None:
        self.rations, self._ration = False, None
        self._saved.clear()
        self._since = self._ended = now_ns
        self._forget()

    def _forget(self) -> None:
        self._answered = self._lost = self._refused = 0
        self._idle_ns, self._waited_before, self._waits = 0, self._waits, 0.0
