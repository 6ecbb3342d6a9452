"""Whatever the groups: selections repeat nothing, and every prefix of a balanced one is balanced."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge_calibration.selection import balanced_order, extremes_order, k_center_order

LABELS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=80)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(pairs=LABELS, size=st.integers(1, 100), seed=st.integers(0, 9))
def test_every_prefix_takes_turns_over_groups_that_are_not_used_up(
    pairs: list[tuple[int, int]], size: int, seed: int
) -> None:
    outer, inner = np.asarray(pairs).T
    order = balanced_order(outer, inner, size, np.random.default_rng(seed))
    assert len(order) == min(size, len(pairs))
    assert len(np.unique(order)) == len(order)
    total = np.bincount(outer, minlength=5)
    for length in range(1, len(order) + 1):
        taken = np.bincount(outer[order[:length]], minlength=5)
        left = taken[taken < total]
        # Who still has windows has had as many turns as anyone, give or take the turn under way.
        assert not len(left) or left.min() >= taken.max() - 1


@settings(derandomize=True, max_examples=50, deadline=None)
@given(count=st.integers(1, 60), size=st.integers(1, 80), seed=st.integers(0, 9))
def test_feature_orders_repeat_nothing(count: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = np.round(rng.normal(size=(count, 4)), 1).astype(np.float32)
    for choose in (k_center_order, extremes_order):
        order = choose(features, size, np.random.default_rng(seed))
        assert len(order) == min(size, count)
        assert len(np.unique(order)) == len(order)
        assert set(order) <= set(range(count))
