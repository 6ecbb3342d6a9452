"""Host tails of networks without FSQ: class scores, labels each on its own, or one score of how unusual a window is.

Each tail reads the device graph's output ``t`` as :class:`fsq_edge_runtime.tail.FsqTail` does, so sessions, self-tests
and the fallback treat every kind alike. Where FSQ has a code, these have the class with the highest logit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Literal, Protocol

import numpy as np
from pydantic import Field

from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.artefact import Artefact, read_json
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tail import MAX_HEAD_BYTES, MAX_LOGIT, MAX_TEMPERATURE, MIN_TEMPERATURE, FsqTail, softmax

MAX_CLASSES = 4096  # as in the manifest
LEAST_THRESHOLD: Final = 1e-6


class Tail(Protocol):
    """What every kind of head does with ``t``, the output of the device graph.

    Attributes:
        kind: ``fsq``, ``softmax``, ``sigmoid`` or ``anomaly``.
        temperature: divides the logits before the softmax, or the sigmoid.
    """

    kind: str
    temperature: float

    @property
    def width(self) -> int:
        """D, the values of ``t``."""
        ...

    @property
    def n_classes(self) -> int:
        """Classes that the logits are of."""
        ...

    @property
    def n_answers(self) -> int:
        """Different values of :meth:`index`: the codes of FSQ, else the classes."""
        ...

    def index(self, t: Float32Array) -> Int64Array:
        """Return the code (N,) of t (N, D) where the head has codes, else the class with the highest logit."""
        ...

    def logits(self, t: Float32Array) -> Float32Array:
        """Return logits (N, classes) of t (N, D), before temperature."""
        ...

    def probabilities(self, t: Float32Array, temperature: float) -> Float32Array:
        """Return probabilities (N, classes) of t (N, D); they sum to 1 unless the kind is ``sigmoid``."""
        ...

    def boundary_distance(self, t: Float32Array) -> Float32Array:
        """Return how far each t (N, D) is from one with another index, (N,), in the head's own unit."""
        ...

    def to_bytes(self) -> bytes:
        """Return the head's file, the same bytes for the same content."""
        ...


class HeadRecord(Artefact):
    """``head.json``: the head of a network without FSQ.

    Attributes:
        kind: ``softmax`` reads class logits; ``anomaly`` reads one score and compares it with a threshold.
        outputs: values of ``t``: the classes, or 1 for ``anomaly``.
        temperature: divides the logits before the softmax.
        threshold: with ``anomaly``: a score above it is an anomaly.
        scale: with ``anomaly``: the distance from the threshold that counts as one logit, in units of the score.
    """

    KIND: ClassVar[str] = "head.json"

    kind: Literal["softmax", "anomaly"]
    outputs: int = Field(ge=1, le=MAX_CLASSES)
    temperature: float = Field(default=1.0, ge=MIN_TEMPERATURE, le=MAX_TEMPERATURE)
    threshold: float = Field(default=0.0, ge=-MAX_LOGIT, le=MAX_LOGIT)
    scale: float = Field(default=1.0, ge=1 / MAX_LOGIT, le=MAX_LOGIT)


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


class SoftmaxTail:
    """Class logits: the network ends before its softmax, which runs here.

    Args:
        classes: K, 2 to 4,096.
        temperature: 0.001 to 1000; divides the logits before the softmax.

    Raises:
        DataError: a value out of range.
    """

    kind = "softmax"

    def __init__(self, classes: int, temperature: float = 1.0) -> None:
        if not 2 <= classes <= MAX_CLASSES or not MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE:
            raise DataError(f"head: {classes} classes at temperature {temperature:g}, expected 2 to {MAX_CLASSES}")
        self._classes, self.temperature = classes, float(temperature)

    @property
    def width(self) -> int:
        """K: one value of ``t`` a class."""
        return self._classes

    n_classes = width
    n_answers = width

    def index(self, t: Float32Array) -> Int64Array:
        """Return the class (N,) with the highest logit of t (N, K)."""
        return np.asarray(t.argmax(axis=-1), dtype=np.int64)

    def logits(self, t: Float32Array) -> Float32Array:
        """Return t (N, K), kept within what a softmax can compute with."""
        return np.asarray(np.clip(t, -MAX_LOGIT, MAX_LOGIT), dtype=np.float32)

    def probabilities(self, t: Float32Array, temperature: float) -> Float32Array:
        """Return the softmax (N, K) of the logits over ``temperature``."""
        return softmax(self.logits(t), temperature)

    def boundary_distance(self, t: Float32Array) -> Float32Array:
        """Return half the lead (N,) of the best class over the second, in logits."""
        best = np.sort(self.logits(t), axis=-1)[..., -2:]
        return np.asarray((best[..., 1] - best[..., 0]) / 2, dtype=np.float32)

    def to_bytes(self) -> bytes:
        """Return ``head.json``."""
        return HeadRecord(kind="softmax", outputs=self._classes, temperature=self.temperature).to_json().encode()


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
            raise DataError(f"head: a threshold of a label is above {LEAST_THRESHOLD:g} and below 1 by as much")
        if not MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE:
            raise DataError(f"head: the temperature is {temperature:g}")
        bars = np.asarray(self.thresholds, dtype=np.float64)
        self._bars = np.asarray(temperature * np.log(bars / (1 - bars)), dtype=np.float32)

    @property
    def width(self) -> int:
        """K: one value of ``t`` a label."""
        return len(self.thresholds)

    n_classes = width
    n_answers = width

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


