"""Host tails of networks without FSQ: class scores, or one score of how unusual a window is.

Each tail reads the device graph's output ``t`` as :class:`fsq_edge_runtime.tail.FsqTail` does, so sessions, self-tests
and the fallback treat every kind alike. Where FSQ has a code, these have the class with the highest logit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import ClassVar, Literal, Protocol

import numpy as np
from pydantic import Field

from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.artefact import Artefact, read_json
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.label_tail import MAX_CLASSES, SigmoidRecord, SigmoidTail, logistic
from fsq_edge_runtime.tail import MAX_HEAD_BYTES, MAX_LOGIT, MAX_TEMPERATURE, MIN_TEMPERATURE, FsqTail, softmax


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

    def best(self, scores: Sequence[float]) -> int:
        """Return the class with the highest of scores (K,)."""
        return scores.index(max(scores))

    def shares(self, scores: Sequence[float], temperature: float) -> tuple[float, ...]:
        """Return the softmax of scores (K,) over ``temperature``."""
        most = max(scores)
        weights = [exp((score - most) / temperature) for score in scores]
        whole = sum(weights)
        return tuple([weight / whole for weight in weights])

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

    def best(self, scores: Sequence[float]) -> int:
        """Return 1 where the one score is above the threshold, else 0."""
        return int(scores[0] > self.threshold)

    def shares(self, scores: Sequence[float], temperature: float) -> tuple[float, ...]:
        """Return the probabilities of normal and anomaly of one score."""
        above = logistic((scores[0] - self.threshold) / self.scale / temperature)
        return 1.0 - above, above

    def index(self, t: Float32Array) -> Int64Array:
        """Return 1 (N,) where the score t (N, 1) is above the threshold, else 0."""
        return np.asarray(t[..., 0].astype(np.float64) > self.threshold, dtype=np.int64)

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
