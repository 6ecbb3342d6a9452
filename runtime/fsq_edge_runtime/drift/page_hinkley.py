"""Changes of the mean of many series at once: a two-sided Page-Hinkley test against each series' own past."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fsq_edge_runtime.arrays import Float64Array

LEARNED = 32  # values before the first test: the mean and the spread of fewer say too little
MEMORY = 512  # values that the running mean and spread remember
ALLOWANCE = 0.4  # standard deviations that a mean may move without adding to the sum
THRESHOLD = 32.0  # of the sum, in standard deviations; chosen on clean streams, see docs/drift.md
LARGEST_STEP = 3.0  # of one value, so that no single outlier raises an alarm
MOST_ALIKE = 0.9  # correlation of neighbours: beyond it their sums would say nothing of a move


_SIDES = np.array([[1.0], [-1.0]])  # up and down


class Change(NamedTuple):
    """A series whose mean moved.

    Attributes:
        series: its place.
        values: how many values ago the move began.
        usual: the mean before.
        score: the test's sum over its threshold, above 1.
    """

    series: int
    values: int
    usual: float
    score: float


class PageHinkley:
    """Tests each of K series for a move of its mean, up or down.

    A wearer sits for an hour, then walks for half of one: values come in bouts, and neighbours are alike. Their sum
    then strays further than that of independent values, so a move is measured in the deviation of such sums.

    Args:
        floors: (K,) the least standard deviation of each series, in its unit: a smaller move is never looked at.

    Source: Page 1954, Biometrika 41, and Hinkley 1971, Biometrika 58: cumulative sums with an allowance. Johnson and
    Bagshaw 1974, Technometrics 16: what correlation of neighbours does to them.
    """

    def __init__(self, floors: Float64Array) -> None:
        self._floors, self._least = floors, np.square(floors)
        self.reset()

    @property
    def seen(self) -> int:
        """Values of the first series since the last reset."""
        return int(self._seen[0])

    @property
    def usual(self) -> Float64Array:
        """Running mean (K,) of each series."""
        return self._mean

    def reset(self) -> None:
        """Forget the past: the next values become what is usual."""
        size = len(self._floors)
        self._seen = np.zeros(size)
        self._mean = np.zeros(size)
        self._moments = np.zeros((2, size))  # variance, and covariance of neighbours
        self._moves = np.zeros((2, size))  # of the latest value and of the one before
        self._strays = np.ones(size)  # deviation of sums over that of independent values
        self._sums = np.zeros((2, size))
        self._ages = np.zeros((2, size), dtype=np.int64)

    def step(self, values: Float64Array, first: int = 0) -> list[Change]:
        """Take one value (K,) of each series from ``first`` on; return the series that moved, the surest first."""
        found: list[Change] = []
        part = slice(first, None)
        seen, mean, moments, sums = self._seen[part], self._mean[part], self._moments[:, part], self._sums[:, part]
        move = values[part] - mean
        self._ages += 1
        if seen[-1] >= LEARNED:
            strays = self._strays[part]
            # Of closed sums only: a move that lasts makes neighbours alike, too, and would hide itself.
            np.copyto(strays, self._stray()[part], where=~np.logical_or.reduce(sums))
            z = move / np.maximum(np.sqrt(moments[0]) * strays, self._floors[part])
            np.minimum(np.maximum(z, -LARGEST_STEP, out=z), LARGEST_STEP, out=z)
            if seen[0] < LEARNED:  # of a wearer who mostly rested
                z *= seen >= LEARNED
            sums += z * _SIDES
            sums -= ALLOWANCE
            np.maximum(sums, 0.0, out=sums)
            self._ages *= self._sums > 0
            if np.maximum.reduce(sums, axis=None) > THRESHOLD:
                found = self._changes()
        seen += 1
        rate = 1.0 / np.minimum(seen, MEMORY)
        mean += rate * move
        moves = self._moves[:, part]
        moves[1] = moves[0]
        moves[0] = move
        products = moves * move
        products *= rate
        moments += products
        moments *= 1.0 - rate
        return found

    def _stray(self) -> Float64Array:
        """Return how much further sums stray than those of independent values (K,), 1 or more.

        Bouts move all series at once, and few values tell the correlation of one badly: each has at least their mean.
        """
        variance, covariance = self._moments
        alike = covariance / np.maximum(variance, self._least)
        np.minimum(np.maximum(alike, 0.0, out=alike), MOST_ALIKE, out=alike)
        np.maximum(alike, np.add.reduce(alike) / len(alike), out=alike)
        strays: Float64Array = np.sqrt((1.0 + alike) / (1.0 - alike))
        return strays

    def _changes(self) -> list[Change]:
        sides, series = np.nonzero(self._sums > THRESHOLD)
        moved = [
            Change(k, int(self._ages[side, k]), float(self._mean[k]), float(self._sums[side, k] / THRESHOLD))
            for side, k in zip(sides.tolist(), series.tolist(), strict=True)
        ]
        return sorted(moved, key=lambda change: -change.score)