class AnomalyTail:
    """One score and a threshold: class 0 is normal, class 1 an anomaly.

    Args:
        threshold: a score above it is an anomaly; NaN and Inf are refused.
        scale: positive; a score this far above the threshold has the logit 1.
        temperature: 0.001 to 1000; divides the logits.

    Raises:
        DataError: a value out of range.
    """

    kind = "anomaly"
    width, n_classes, n_answers = 1, 2, 2

    def __init__(self, threshold: float, scale: float, temperature: float = 1.0) -> None:
        if not abs(threshold) <= MAX_LOGIT or not 1 / MAX_LOGIT <= scale <= MAX_LOGIT:
            raise DataError(f"head: threshold {threshold:g} and scale {scale:g} must be numbers, scale positive")
        if not MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE:
            raise DataError(f"head: the temperature is {temperature:g}")
        self.threshold, self.scale, self.temperature = float(threshold), float(scale), float(temperature)

    def index(self, t: Float32Array) -> Int64Array:
        """Return 1 (N,) where the score t (N, 1) is above the threshold, else 0."""
        return np.asarray(self.logits(t).argmax(axis=-1), dtype=np.int64)

    def logits(self, t: Float32Array) -> Float32Array:
        """Return (N, 2): 0 for normal, (score - threshold) / scale for an anomaly."""
        with np.errstate(over="ignore"):
            above = (np.asarray(t[..., 0], dtype=np.float64) - self.threshold) / self.scale
        above = np.clip(above, -MAX_LOGIT, MAX_LOGIT)
        return np.stack([np.zeros_like(above), above], axis=-1).astype(np.float32)

    def probabilities(self, t: Float32Array, temperature: float) -> Float32Array:
        """Return the softmax (N, 2) of the logits over ``temperature``."""
        return softmax(self.logits(t), temperature)

    def boundary_distance(self, t: Float32Array) -> Float32Array:
        """Return the distance (N,) of the score from the threshold, in scales."""
        return np.asarray(np.abs(self.logits(t)[..., 1]), dtype=np.float32)

    def to_bytes(self) -> bytes:
        """Return ``head.json``."""
        record = HeadRecord(
            kind="anomaly", outputs=1, temperature=self.temperature, threshold=self.threshold, scale=self.scale
        )
        return record.to_json().encode()


def read_tail(data: bytes) -> Tail:
    """Read a bundle's head: ``head.npz`` of an FSQ network, or ``head.json``.

    Raises:
        DataError: damaged, too large, an unknown kind or version, or values out of range.
    """
    if not data.startswith(b"{"):
        return FsqTail.from_bytes(data)
    if len(data) > MAX_HEAD_BYTES:
        raise DataError(f"head.json: {len(data)} bytes is more than the {MAX_HEAD_BYTES} allowed")
    value = read_json(data, "head.json", what="head.json")
    if isinstance(value, dict) and value.get("kind") == "sigmoid":
        several = SigmoidRecord.from_json(data, origin="head.json")
        return SigmoidTail(several.thresholds, several.temperature)
    record = HeadRecord.from_json(data, origin="head.json")
    if record.kind == "softmax":
        return SoftmaxTail(record.outputs, record.temperature)
    if record.outputs != 1:
        raise DataError(f"head.json: an anomaly head reads 1 score, not {record.outputs}")
    return AnomalyTail(record.threshold, record.scale, record.temperature)
