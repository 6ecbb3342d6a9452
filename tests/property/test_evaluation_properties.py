"""Scores hold for any predictions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn.metrics import f1_score, recall_score

from fsq_edge.evaluation.intervals import score_intervals
from fsq_edge.evaluation.reliability import reliability_of
from fsq_edge_runtime.scores import scores_of_tallies

CHECK = settings(max_examples=40, deadline=None, derandomize=True, database=None)
PAIRS = npst.arrays(np.int64, st.tuples(st.integers(1, 40), st.just(2)), elements=st.integers(0, 3))


@CHECK
@given(PAIRS)
def test_scores_from_tallies_equal_scikit_learn(pairs):
    labels, predicted = pairs.T
    right = labels[labels == predicted]
    tallies = np.stack([np.bincount(part, minlength=4) for part in (right, labels, predicted)])
    accuracy, balanced, macro = scores_of_tallies(tallies)
    present = np.unique(labels)
    np.testing.assert_allclose(accuracy, np.mean(labels == predicted))
    np.testing.assert_allclose(
        balanced, recall_score(labels, predicted, labels=present, average="macro", zero_division=0.0)
    )
    np.testing.assert_allclose(macro, f1_score(labels, predicted, average="macro", zero_division=0.0))


@CHECK
@given(PAIRS, st.integers(1, 5), st.integers(0, 2**31))
def test_intervals_lie_in_range_and_do_not_depend_on_the_order_of_windows(pairs, subjects, seed):
    labels, predicted = pairs.T
    who = (np.arange(len(labels)) % subjects).astype(str)
    order = np.random.default_rng(seed).permutation(len(labels))
    found = score_intervals(labels, predicted, who, 4, replicates=50, seed=seed)
    assert found == score_intervals(labels[order], predicted[order], who[order], 4, replicates=50, seed=seed)
    for interval in (found.accuracy, found.balanced_accuracy, found.macro_f1):
        assert 0 <= interval.low <= interval.high <= 1


@CHECK
@given(st.integers(1, 60), st.integers(2, 5), st.integers(1, 20), st.integers(0, 2**31))
def test_calibration_is_bounded_and_every_window_is_in_one_bin(n, classes, bins, seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(classes, 0.3), n)
    found = reliability_of(probabilities, rng.integers(0, classes, n), bins=bins)
    for part in (found.equal_width, found.equal_mass):
        assert sum(one.n for one in part) == n
        assert all(one.low <= one.confidence <= one.high + 1e-12 for one in part if one.n)
    assert 0 <= found.ece <= 1
    assert 0 <= found.ece_equal_mass <= 1
    assert 0 <= found.brier <= 2
