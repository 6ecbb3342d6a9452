"""The host tail as tables: from ``t`` to code, probabilities and raw label without arithmetic per window."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.tail import FsqTail, softmax

Float32Array = npt.NDArray[np.float32]
Int64Array = npt.NDArray[np.int64]

# Batches of other sizes may round the last bits of t differently; closer to a rounding boundary than this, the
# batch-1 graph decides. Observed differences are below 1e-6.
BOUNDARY_MARGIN = 1e-4


class DecisionHead:
    """One trained head, tabulated over the code book.

    Args:
        tail: levels and logits table.
        temperature: divides the logits.

    Attributes:
        probabilities: (codes, classes) float32, read-only.
        raw: class with the highest probability, by code.
    """

    def __init__(self, tail: FsqTail, temperature: float) -> None:
        self.tail = tail
        self.probabilities: Float32Array = softmax(tail.table, temperature)
        self.probabilities.setflags(write=False)
        self.raw: list[int] = self.probabilities.argmax(axis=1).tolist()
        book = tail.codebook
        self._half, self._offset = book.half, book.offset
        self._bounded: Float32Array = np.empty(book.dimensions, dtype=np.float32)
        # Whole numbers below 2^24 are exact in float32, and a code is below 2^20.
        self._basis = book.basis.astype(np.float32)
        self._middle = int(book.index(np.asarray(book.levels, dtype=np.int64) // 2))

    def code(self, t: Float32Array) -> int:
        """Return the code index of t (D,), the same as :meth:`FsqTail.index`, or -1 if t is not a number."""
        bounded = self._bounded
        np.multiply(t, self._half, bounded)
        np.subtract(bounded, self._offset, bounded)
        np.rint(bounded, bounded)
        index = float(bounded.dot(self._basis)) + self._middle
        return int(index) if 0 <= index < len(self.raw) else -1

    def codes(self, t: Float32Array) -> tuple[Int64Array, Int64Array]:
        """Return code indices (N,) of t (N, D), and the rows that lie too near a boundary to trust a batch."""
        near = (self.tail.codebook.boundary_distance(t) < BOUNDARY_MARGIN).any(axis=1)
        return self.tail.index(t), np.flatnonzero(near)
