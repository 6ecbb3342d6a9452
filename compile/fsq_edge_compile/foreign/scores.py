"""How far the scores of two forms of one network agree: labels, probabilities and their correlation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.counted_scores import wilson
from fsq_edge_runtime.score_tails import Tail
from fsq_edge_runtime.scores import Interval

LEAST = 1e-12  # of a probability, so that its logarithm is a number


@dataclass(frozen=True, slots=True)
class ScoreAgreement:
    """Two forms of a network on equal windows.

    Attributes:
        windows: how many.
        label_agreement: share of windows with equal labels, with its interval.
        max_probability_difference: the largest, 0 to 1.
        kl: mean Kullback-Leibler divergence of the second form's probabilities from the first's, nats.
        correlation: of all scores, Pearson; None where one form's scores are constant.
    """

    windows: int
    label_agreement: Interval
    max_probability_difference: float
    kl: float
    correlation: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def compare_scores(
    tail: Tail, reference: Float32Array, other: Float32Array, other_tail: Tail | None = None
) -> ScoreAgreement:
    """Compare ``t`` (N, D) of two forms, N at least 1, as the head reads them, or each as its own head does."""
    second = other_tail or tail
    p = tail.probabilities(reference, tail.temperature).astype(np.float64)
    q = second.probabilities(other, second.temperature).astype(np.float64)
    divergence = _divergence(p, q)
    if tail.kind == "sigmoid":  # each label is a class or its absence; a window agrees where all labels do
        equal = int(((tail.logits(reference) >= 0) == (second.logits(other) >= 0)).all(axis=1).sum())
        divergence = divergence + _divergence(1 - p, 1 - q)
    else:
        equal = int((tail.index(reference) == second.index(other)).sum())
    a, b = reference.ravel().astype(np.float64), other.ravel().astype(np.float64)
    varies = a.std() > 0 and b.std() > 0
    return ScoreAgreement(
        windows=len(p),
        label_agreement=wilson(equal, len(p)),
        max_probability_difference=float(np.abs(p - q).max()),
        kl=float(divergence.mean()),
        correlation=float(np.corrcoef(a, b)[0, 1]) if varies else None,
    )


def _divergence(p: Float64Array, q: Float64Array) -> Float64Array:
    return np.asarray((p * (np.log(np.maximum(p, LEAST)) - np.log(np.maximum(q, LEAST)))).sum(axis=1))
