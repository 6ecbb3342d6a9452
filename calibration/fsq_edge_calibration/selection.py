"""Which windows go into a calibration set.

Every method returns an order in which each prefix is itself a fair selection: Hailo's compiler reads only the first
``calibset_size`` windows of a file.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.arrays import Float32Array, Int64Array

Method = Literal["random", "class-balanced", "subject-balanced", "coverage", "coverage-codes", "extremes"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)


def random_order(count: int, size: int, rng: np.random.Generator) -> Int64Array:
    """Return ``size`` of ``count`` positions, uniformly, without repeats."""
    return rng.permutation(count)[:size].astype(np.int64)


def balanced_order(outer: npt.ArrayLike, inner: npt.ArrayLike, size: int, rng: np.random.Generator) -> Int64Array:
    """Return positions that take turns over ``outer`` groups and, within each, over ``inner`` groups.

    A group that runs out leaves its turns to the others.

    Args:
        outer: (N,) group of each window (class for class-balanced, subject for subject-balanced).
        inner: (N,) the second key.
        size: how many positions to return at most.
        rng: breaks every tie.

    Returns:
        (min(size, N),) int64.
    """
    outer_id = np.unique(np.asarray(outer), return_inverse=True)[1].ravel()
    inner_id = np.unique(np.asarray(inner), return_inverse=True)[1].ravel()
    shuffled = rng.permutation(len(outer_id))
    turn = _rank_within(outer_id[shuffled] * (inner_id.max(initial=0) + 1) + inner_id[shuffled])
    by_inner_turn = shuffled[np.argsort(turn, kind="stable")]
    turn = _rank_within(outer_id[by_inner_turn])
    tie = rng.random(len(turn))
    order: Int64Array = by_inner_turn[np.lexsort((tie, turn))][:size].astype(np.int64)
    return order


def _rank_within(group: Int64Array) -> Int64Array:
    """Return how many earlier entries of ``group`` equal each entry."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = np.r_[True, ordered[1:] != ordered[:-1]]
    first = np.maximum.accumulate(np.where(starts, np.arange(len(group)), 0))
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = np.arange(len(group)) - first
    return rank


def k_center_order(features: Float32Array, size: int, rng: np.random.Generator) -> Int64Array:
    """Return positions chosen greedily, each the one farthest from all chosen before.

    Args:
        features: (N, F) float32, finite, of comparable scale.
        size: how many positions to return at most.
        rng: chooses among the start's ties; the start is the window nearest the mean.

    Source: Gonzalez 1985, Clustering to minimize the maximum intercluster distance.
    Cost: O(N F) a chosen window.
    """
    count = len(features)
    centered = np.ascontiguousarray(features - features.mean(axis=0, dtype=np.float64).astype(np.float32))
    square = np.einsum("nf,nf->n", centered, centered)
    current = int(rng.choice(np.flatnonzero(square == square.min())))
    distance = np.full(count, np.inf, dtype=np.float32)
    chosen = np.empty(min(size, count), dtype=np.int64)
    for turn in range(len(chosen)):
        chosen[turn] = current
        distance = np.minimum(distance, square + square[current] - 2.0 * (centered @ centered[current]))
        distance[current] = -1.0
        current = int(np.argmax(distance))
    return chosen


def extremes_order(features: Float32Array, size: int, rng: np.random.Generator) -> Int64Array:
    """Return, first, the windows that hold each feature's largest and smallest values, then random ones.

    Half of the set at most is extreme, so that the ranges are covered and the bulk of the distribution is kept.

    Args:
        features: (N, F) float32, finite.
        size: how many positions to return at most.
        rng: chooses the rest.
    """
    count, size = len(features), min(size, len(features))
    per_side = max(1, size // (4 * features.shape[1]))
    ranked = np.argsort(features, axis=0, kind="stable")
    ends = np.concatenate([ranked[:per_side], ranked[::-1][:per_side]], axis=1).ravel()
    extreme = ends[np.sort(np.unique(ends, return_index=True)[1])][: max(1, size // 2)]
    rest = np.setdiff1d(np.arange(count), extreme)
    filled = np.concatenate([extreme, rng.permutation(rest)[: size - len(extreme)]])
    return rng.permutation(filled).astype(np.int64)
