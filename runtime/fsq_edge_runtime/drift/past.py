"""What the drift watch carries of one stream: the block under way, and what it learned of the blocks before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.drift.page_hinkley import PageHinkley

if TYPE_CHECKING:
    from collections.abc import Callable

    from fsq_edge_runtime.drift.looks import InputLooks, Look
    from fsq_edge_runtime.stream.records import Decision

BLOCK: Final = 64  # windows between two judgements
LOOK_EVERY: Final = 8  # the input of one window in eight is looked at: all of them would cost a third of a decision
HELD: Final = BLOCK // LOOK_EVERY  # windows that wait for the end of their block
MOST_HELD: Final = 4 * HELD  # a batch is collected before its first decision is out, and what is missed ends no block
ABSTAINED: Final = -2
NO_PLACE: Final = -1  # decided, and counted nowhere
CONFIDENCE: Final = 6  # number of this field of a record
CODE: Final = 7


class StreamPast:
    """One stream.

    Args:
        looks: adds up its windows.
        codes: how many kinds of codes are counted.
        floors: of its series, see :class:`PageHinkley`.
        place: from a record to its place among the codes that are counted; None where that is its code.

    Attributes:
        every: the input of windows is to be looked at whose number is a multiple of this.
        test: of its series against their own past.
        counts: by code, or by bin, since last held against training.
        center: offset of the accelerometer as far as it is known, g.
        codes: of the block's windows, or ``ABSTAINED`` or ``NO_PLACE``.
        confidence: of the block, added up.
        begins: source time at which the block began, seconds.
        blocks: that ended since the last change.
        doubted: series of the accelerometer's offset that had moved in the latest period.
        weightless: blocks whose data turned out to be without gravity.
        former: of the periods that ended, what :func:`fsq_edge_runtime.drift.sphere.fit_offset` takes, added up.
    """

    __slots__ = ("_held", "_held_as", "_looks", "_period", "_place", "_reported", "_rooms", "_starts", "begins",
                 "blocks", "center", "codes", "confidence", "counts", "doubted", "every", "former", "test",
                 "weightless")  # fmt: skip

    def __init__(
        self, looks: InputLooks, codes: int, floors: Float64Array, place: Callable[[Decision], int] | None
    ) -> None:
        self.test, self._place, self.every = PageHinkley(floors), place, LOOK_EVERY
        self.counts = np.zeros(codes, dtype=np.int64)
        self._looks, self._held = looks, looks.room(HELD)
        self._rooms = list(self._held[:, :-1])  # a view of each: to make one takes as long as to fill it
        self._held_as: list[tuple[int, float | None]] = []  # number and rate of the windows held
        self._reported: set[Any] = set()  # beyond a limit against training when last judged
        self._starts: list[float] = []  # when the latest 64 blocks since the last change began
        self.former: Float64Array | None = None
        self.center, self.weightless = np.zeros(3), 0
        self.doubted: set[Any] = set()
        self._period: Look | None = None
        self.codes: list[int] = []
        self.confidence, self.begins, self.blocks = 0.0, math.nan, 0

    def hold(self, seq: int, window: Float32Array, rate: float | None) -> None:
        """Keep window (C, T) of number ``seq`` until its block ends."""
        at = len(self._held_as)
        if at == len(self._rooms):
            if at >= MOST_HELD:
                return
            self._held = np.concatenate([self._held, self._looks.room(HELD)])
            self._rooms = list(self._held[:, :-1])
        self._rooms[at][...] = window
        self._held_as.append((seq, rate))

    def count(self, record: Decision) -> bool:
        """Take a window; return whether it completes the block, which is to be judged then.

        Cost: fields are taken by number; the look-up of a name finds cold caches, and would be half of this.
        """
        codes, confidence = self.codes, record[CONFIDENCE]
        if confidence is not None:
            self.confidence += confidence
            place = record[CODE] if self._place is None else self._place(record)
            codes.append(NO_PLACE if place is None else place)
        elif record.missed:
            return False
        else:
            codes.append(ABSTAINED)
        windows = len(codes)
        if windows == 1:
            self.begins = record.t_start
        return windows >= BLOCK

    def look(self, seq: int) -> tuple[Look | None, list[float]]:
        """Return, once, what the windows up to number ``seq`` look like, and their rates where these are known."""
        held, kept = self._held, self._held_as
        n = len(kept)
        while n and kept[n - 1][0] > seq:
            n -= 1
        rates = [rate for _, rate in kept[:n] if rate is not None]
        look = self._looks.look(held[:n]) if n else None
        rest = len(kept) - n
        held[:rest] = held[n : n + rest]
        del kept[:n]
        if look is not None:
            self._period = look if self._period is None else self._period.plus(look)
        return look, rates

    def end_block(self) -> None:
        """Begin the next block."""
        self.blocks += 1
        self._starts.append(self.begins)
        del self._starts[:-BLOCK]
        self.codes.clear()
        self.confidence = 0.0

    def end_period(self) -> Look | None:
        """Return the added looks of the period, and begin the next."""
        period, self._period = self._period, None
        return period

    def remember(self, sphere: Float64Array) -> None:
        """Count a period as usual."""
        self.former = sphere if self.former is None else self.former + sphere

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
        self.blocks = 0
        self.former = None
        self.doubted = set()
        self.end_period()
