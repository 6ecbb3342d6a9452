"""What the drift watch carries of one stream: the block under way, and what it learned of the blocks before."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.drift.page_hinkley import PageHinkley

if TYPE_CHECKING:
    from fsq_edge_runtime.drift.looks import InputLooks

BLOCK: Final = 64  # windows between two judgements
LOOK_EVERY: Final = 8  # the input of one window in eight is looked at: all of them would cost a third of a decision
HELD: Final = 8  # windows that wait for a look together: numpy takes little longer for eight than for one


class Look(NamedTuple):
    """What was seen of one window's input."""

    seq: int
    sums: Float64Array
    acceleration: float
    rate: float | None


class StreamPast:
    """One stream.

    Args:
        window: channels and samples of a window.
        codes: how many kinds of codes are counted.
        floors: of its series, see :class:`PageHinkley`.

    Attributes:
        test: of its series against their own past.
        counts: by code, or by bin, since last held against training.
        held: (8, C, T) windows that wait for a look.
        held_as: number and rate of the windows held.
        codes: of the block's windows, None where one abstained.
        confidence: of the block, added up.
        begins: source time at which the block began, seconds.
        former: added looks of the periods that ended; None before the first.
    """

    __slots__ = ("_looks", "_period", "_reported", "_starts", "_windows", "begins", "codes", "confidence", "counts",
                 "former", "held", "held_as", "test")  # fmt: skip

    def __init__(self, window: tuple[int, int], codes: int, floors: Float64Array) -> None:
        self.test = PageHinkley(floors)
        self.counts = np.zeros(codes, dtype=np.int64)
        self.held: Float32Array = np.empty((HELD, *window), dtype=np.float32)
        self.held_as: list[tuple[int, float | None]] = []
        # Looks at windows whose decision is not out yet: at most a batch of them, and nobody may ask for records.
        self._looks: deque[Look] = deque(maxlen=2 * BLOCK)
        self._reported: set[Any] = set()  # beyond a limit against training when last judged
        self._starts: list[float] = []  # when the latest 64 blocks since the last change began
        self.former: Float64Array | None = None
        self._period, self._windows = np.zeros(1), 0
        self.codes: list[int | None] = []
        self.confidence, self.begins = 0.0, math.nan

    def look_at_held(self, looks: InputLooks) -> None:
        """Take the sums of the windows that wait; one with a missing value counts nowhere."""
        sums, lengths = looks.look(self.held[: len(self.held_as)])
        sound: list[bool] = np.isfinite(sums.sum(axis=1)).tolist()
        for (seq, rate), good, one, length in zip(self.held_as, sound, sums, lengths.tolist(), strict=True):
            if good:
                self._looks.append(Look(seq, one, length, rate))
        self.held_as.clear()

    def looks_until(self, seq: int, looks: InputLooks) -> list[Look]:
        """Return, once, the looks at windows up to number ``seq``."""
        if self.held_as:
            self.look_at_held(looks)
        found = []
        while self._looks and self._looks[0].seq <= seq:
            found.append(self._looks.popleft())
        return found

    def add(self, sums: Float64Array, windows: int) -> None:
        """Add looks to the period under way."""
        self._period = self._period + sums
        self._windows += windows

    def end_block(self) -> None:
        """Begin the next block."""
        self._starts.append(self.begins)
        del self._starts[:-BLOCK]
        self.codes.clear()
        self.confidence = 0.0

    def end_period(self) -> tuple[Float64Array, int]:
        """Return the added looks of the period and how many they are, and begin the next."""
        period, windows = self._period, self._windows
        self._period, self._windows = np.zeros(1), 0
        return period, windows

    def remember(self, sums: Float64Array) -> None:
        """Count a period as usual."""
        self.former = sums if self.former is None else self.former + sums

    def began(self, blocks: int) -> float:
        """Return when the block so many blocks ago began, seconds of the source; the oldest known, at most."""
        return self._starts[max(0, len(self._starts) - blocks)]

    def news(self, beyond: list[tuple[Any, float, float, float, int]]) -> list[tuple[Any, float, float, float, int]]:
        """Return what lies beyond its limit (a score above 1) and did not before, the worst first.

        What was reported may be reported again once it is not among ``beyond`` any more.
        """
        over = {entry[0] for entry in beyond if entry[3] > 1.0}
        found = [entry for entry in beyond if entry[3] > 1.0 and entry[0] not in self._reported]
        self._reported = over | (self._reported & {entry[0] for entry in beyond})
        return sorted(found, key=lambda entry: -entry[3])

    def learn_anew(self) -> None:
        """What is now is the new past."""
        self.test.reset()
        self.counts[:] = 0
        self._starts.clear()
        self.former = None
        self.end_period()
