"""The host tail of a network that gives several labels at once, each with a threshold of its own."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tail import MAX_LOGIT, MAX_TEMPERATURE, MIN_TEMPERATURE

MAX_CLASSES: Final = 4096  # as in the manifest
LEAST_THRESHOLD: Final = 1e-6
LARGEST_EXPONENT: Final = 700.0  # e to it is still a double


class SigmoidRecord(Artefact):
    """``head.json`` of a network that gives several labels at once.

    Attributes:
        kind: ``sigmoid``.
        thresholds: of each label, a probability: the label is there from it on.
        temperature: divides the logits before the sigmoid.
    """

    KIND: ClassVar[str] = "head.json"

    kind: Literal["sigmoid"]
    thresholds: tuple[float, ...] = Field(min_length=2, max_length=MAX_CLASSES)
    temperature: float = Field(default=1.0, ge=MIN_TEMPERATURE, le=MAX_TEMPERATURE)


class SigmoidTail:
    """Several labels at once: the network ends before its sigmoid, which runs here, and each label has a threshold.

    Args:
        thresholds: K probabilities, 2 to 4,096 of them, each from 0.000001 to 0.999999.
        temperature: 0.001 to 1000; divides the logits before the sigmoid.

    Attributes:
        thresholds: as given.

    Raises:
        DataError: a value out of range.
    """

    kind = "sigmoid"

    def __init__(self, thresholds: Sequence[float], temperature: float = 1.0) -> None:
        self.thresholds = tuple(float(value) for value in thresholds)
        self.temperature = float(temperature)
        if not 2 <= len(self.thresholds) <= MAX_CLASSES:
            raise DataError(f"head: {len(self.thresholds)} thresholds, expected 2 to {MAX_CLASSES}: one a label")
        if not all(LEAST_THRESHOLD <= value <= 1 - LEAST_THRESHOLD for value in self.thresholds):
            raise DataError(
                f"head: the thresholds {list(self.thresholds)[:8]} must lie above 0 and below 1",
                hint="a threshold is the probability from which on a label is there, such as 0.5",
            )
        if not MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE:
            raise DataError(f"head: the temperature is {temperature:g}")
        bars = np.asarray(self.thresholds, dtype=np.float64)
        self._bars = np.asarray(temperature * np.log(bars / (1 - bars)), dtype=np.float32)
        self._bar_list: list[float] = self._bars.tolist()

    @property
    def width(self) -> int:
        """K: one value of ``t`` a label."""
        return len(self.thresholds)

    n_classes = width
    n_answers = width

    def best(self, scores: Sequence[float]) -> int:
        """Return the label of scores (K,) that is furthest above its threshold, or least below."""
        away = [score - bar for score, bar in zip(scores, self._bar_list, strict=True)]
        return away.index(max(away))

    def shares(self, scores: Sequence[float], temperature: float) -> tuple[float, ...]:
        """Return the sigmoid of each of scores (K,) over ``temperature``."""
        return tuple([logistic(score / temperature) for score in scores])

    def index(self, t: Float32Array) -> Int64Array:
        """Return the label (N,) of t (N, K) that is furthest above its threshold, or least below."""
        return np.asarray(self.logits(t).argmax(axis=-1), dtype=np.int64)

    def logits(self, t: Float32Array) -> Float32Array:
        """Return logits (N, K) less those of the thresholds: a label is there where its value is 0 or more."""
        return np.asarray(np.clip(t - self._bars, -MAX_LOGIT, MAX_LOGIT), dtype=np.float32)

    def probabilities(self, t: Float32Array, temperature: float) -> Float32Array:
        """Return the sigmoid (N, K) of the network's own logits over ``temperature``: they do not sum to 1."""
        scaled = np.clip(np.asarray(t, dtype=np.float32) / np.float32(temperature), -80.0, 80.0)  # exp stays a number
        return np.asarray(1 / (1 + np.exp(-scaled)), dtype=np.float32)

    def boundary_distance(self, t: Float32Array) -> Float32Array:
        """Return the least distance (N,) at which a label comes or goes, or another one leads, in logits."""
        away = self.logits(t)
        best = np.sort(away, axis=-1)[..., -2:]
        return np.asarray(np.minimum(np.abs(away).min(axis=-1), (best[..., 1] - best[..., 0]) / 2), dtype=np.float32)

    def to_bytes(self) -> bytes:
        """Return ``head.json``."""
        record = SigmoidRecord(kind="sigmoid", thresholds=self.thresholds, temperature=self.temperature)
        return record.to_json().encode()


def logistic(z: float) -> float:
    """Return 1 / (1 + e^-z) of any number, with no overflow."""
    return 1.0 / (1.0 + exp(-z)) if z > -LARGEST_EXPONENT else 0.0


def against_thresholds(probabilities: Sequence[float], thresholds: Sequence[float]) -> list[float]:
    """Return probabilities (K,) moved so that each threshold lies at 0.5, in the order that their odds have.

    Example:
        >>> against_thresholds([0.2, 0.9], [0.2, 0.5])
        [0.5, 0.9]
    """
    found = []
    for p, bar in zip(probabilities, thresholds, strict=True):
        above = p * (1.0 - bar)
        found.append(above / (above + (1.0 - p) * bar))
    return found
