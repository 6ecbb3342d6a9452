"""One temperature for all logits, fitted on held-out groups: it moves confidence, never the answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fsq_edge_runtime.arrays import Float64Array, FloatArray, IntArray

LOWEST, HIGHEST = 0.05, 20.0  # beyond, the fit says that the groups are too few or too easy, not what T is
_STEPS = 60  # golden section: the interval shrinks by 0.618 each time, to 1e-12
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class FittedTemperature:
    """A temperature and where it comes from.

    Attributes:
        value: divides the logits; above 0.
        n: windows it was fitted on.
        groups: subjects it was fitted on.
        log_loss_before: mean negative log likelihood at temperature 1, nats.
        log_loss_after: at ``value``.
        at_limit: the best value lies at or beyond 0.05 or 20, so it is a bound, not a fit.
    """

    value: float
    n: int
    groups: tuple[str, ...]
    log_loss_before: float
    log_loss_after: float
    at_limit: bool


def fit_temperature(logits: FloatArray, labels: IntArray, groups: Sequence[str]) -> FittedTemperature:
    """Minimise the log loss over log T; so T cannot become negative.

    Args:
        logits: (N, K), of windows that the network was not trained on and that no report is made of; N >= 1.
        labels: int (N,), true classes, 0 <= label < K.
        groups: subjects of the windows, for the record.

    Raises:
        ValueError: no window, logits that are not finite, or another number of labels.

    Source: Guo et al. 2017, arXiv 1706.04599, section 4.2. The log loss is convex in 1 / T, so it has one minimum
    in log T and golden section finds it.
    """
    if logits.ndim != 2 or len(logits) == 0 or labels.shape != logits.shape[:1] or not np.isfinite(logits).all():
        raise ValueError(
            f"a temperature needs finite logits (N, K) and labels (N,), got {logits.shape}, {labels.shape}"
        )
    # Differences to the true class: the loss is the mean of log sum exp of them, at any temperature.
    margin = logits.astype(np.float64)
    margin -= margin[np.arange(len(margin)), labels][:, None]
    low, high = math.log(LOWEST), math.log(HIGHEST)
    a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    loss_a, loss_b = _loss(margin, a), _loss(margin, b)
    for _ in range(_STEPS):
        if loss_a <= loss_b:
            high, b, loss_b = b, a, loss_a
            a = high - _GOLDEN * (high - low)
            loss_a = _loss(margin, a)
        else:
            low, a, loss_a = a, b, loss_b
            b = low + _GOLDEN * (high - low)
            loss_b = _loss(margin, b)
    best = (low + high) / 2
    return FittedTemperature(
        value=math.exp(best),
        n=len(margin),
        groups=tuple(groups),
        log_loss_before=_loss(margin, 0.0),
        log_loss_after=_loss(margin, best),
        at_limit=min(best - math.log(LOWEST), math.log(HIGHEST) - best) < 1e-6,
    )


def _loss(margin: Float64Array, log_temperature: float) -> float:
    scaled = margin * math.exp(-log_temperature)
    top = scaled.max(axis=1)
    return float((top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))).mean())
