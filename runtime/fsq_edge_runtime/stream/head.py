"""The host tail as tables: from ``t`` to code, probabilities and raw label with next to no arithmetic per window."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float32Array, Int64Array
from fsq_edge_runtime.tail import FsqCodebook, FsqTail, softmax

# Batches of other sizes may round the last bits of t differently (observed: below 1e-6). Where b lies closer than
# this to a rounding boundary, the batch-1 graph decides.
BOUNDARY_MARGIN = 1e-4


class DecisionHead:
    """One trained head, tabulated over the code book.

    Args:
        tail: levels and logits table.
        temperature: divides the logits.

    Attributes:
        tail: as given.
        probabilities: (codes, classes) float32, read-only.
        raw: class with the highest probability, by code.
    """

    def __init__(self, tail: FsqTail, temperature: float) -> None:
        self.tail = tail
        self.probabilities: Float32Array = softmax(tail.table, temperature)
        self.probabilities.setflags(write=False)
        self.raw: list[int] = self.probabilities.argmax(axis=1).tolist()
        self._rows: dict[int, tuple[float, ...]] = {}
        thresholds = _exact_thresholds(tail.codebook)
        self._scale = list(zip(thresholds, tail.codebook.basis.tolist(), strict=True))

    def code(self, t: Float32Array) -> int:
        """Return the code index of t (D,), to the bit that of :meth:`FsqTail.index`; -1 if t is not a number.

        Values beyond [-1, 1], which a quantised output may reach, count as the outermost digit.
        """
        index = 0
        for value, (thresholds, basis) in zip(t.tolist(), self._scale):  # noqa: B905 - a keyword costs here
            if value != value:
                return -1
            index += bisect_right(thresholds, value) * basis
        return index

    def row(self, code: int) -> tuple[float, ...]:
        """Return the probabilities of one code; the same object every time."""
        row = self._rows.get(code)
        if row is None:
            row = self._rows[code] = tuple(self.probabilities[code].tolist())
        return row

    def codes(self, t: Float32Array) -> tuple[Int64Array, Int64Array]:
        """Return code indices (N,) of t (N, D), and the rows that lie too near a boundary to trust a batch.

        As in :meth:`code`, values beyond [-1, 1] count as the outermost digit, and the code is -1 where t is no number.
        """
        lost: BoolArray = np.asarray(np.isnan(t).any(axis=1))
        t = np.clip(np.where(lost[:, None], np.float32(0.0), t), -1.0, 1.0)
        near = (self.tail.codebook.boundary_distance(t) < BOUNDARY_MARGIN).any(axis=1)
        return np.where(lost, -1, self.tail.index(t)), np.flatnonzero(near & ~lost)


def _exact_thresholds(codebook: FsqCodebook) -> list[list[float]]:
    """Return, per dimension, the least float32 t of every digit above 0, found by bisection over the bit patterns.

    Scaling and rounding in float32 are monotone, so a digit is the number of thresholds that t has reached.
    """
    found: list[list[float]] = []
    for dimension, level in enumerate(codebook.levels):
        half, offset = codebook.half[dimension], codebook.offset[dimension]
        wanted = np.arange(1, level) - level // 2
        below, reached = np.full(level - 1, -_ordinal(2.0)), np.full(level - 1, _ordinal(2.0))
        while (reached - below > 1).any():
            middle = (below + reached) // 2
            enough = np.rint(_float_of(middle) * half - offset) >= wanted
            below, reached = np.where(enough, below, middle), np.where(enough, middle, reached)
        found.append(_float_of(reached).tolist())
    return found


def _ordinal(value: float) -> int:
    """Return the rank of a positive float32 among all float32 values, 0 being that of zero."""
    return int(np.float32(value).view(np.int32))


def _float_of(ordinal: Int64Array) -> Float32Array:
    """Return the float32 values (K,) of given ranks; negative ranks mirror the positive ones."""
    magnitude: Float32Array = np.abs(ordinal).astype(np.int32).view(np.float32)
    return np.where(ordinal < 0, -magnitude, magnitude)
