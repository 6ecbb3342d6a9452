"""Finite scalar quantisation on the host: from the device graph's ``t`` to digits, code index and logits.

The one definition of the grid is :class:`FsqCodebook`; the torch layer takes its constants from here.

Source: Mentzer et al. 2023, arXiv 2309.15505, section 3 and appendix A.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.npz import npz_bytes, read_arrays

BOUND_MARGIN: Final = 1e-3  # the paper's eps: keeps the outermost digits reachable by a finite z
# Batches of other sizes, and other graphs of the same arithmetic, round the last bits of t differently (observed: below
# 1e-5 of a step). Where b lies closer than this to a rounding boundary, the batch-1 graph decides.
BOUNDARY_MARGIN: Final = 1e-4
MAX_INDEX: Final = 1 << 62  # code indices are int64
MAX_CODES: Final = 1 << 20  # of a logits table; a grid alone may be larger
MAX_HEAD_BYTES: Final = 64 * 1024 * 1024
# Within these a float32 quotient of a logit and a temperature is a number; fitted values lie far inside.
MIN_TEMPERATURE: Final = 1e-3
MAX_TEMPERATURE: Final = 1e3
MAX_LOGIT: Final = 1e30


class FsqCodebook:
    """The grid of one set of levels.

    Args:
        levels: L per dimension, 3 to 256 (L = 2 saturates: its shift is 3.8); at most 2^62 codes.

    Attributes:
        levels: (L1, ..., LD).
        half: (D,) float32, (L - 1)(1 + 1e-3) / 2.
        offset: (D,) float32, 0.5 for an even L, else 0.
        shift: (D,) float32, atanh(offset / half), to be added to z before the Tanh.
        basis: (D,) int64, 1, L1, L1 L2, ...: the first dimension runs fastest.
        n_codes: product of the levels.

    Raises:
        ValueError: levels out of range.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        self.levels = tuple(int(level) for level in levels)
        if not self.levels or min(self.levels) < 3 or max(self.levels) > 256:
            raise ValueError(f"FSQ levels must be 3 to 256 each, got {list(levels)}")
        self.n_codes = math.prod(self.levels)
        if self.n_codes > MAX_INDEX:
            raise ValueError(f"FSQ levels {list(levels)} give {self.n_codes} codes, more than a 64-bit index holds")
        exact = np.asarray(self.levels, dtype=np.float64)
        half = (exact - 1.0) * (1.0 + BOUND_MARGIN) / 2.0
        offset = np.where(exact % 2 == 0, 0.5, 0.0)
        self.half: Float32Array = half.astype(np.float32)
        self.offset: Float32Array = offset.astype(np.float32)
        self.shift: Float32Array = np.arctanh(offset / half).astype(np.float32)
        self.basis: Int64Array = np.cumprod([1, *self.levels[:-1]]).astype(np.int64)
        self._middle: Int64Array = np.asarray(self.levels, dtype=np.int64) // 2
        self._sizes: Int64Array = np.asarray(self.levels, dtype=np.int64)

    @property
    def dimensions(self) -> int:
        """D, the number of quantised dimensions."""
        return len(self.levels)

    def bounded(self, t: Float32Array) -> Float32Array:
        """Return b = t * half - offset for t (..., D) in [-1, 1]; rounding b gives the signed digit."""
        return np.asarray(t * self.half - self.offset, dtype=np.float32)

    def digits(self, t: Float32Array) -> Int64Array:
        """Return digits (..., D), 0 to L - 1, of t (..., D); rounding is half to even.

        Values beyond [-1, 1], which a quantised output may reach, count as the outermost digit.
        """
        return self.digits_at(np.rint(self.bounded(np.clip(t, -1.0, 1.0))))

    def digits_at(self, rounded: Float32Array) -> Int64Array:
        """Return digits (..., D) of :meth:`bounded` values, rounded."""
        return rounded.astype(np.int64) + self._middle

    def index(self, digits: Int64Array) -> Int64Array:
        """Return the code index (...) of digits (..., D)."""
        return np.asarray(digits @ self.basis, dtype=np.int64)

    def digits_of(self, index: Int64Array) -> Int64Array:
        """Return digits (..., D) of code indices (...): the inverse of :meth:`index`."""
        return np.asarray(index, dtype=np.int64)[..., None] // self.basis % self._sizes

    def values(self, digits: Int64Array) -> Float32Array:
        """Return what the head sees, (digit - L // 2) / (L // 2): -1 to 1 (odd L) or -1 to 1 - 2 / L (even L)."""
        return ((digits - self._middle) / self._middle).astype(np.float32)

    def thresholds(self) -> tuple[Float64Array, ...]:
        """Return, per dimension, the L - 1 thresholds on z: the digit is the number of thresholds <= z."""
        found = []
        for level in self.levels:
            half = (level - 1) * (1 + BOUND_MARGIN) / 2
            offset = 0.5 if level % 2 == 0 else 0.0
            steps = np.arange(level - 1) - level // 2 + 0.5 + offset
            found.append(np.arctanh(steps / half) - math.atanh(offset / half))
        return tuple(found)

    def boundary_distance(self, t: Float32Array) -> Float32Array:
        """Return the distance (..., D) of b from the nearest rounding boundary, 0 to 0.5."""
        b = self.bounded(t)
        return np.asarray(0.5 - np.abs(b - np.rint(b)), dtype=np.float32)


