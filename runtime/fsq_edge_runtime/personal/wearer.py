"""One stream's wearer: answers the windows of the stream by an overlay, or leaves them to the base head."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.feature_statistics import STEPS
from fsq_edge_runtime.personal.guard import Guard, codes_outside
from fsq_edge_runtime.personal.overlay import Overlay
from fsq_edge_runtime.tail import FsqTail, softmax

Judgement = tuple[int, Sequence[float]]
_STEPS: Final = np.float32(STEPS)


class PersonalHead:
    """An overlay in the form that answers a window quickest; streams of one wearer may share it.

    Args:
        overlay: made for the bundle.
        tail: of the bundle.

    Attributes:
        classes: names, the new ones last.
        wearer: as the overlay says.
        record: of the overlay.
    """

    def __init__(self, overlay: Overlay, tail: FsqTail) -> None:
        record = self.record = overlay.record
        self.classes, self.wearer = record.classes, record.wearer
        self._padding = (0.0,) * (len(record.classes) - record.known)
        self._by_code: list[Judgement] | None = None
        scale = np.float32(record.scale)
        if record.method == "table":
            self._outside = codes_outside(tail.codebook, overlay.range)
            probabilities = softmax(overlay.weights * scale)
            raw = probabilities.argmax(axis=1).tolist()
            self._by_code = [(one, tuple(row)) for one, row in zip(raw, probabilities.tolist(), strict=True)]
            return
        self._first, self._count = tail.width, len(record.classes)
        directions = overlay.range.directions.astype(np.float32)
        points = overlay.range.points.astype(np.float32)
        self._reach2 = record.reach**2
        # What is read is (features, 1), so that one product gives scores with their bias, the place, and a 1 behind it,
        # with which another one gives |point|^2 - 2 point . place. Scale and the margin of a new class are inside.
        width, (classes, axes) = len(directions), (self._count, directions.shape[1])
        product = np.zeros((width + 1, classes + axes + 1), dtype=np.float32)
        product[:width, :classes] = overlay.weights[:-1] * scale
        product[width, :classes] = overlay.weights[-1] * scale
        product[width, record.known : classes] -= np.float32(record.margin) * scale
        product[:width, classes:-1] = directions
        product[width, -1] = 1.0
        self._product = product
        self._points = np.ascontiguousarray(
            np.concatenate([-2.0 * points, (points**2).sum(axis=1, keepdims=True)], axis=1), dtype=np.float32
        )
        self._read = np.ones(width + 1, dtype=np.float32)
        self._steps: Float32Array = self._read[:width]

    def judge(self, code: int, row: Float32Array) -> tuple[bool, Judgement]:
        """Return whether a window is outside the overlay's range, and the personal head's answer to it.

        Args:
            code: FSQ code.
            row: (D + F,) as the backend gives it, or (D,) for a table.

        Cost: half of it is numpy's overhead of eight calls on a few dozen values.
        """
        if self._by_code is not None:
            return self._outside[code], self._by_code[code]
        steps, count = self._steps, self._count
        np.multiply(row[self._first :], _STEPS, steps)
        np.rint(steps, steps)
        found = self._read.dot(self._product)
        place = found[count:]
        nearest = self._points.dot(place)
        # The place has a 1 behind it, which its square counts.
        square = float(nearest[nearest.argmin()]) + float(place.dot(place)) - 1.0
        scores = found[:count].tolist()
        top = max(scores)
        weights = [exp(score - top) for score in scores]
        whole = sum(weights)
        return square > self._reach2, (scores.index(top), tuple([weight / whole for weight in weights]))

    def padded(self, probabilities: Sequence[float]) -> Sequence[float]:
        """Return the base head's probabilities with 0 for the classes that it does not know."""
        return (*probabilities, *self._padding) if self._padding else probabilities


class Wearer:
    """The state of one stream with an overlay.

    Args:
        head: of the overlay.
        hop_s: seconds between windows.

    Attributes:
        head: as given.
        guard: whether the wearer is still as the overlay saw them.
        changed: whether the latest window changed who answers; whoever reports that sets it back.
    """

    __slots__ = ("changed", "guard", "head")

    def __init__(self, head: PersonalHead, hop_s: float) -> None:
        self.head = head
        self.guard = Guard(hop_s)
        self.changed = False

    def judge(self, code: int, row: Float32Array, raw: int, probabilities: Sequence[float]) -> Judgement:
        """Return raw class and probabilities of a window: the personal head's, or the base head's as given."""
        outside, own = self.head.judge(code, row)
        if self.guard.see(outside):
            self.changed = True
        return (raw, self.head.padded(probabilities)) if self.guard.away else own

    def facts(self) -> dict[str, object]:
        """Return what an ``overlay`` event says."""
        away = self.guard.away
        reason = (
            "the features left the range that the overlay saw, as on another mounting; the base head answers"
            if away
            else "the features are back in the range that the overlay saw; the personal head answers"
        )
        return {
            "wearer": self.head.wearer,
            "head": "base" if away else "personal",
            "reason": reason,
            "outside_share": round(self.guard.share, 3),
        }
