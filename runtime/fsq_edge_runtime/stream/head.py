"""The host tail as tables: from ``t`` to code, probabilities and raw label with next to no arithmetic per window."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import NamedTuple, Protocol

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.label_tail import SigmoidTail
from fsq_edge_runtime.score_tails import AnomalyTail, SoftmaxTail, Tail
from fsq_edge_runtime.tail import BOUNDARY_MARGIN, FsqCodebook, FsqTail, softmax

MOST_SURE = 4096  # codes that are looked up; of a larger code book the others are added up every time
NEAR = -2  # in place of a mark: too near a boundary to trust anything but the batch-1 graph on frames of numpy


class Answer(NamedTuple):
    """What a head makes of one window.

    Attributes:
        code: FSQ code index; None where the head has no codes.
        raw: class with the highest probability.
        probabilities: (classes,).
    """

    code: int | None
    raw: int
    probabilities: tuple[float, ...]


class StreamHead(Protocol):
    """A trained head as a session uses it: ``t`` to a mark (-1: lost), and a mark to an answer.

    Attributes:
        tail: what it was made of.
        thresholds: of each label, where several may be there at once; None where exactly one class is right.
        known: by mark, answers that depend on nothing else and were asked for; to be read.
    """

    tail: Tail
    thresholds: tuple[float, ...] | None
    known: dict[int, Answer]

    def code(self, t: Float32Array) -> int:
        """Return the mark of t (D,): the code, or the class where there are no codes; -1 if t is not a number."""
        ...

    def sure_code(self, t: Float32Array) -> int:
        """Return :meth:`code` of t (D,) that another graph computed, or ``NEAR`` where that could be another code."""
        ...

    def answer(self, code: int, t: Float32Array) -> Answer:
        """Return the answer to t (D,), whose mark is ``code``, 0 or more."""
        ...

    def codes(self, t: Float32Array) -> tuple[Int64Array, Int64Array]:
        """Return the marks (N,) of t (N, D), and the rows that lie too near a boundary to trust a batch."""
        ...

    def judge(self, codes: Int64Array, t: Float32Array) -> tuple[Int64Array, Int64Array, Float32Array]:
        """Return codes (N,), raw classes (N,) and probabilities (N, classes) of marks (N,), 0 or more, and t (N, D)."""
        ...


def head_of(tail: Tail, temperature: float) -> StreamHead:
    """Return the head of a tail, with the temperature that divides its logits."""
    if isinstance(tail, FsqTail):
        return DecisionHead(tail, temperature)
    if isinstance(tail, SoftmaxTail | SigmoidTail | AnomalyTail):
        return ScoreHead(tail, temperature)
    raise TypeError(f"no head for a tail of kind {tail.kind}")


class ScoreHead:
    """A head without codes: probabilities are computed from the scores of each window.

    Args:
        tail: of class scores or an anomaly score.
        temperature: divides the logits.
    """

    def __init__(self, tail: SoftmaxTail | SigmoidTail | AnomalyTail, temperature: float) -> None:
        self.tail: Tail = tail
        self._temperature = temperature
        # One window at a time, plain numbers are several times faster than arrays of a handful of them.
        self._best, self._shares = tail.best, tail.shares
        self.thresholds = tail.thresholds if isinstance(tail, SigmoidTail) else None
        self.known: dict[int, Answer] = {}

    def code(self, t: Float32Array) -> int:
        """Return the class of t (D,), -1 if a score is not a finite number."""
        scores = t.tolist()
        whole = sum(scores)
        return self._best(scores) if whole - whole == 0.0 else -1  # Inf and NaN leave no 0

    def sure_code(self, t: Float32Array) -> int:
        """Return ``NEAR``: scores show the last bits of t (D,)."""
        return NEAR

    def answer(self, code: int, t: Float32Array) -> Answer:
        """Return the class and the probabilities of t (D,); there is no code."""
        return Answer(None, code, self._shares(t.tolist(), self._temperature))

    def codes(self, t: Float32Array) -> tuple[Int64Array, Int64Array]:
        """Return classes (N,) of t (N, D), -1 where a score is no finite number; no row needs a second look.

        A bundle with such a head has no graph with a batch, so every row already is the batch-1 graph's.
        """
        return np.asarray([self.code(row) for row in t], dtype=np.int64), np.empty(0, dtype=np.int64)

    def judge(self, codes: Int64Array, t: Float32Array) -> tuple[Int64Array, Int64Array, Float32Array]:
        """Return -1 for every code, the classes and the probabilities."""
        return np.full_like(codes, -1), codes, self.tail.probabilities(t, self._temperature)


class DecisionHead:
    """One trained head, tabulated over the code book.

    Args:
        tail: levels and logits table.
        temperature: divides the logits.

    Attributes:
        tail, thresholds, known: as of any head.
        probabilities: (codes, classes) float32, read-only.
        raw: class with the highest probability, by code.
        scores: ``probabilities`` as float64.
        ends: of each dimension, both ends of every boundary's margin, ascending.
        sure: codes that came up, by how many ends lie below each value; of ``t`` between two there is none.
    """

    def __init__(self, tail: FsqTail, temperature: float) -> None:
        self.tail: Tail = tail
        self.thresholds: tuple[float, ...] | None = None
        self._codebook = tail.codebook
        self.probabilities: Float32Array = softmax(tail.table, temperature)
        self.probabilities.setflags(write=False)
        self.scores: Float64Array = self.probabilities.astype(np.float64)
        self.raw: list[int] = self.probabilities.argmax(axis=1).tolist()
        self.known: dict[int, Answer] = {}
        thresholds = _exact_thresholds(tail.codebook)
        basis: list[int] = tail.codebook.basis.tolist()
        self._scale = list(zip(thresholds, basis, strict=True))
        # Around each threshold the margin's two ends: an odd number of ends below t says that t lies between two.
        widths = (BOUNDARY_MARGIN / tail.codebook.half).tolist()
        # Behind the last one comes infinity, so that NaN and Inf alone lie above all.
        ends = [
            [*(at + side for at in row for side in (-w, w)), math.inf]
            for row, w in zip(thresholds, widths, strict=True)
        ]
        self.ends, self._basis = ends, basis
        self.sure: dict[tuple[int, ...], int] = {}  # by the ends below each value, the codes that came up

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

    def sure_code(self, t: Float32Array) -> int:
        """Return the code index of t (D,) that another graph computed; ``NEAR`` within the margin of a boundary.

        -1 if t is not a number.
        """
        below = tuple(map(bisect_right, self.ends, t.tolist()))
        code = self.sure.get(below)
        if code is not None:
            return code
        if np.isnan(t).any():
            return -1
        if any(count & 1 for count in below):
            return NEAR
        index = sum((count >> 1) * basis for count, basis in zip(below, self._basis, strict=True))
        if len(self.sure) < MOST_SURE:
            self.sure[below] = index
        return index

    def answer(self, code: int, t: Float32Array | None = None) -> Answer:
        """Return the answer of one code; the same object every time."""
        answer = self.known.get(code)
        if answer is None:
            answer = self.known[code] = Answer(code, self.raw[code], tuple(self.probabilities[code].tolist()))
        return answer

    def judge(self, codes: Int64Array, t: Float32Array) -> tuple[Int64Array, Int64Array, Float32Array]:
        """Return the codes (N,) as given, their classes (N,) and their probabilities (N, classes)."""
        return codes, np.asarray(self.raw, dtype=np.int64)[codes], self.probabilities[codes]

    def codes(self, t: Float32Array) -> tuple[Int64Array, Int64Array]:
        """Return code indices (N,) of t (N, D), and the rows that lie too near a boundary to trust a batch.

        As in :meth:`code`, values beyond [-1, 1] count as the outermost digit, and the code is -1 where t is no number.
        """
        lost: BoolArray | None = None
        if np.isnan(t).any():
            lost = np.asarray(np.isnan(t).any(axis=1))
            t = np.where(lost[:, None], np.float32(0.0), t)
        bounded = self._codebook.bounded(np.minimum(np.maximum(t, np.float32(-1.0)), np.float32(1.0)))
        nearest = np.rint(bounded)
        near = (np.float32(0.5) - np.abs(bounded - nearest) < BOUNDARY_MARGIN).any(axis=1)
        codes = self._codebook.index(self._codebook.digits_at(nearest))
        if lost is not None:
            codes, near = np.where(lost, -1, codes), near & ~lost
        return codes, np.flatnonzero(near)


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
