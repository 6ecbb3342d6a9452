"""``head.json``: the head of a network without FSQ, as a file."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.tail import MAX_LOGIT, MAX_TEMPERATURE, MIN_TEMPERATURE

MAX_CLASSES = 4096  # as in the manifest


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
