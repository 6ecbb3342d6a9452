"""The two personal heads: least squares on the features, or the code table moved towards the wearer's codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.feature_statistics import FeatureStatistics
from fsq_edge_runtime.tail import FsqCodebook

RIDGE: Final = 3e-3  # of the mean variance; 1e-4 to 1e-2 score within 0.005 of each other on watch
MOST_BALANCE: Final = 4.0  # a rare class counts at most this much more than its windows
LEAST_PROBABILITY: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to fit.

    Attributes:
        method: ``head`` or ``table``.
        strength: of ``head``: weight of all of the wearer's windows, in weights of all training windows; of ``table``:
            windows of the wearer that weigh as much as the trained table.
    """

    method: str
    strength: float


# The strongest come last: where little is known, choosing by held-out blocks falls back to the weak ones.
HEADS: Final = tuple(Choice("head", strength) for strength in (0.25, 0.5, 1.0, 2.0, 4.0))
TABLES: Final = tuple(Choice("table", strength) for strength in (8.0, 2.0, 0.5))


def fit_head(
    statistics: FeatureStatistics, features: Float32Array, labels: Int64Array, classes: int, strength: float
) -> Float64Array:
    """Return the weights of a linear head, ridge regression to the classes' indicators.

    The training windows come in as their sums, so they need not be there; the sums and the wearer's windows are one
    least squares problem in closed form.

    Args:
        statistics: of the training windows.
        features: (N, F) of the wearer, in steps.
        labels: (N,) classes.
        classes: K, with the new class where there is one.
        strength: see :class:`Choice`.

    Returns:
        (F + 1, K) float64 for features in steps, the last row the bias.
    """
    width, n = statistics.width, statistics.windows
    known = statistics.sums.shape[0]
    total = np.zeros((width + 1, width + 1))
    total[:width, :width] = statistics.products
    total[:width, width] = total[width, :width] = statistics.sums.sum(axis=0)
    total[width, width] = n
    wanted = np.zeros((width + 1, classes))
    wanted[:width, :known] = statistics.sums.T
    wanted[width, :known] = statistics.counts
    rows: Float64Array = np.concatenate([features.astype(np.float64), np.ones((len(features), 1))], axis=1)
    weights: Float64Array = balance(labels) * (strength * n / len(labels))
    total += (rows * weights[:, None]).T @ rows
    wanted += (rows * weights[:, None]).T @ np.eye(classes)[labels]
    ridge = RIDGE * float(np.trace(total[:width, :width])) / width + 1e-9
    solved = np.linalg.solve(total + np.diag(np.append(np.full(width, ridge), 0.0)), wanted)
    return np.asarray(solved, dtype=np.float64)


def balance(labels: Int64Array) -> Float64Array:
    """Return a weight (N,) for each window, with mean 1: rare classes count more, at most four times."""
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights = np.minimum(counts.max() / counts, MOST_BALANCE)[place.ravel()]
    return np.asarray(weights / weights.mean())


def scores_of(weights: Float64Array, features: Float32Array) -> Float64Array:
    """Return the scores (N, K) of features (N, F) in steps."""
    return np.asarray(features.astype(np.float64) @ weights[:-1] + weights[-1])


def fit_table(
    codebook: FsqCodebook, trained: Float32Array, codes: Int64Array, labels: Int64Array, classes: int, strength: float
) -> Float64Array:
    """Return log-probabilities (codes, K): the trained ones, moved where the wearer's codes are.

    Each window counts at its own code and, less, at the codes around it (a normal kernel of one digit); the trained
    probabilities count as ``strength`` windows.

    Args:
        codebook: the grid.
        trained: (codes, K0) probabilities of the trained head.
        codes: (N,) of the wearer.
        labels: (N,) classes.
        classes: K, at least K0.
        strength: see :class:`Choice`.

    Cost: codes x N kernel values, in blocks of a thousand codes.
    """
    counts = np.zeros((codebook.n_codes, classes))
    counts[:, : trained.shape[1]] = strength * trained
    used, place = np.unique(codes, return_inverse=True)
    seen = np.zeros((len(used), classes))
    np.add.at(seen, (place.ravel(), labels), balance(labels))
    theirs = codebook.digits_of(used)
    for at in range(0, codebook.n_codes, 1000):
        mine = codebook.digits_of(np.arange(at, min(at + 1000, codebook.n_codes)))
        squares = ((mine[:, None, :] - theirs[None, :, :]) ** 2).sum(axis=2)
        counts[at : at + len(mine)] += np.exp(-0.5 * squares) @ seen
    shares = counts / counts.sum(axis=1, keepdims=True)
    return np.asarray(np.log(np.maximum(shares, LEAST_PROBABILITY)))


def losses(scores: Float64Array, labels: Int64Array) -> Float64Array:
    """Return -log softmax(scores)[label] (N,) of windows: scores (N, K), labels (N,)."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    total = np.log(np.exp(shifted).sum(axis=1))
    return np.asarray(total - shifted[np.arange(len(labels)), labels])


def log_loss(scores: Float64Array, labels: Int64Array) -> float:
    """Return the mean of :func:`losses`."""
    return float(losses(scores, labels).mean())


def fit_scale(scores: Float64Array, labels: Int64Array) -> float:
    """Return the factor on scores (N, K) with the least log loss on windows that were held out."""
    # Down to almost 0, so that scores which say nothing lose no more than a guess: else any flat head would beat them.
    factors = 2.0 ** np.concatenate([np.arange(-10.0, -3.0), np.arange(-3.0, 5.25, 0.25)])
    losses = [log_loss(factor * scores, labels) for factor in factors]
    return float(factors[int(np.argmin(losses))])
