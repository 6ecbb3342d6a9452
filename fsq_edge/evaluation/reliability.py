"""How far probabilities can be believed: reliability bins, expected calibration error, Brier score, log loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float64Array, FloatArray, IntArray

DEFAULT_BINS = 15
ROW_SUM_TOLERANCE = 1e-3  # float32 softmax over thousands of classes stays within it; logits do not
LEAST_PROBABILITY = 1e-12  # a wrong answer given with certainty costs 27.6 nats, not infinity


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Windows whose confidence lies between two edges.

    Attributes:
        low: lower edge of the confidence, 0 to 1.
        high: upper edge.
        n: windows in the bin; empty bins are kept in equal-width binning with confidence and accuracy 0.
        confidence: mean of the largest probability.
        accuracy: share of right answers.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Calibration of probabilities.

    Attributes:
        ece: expected calibration error over bins of equal width, 0 to 1.
        ece_equal_mass: expected calibration error over bins of (nearly) equal count; equal confidences share a bin.
        brier: mean over windows of the summed squared error of all class probabilities, 0 to 2.
        log_loss: mean negative log probability of the true class, nats.
        equal_width: bins of the reliability diagram.
        equal_mass: bins of (nearly) equal count.
    """

    ece: float
    ece_equal_mass: float
    brier: float
    log_loss: float
    equal_width: tuple[ReliabilityBin, ...]
    equal_mass: tuple[ReliabilityBin, ...]


def require_probabilities(probabilities: FloatArray, classes: int) -> Float64Array:
    """Return probabilities as float64 (N, K), refusing what is none: labels, logits, NaN.

    Args:
        probabilities: (N, K), rows that sum to 1.
        classes: K.

    Raises:
        ValueError: another shape (such as labels that were argmaxed already), a value that is not finite or outside
            0 to 1, or a row that does not sum to 1 (logits).
    """
    if probabilities.ndim != 2 or probabilities.shape[1] != classes:
        raise ValueError(f"probabilities have shape {probabilities.shape}, expected (N, {classes}); not labels")
    exact = probabilities.astype(np.float64)
    if not np.isfinite(exact).all():
        raise ValueError("probabilities are not finite")
    sums = exact.sum(axis=1)
    if (exact < 0).any() or (exact > 1 + ROW_SUM_TOLERANCE).any() or (np.abs(sums - 1) > ROW_SUM_TOLERANCE).any():
        raise ValueError("rows are not probabilities between 0 and 1 that sum to 1; apply softmax to logits first")
    return exact


def reliability_of(probabilities: FloatArray, labels: IntArray, *, bins: int = DEFAULT_BINS) -> Reliability:
    """Measure calibration.

    Args:
        probabilities: (N, K), rows that sum to 1, N >= 1.
        labels: int (N,), the true classes.
        bins: number of bins, at least 1.

    Raises:
        ValueError: ``probabilities`` are none (see ``require_probabilities``).

    Source: Naeini et al. 2015, AAAI (equal width); Nixon et al. 2019, arXiv 1904.01685 (equal mass); Brier 1950.
    """
    p = require_probabilities(probabilities, probabilities.shape[-1])
    rows = np.arange(len(p))
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    of_truth = p[rows, labels]
    errors = p.copy()
    errors[rows, labels] -= 1
    width_edges = np.linspace(0.0, 1.0, bins + 1)
    mass_edges = _equal_mass_edges(confidence, bins)
    width = _bins(confidence, right, width_edges)
    mass = _bins(confidence, right, mass_edges)
    return Reliability(
        ece=_ece(width),
        ece_equal_mass=_ece(mass),
        brier=float((errors**2).sum(axis=1).mean()),
        log_loss=float(-np.log(np.clip(of_truth, LEAST_PROBABILITY, 1.0)).mean()),
        equal_width=width,
        equal_mass=mass,
    )


def _equal_mass_edges(confidence: Float64Array, bins: int) -> Float64Array:
    """Edges (<= bins + 1) at the quantiles; a finite code book ties many confidences, and ties are never split."""
    ordered = np.sort(confidence)
    inner = ordered[np.arange(1, bins) * len(ordered) // bins]
    return np.unique(np.concatenate(([0.0], inner[inner > ordered[0]], [1.0])))


def _bins(confidence: Float64Array, right: BoolArray, edges: Float64Array) -> tuple[ReliabilityBin, ...]:
    """Fill the bins [edge, next edge); the last one includes 1."""
    n = len(edges) - 1
    at = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, n - 1)
    count = np.bincount(at, minlength=n)
    held = np.maximum(count, 1)
    mean = np.bincount(at, confidence, minlength=n) / held
    accuracy = np.bincount(at, right, minlength=n) / held
    return tuple(
        ReliabilityBin(float(edges[i]), float(edges[i + 1]), int(count[i]), float(mean[i]), float(accuracy[i]))
        for i in range(n)
    )


def _ece(bins: tuple[ReliabilityBin, ...]) -> float:
    total = sum(part.n for part in bins)
    return sum(part.n * abs(part.confidence - part.accuracy) for part in bins) / total
