"""Calibration measured on probabilities, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from fsq_edge.evaluation.reliability import reliability_of
from fsq_edge_runtime.tail import softmax


def two_class(confidence, right):
    """Probabilities of class 0 at ``confidence``, and labels that make ``right`` of them right."""
    probabilities = np.column_stack([confidence, 1 - np.asarray(confidence)])
    return probabilities, np.where(right, 0, 1)


def test_ece_by_hand():
    # Eight windows at 0.9 of which four are right, two at 0.6 both right: (8 x 0.4 + 2 x 0.4) / 10.
    probabilities, labels = two_class([0.9] * 8 + [0.6] * 2, [True] * 4 + [False] * 4 + [True] * 2)
    found = reliability_of(probabilities, labels)
    assert found.ece == pytest.approx(0.4)
    assert found.ece_equal_mass == pytest.approx(0.4)


def test_confidence_is_that_of_the_softmax_never_the_raw_logit():
    # Logits of 8 and more look like confidence 1 in any bin; half of the answers are wrong.
    logits = np.tile(np.array([[8.0, 9.0]], np.float32), (100, 1))
    labels = np.arange(100) % 2
    assert reliability_of(softmax(logits), labels).ece == pytest.approx(softmax(logits)[0, 1] - 0.5, abs=1e-6)
    with pytest.raises(ValueError, match="softmax"):
        reliability_of(logits, labels)


def test_perfectly_calibrated_probabilities_have_no_error():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 200_000)
    found = reliability_of(*two_class(confidence, rng.uniform(size=len(confidence)) < confidence))
    assert found.ece < 0.01
    assert found.ece_equal_mass < 0.01


def test_brier_by_hand_and_log_loss_as_in_scikit_learn():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    labels = np.array([0, 1])
    found = reliability_of(probabilities, labels)
    by_hand = np.mean([0.3**2 + 0.2**2 + 0.1**2, 0.1**2 + 0.7**2 + 0.6**2])
    assert found.brier == pytest.approx(by_hand)
    assert found.log_loss == pytest.approx(log_loss(labels, probabilities, labels=[0, 1, 2]))


def test_certain_and_wrong_is_finite():
    found = reliability_of(np.array([[1.0, 0.0]]), np.array([1]))
    assert (found.ece, found.brier) == (1.0, 2.0)
    assert found.log_loss == pytest.approx(-np.log(1e-12))


def test_equal_mass_bins_hold_equal_counts_and_equal_width_bins_cover_the_line():
    rng = np.random.default_rng(1)
    confidence = rng.beta(5, 1, 3000) / 2 + 0.5
    found = reliability_of(*two_class(confidence, rng.uniform(size=3000) < confidence), bins=10)
    assert {part.n for part in found.equal_mass} == {300}
    assert [part.low for part in found.equal_width] == pytest.approx(np.arange(10) / 10)
    assert sum(part.n for part in found.equal_width) == 3000
    assert found.equal_width[0].n == 0
    for part in found.equal_width[5:]:
        assert part.low <= part.confidence <= part.high


def test_ties_are_never_split_so_the_order_of_windows_does_not_matter():
    # A code book gives few distinct confidences: three here, in bins meant for sevenths.
    rng = np.random.default_rng(2)
    confidence = rng.choice([0.55, 0.75, 0.95], 700)
    right = rng.uniform(size=700) < 0.7
    first = reliability_of(*two_class(confidence, right), bins=7)
    order = rng.permutation(700)
    second = reliability_of(*two_class(confidence[order], right[order]), bins=7)
    assert [part.n for part in first.equal_mass] == [part.n for part in second.equal_mass]
    assert sorted(part.n for part in first.equal_mass) == sorted(np.unique(confidence, return_counts=True)[1].tolist())
    assert first.ece_equal_mass == pytest.approx(second.ece_equal_mass)