class FsqTail:
    """Everything after the device graph: ``t`` to code index to a row of the logits table.

    Args:
        levels: FSQ levels.
        table: (n_codes, classes) float32 logits of the trained head over the whole code book.
        temperature: 0.001 to 1000; divides the logits before the softmax.

    Raises:
        DataError: sizes do not agree or values are not finite.
    """

    kind = "fsq"

    def __init__(self, levels: Sequence[int], table: Float32Array, temperature: float = 1.0) -> None:
        try:
            self.codebook = FsqCodebook(levels)
        except ValueError as error:
            raise DataError(f"head: {error}") from error
        if self.codebook.n_codes > MAX_CODES:
            raise DataError(f"head: levels {list(levels)} give {self.codebook.n_codes} codes, at most {MAX_CODES}")
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused below
            self.table: Float32Array = np.ascontiguousarray(table, dtype=np.float32)
        if self.table.ndim != 2 or len(self.table) != self.codebook.n_codes or self.table.shape[1] < 2:
            raise DataError(f"head: logits table {self.table.shape} does not fit {self.codebook.n_codes} codes")
        if not (np.abs(self.table) <= MAX_LOGIT).all():  # NaN is not less
            raise DataError(f"head: the logits table holds values that are not numbers up to {MAX_LOGIT:g}")
        if not MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE:
            raise DataError(
                f"head: the temperature is {temperature:g}, expected {MIN_TEMPERATURE:g} to {MAX_TEMPERATURE:g}"
            )
        self.temperature = float(temperature)

    @property
    def width(self) -> int:
        """D, the values of ``t``."""
        return self.codebook.dimensions

    @property
    def n_classes(self) -> int:
        """Columns of the logits table."""
        return int(self.table.shape[1])

    @property
    def n_answers(self) -> int:
        """Codes of the code book."""
        return self.codebook.n_codes

    def boundary_distance(self, t: Float32Array) -> Float32Array:
        """Return the distance (N,) of t (N, D) from the nearest rounding boundary of any dimension, 0 to 0.5."""
        return np.asarray(self.codebook.boundary_distance(t).min(axis=-1), dtype=np.float32)

    def index(self, t: Float32Array) -> Int64Array:
        """Return the code index (N,) of t (N, D)."""
        return self.codebook.index(self.codebook.digits(t))

    def logits(self, t: Float32Array) -> Float32Array:
        """Return logits (N, classes) of t (N, D), before temperature."""
        return np.asarray(self.table[self.index(t)], dtype=np.float32)

    def probabilities(self, t: Float32Array, temperature: float) -> Float32Array:
        """Return the softmax (N, classes) of the logits over ``temperature``."""
        return softmax(self.logits(t), temperature)

    def to_bytes(self) -> bytes:
        """Return ``head.npz`` (keys levels, table, temperature), the same bytes for the same content."""
        levels = np.asarray(self.codebook.levels, dtype=np.int64)
        return npz_bytes(levels=levels, table=self.table, temperature=np.float64(self.temperature))

    @classmethod
    def from_bytes(cls, data: bytes) -> FsqTail:
        """Read ``head.npz``.

        Raises:
            DataError: damaged, too large, a missing key or sizes that do not agree.
        """
        if len(data) > MAX_HEAD_BYTES:
            raise DataError(f"head.npz: {len(data)} bytes is more than the {MAX_HEAD_BYTES} allowed")
        try:
            levels, table, warmth = read_arrays(data, ("levels", "table", "temperature"))
            temperature = float(warmth)
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError(f"head.npz cannot be read: {error}") from error
        if levels.ndim != 1 or levels.dtype.kind not in "iu":
            raise DataError("head.npz: levels must be a list of integers")
        if table.dtype.kind != "f":
            raise DataError(f"head.npz: the logits table is {table.dtype}, expected floats")
        return cls([int(level) for level in levels], table, temperature)


def softmax(logits: Float32Array, temperature: float = 1.0) -> Float32Array:
    """Return probabilities (..., classes) of logits (..., classes) divided by ``temperature``.

    Example:
        >>> softmax(np.array([[0.0, 0.0]], dtype=np.float32), 1.0).tolist()
        [[0.5, 0.5]]
    """
    scaled = logits / np.float32(temperature)
    weights = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float32)
