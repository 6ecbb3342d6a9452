"""Stretches of True in rows of flags, followed across blocks that continue each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float32Array, Int64Array


class Runs(NamedTuple):
    """Stretches that have ended; K of them.

    Attributes:
        row: int64 (K,).
        length: int64 (K,), at least 1.
        value: float32 (K,), the value that goes with the stretch, where one was given.
    """

    row: Int64Array
    length: Int64Array
    value: Float32Array


class RunFollower:
    """Finds stretches of True in R rows whose columns come block by block.

    Args:
        rows: R.

    Cost: a few passes over the flags, and a few operations a stretch.
    """

    def __init__(self, rows: int) -> None:
        self._open = np.zeros(rows, np.int64)  # length of the stretch that touches the end of the last block
        self._value = np.zeros(rows, np.float32)

    def feed(self, flags: BoolArray, values: Float32Array | None = None) -> Runs:
        """Take the next block and return the stretches that ended in it.

        Args:
            flags: (R, L).
            values: (R, L); a stretch takes the value at its last flag in the block. None gives zeros.
        """
        row, column, length = find_runs(flags)
        value = np.zeros(len(row), np.float32) if values is None else values[row, column + length - 1]
        goes_on = column == 0
        length = np.where(goes_on, length + self._open[row], length)
        ended = self._open > 0
        ended[row[goes_on]] = False
        finished = Runs(np.flatnonzero(ended), self._open[ended], self._value[ended])
        touches_end = flags[row, -1] & (np.append(row[1:], -1) != row)
        self._open[:] = 0
        self._open[row[touches_end]] = length[touches_end]
        self._value[row[touches_end]] = value[touches_end]
        inside = ~touches_end
        return Runs(
            np.concatenate([finished.row, row[inside]]),
            np.concatenate([finished.length, length[inside]]),
            np.concatenate([finished.value, value[inside]]),
        )

    def close(self) -> Runs:
        """End all rows and return the stretches that were still open."""
        row = np.flatnonzero(self._open)
        runs = Runs(row, self._open[row], self._value[row])
        self._open[:] = 0
        return runs


def find_runs(flags: BoolArray) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return row, first column and length of every stretch of True, in reading order; each int64 (K,).

    Args:
        flags: (R, L).
    """
    # One False before each row and one at the end keep neighbouring rows apart in the flat order; then beginnings
    # and ends alternate.
    rows, columns = flags.shape
    padded = np.zeros(rows * (columns + 1) + 1, np.bool_)
    padded[:-1].reshape(rows, columns + 1)[:, 1:] = flags
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    start, stop = edges[::2], edges[1::2]
    return start // (columns + 1), start % (columns + 1), stop - start
