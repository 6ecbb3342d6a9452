"""Bootstrap intervals against the same thing done slowly with scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from fsq_edge.evaluation.intervals import score_intervals


def drawn(subjects, n=240, seed=0):
    rng = np.random.default_rng(seed)
    who = np.arange(n) % subjects
    labels = rng.integers(0, 3, n)
    skill = np.linspace(0.95, 0.4, subjects)[who]
    predicted = np.where(rng.uniform(size=n) < skill, labels, rng.integers(0, 3, n))
    return labels, predicted, np.char.add("s", who.astype(str))


def slow(labels, predicted, resample, draws=400):
    scores = []
    for _ in range(draws):
        rows = resample()
        scores.append(
            (
                np.mean(labels[rows] == predicted[rows]),
                balanced_accuracy_score(labels[rows], predicted[rows]),
                f1_score(labels[rows], predicted[rows], average="macro"),
            )
        )
    return np.percentile(scores, [2.5, 97.5], axis=0).T


@pytest.mark.parametrize("subjects", [8, 2])
def test_intervals_agree_with_a_slow_bootstrap(subjects):
    labels, predicted, who = drawn(subjects)
    rng = np.random.default_rng(7)
    rows_of = [np.flatnonzero(who == name) for name in np.unique(who)]

    def over_subjects():
        return np.concatenate([rows_of[i] for i in rng.integers(0, subjects, subjects)])

    def within_subjects():
        return np.concatenate([rng.choice(rows, len(rows)) for rows in rows_of])

    found = score_intervals(labels, predicted, who, 3)
    expected = slow(labels, predicted, over_subjects if subjects > 2 else within_subjects)
    for interval, (low, high) in zip((found.accuracy, found.balanced_accuracy, found.macro_f1), expected, strict=True):
        assert interval.low == pytest.approx(low, abs=0.025)
        assert interval.high == pytest.approx(high, abs=0.025)


def test_it_is_said_how_an_interval_was_made():
    many = score_intervals(*drawn(8), 3)
    assert (many.unit, many.made) == ("subjects", "percentile bootstrap over 8 subjects, 2000 draws")
    two = score_intervals(*drawn(2), 3)
    assert two.unit == "windows within subjects"
    assert "says nothing about other subjects" in two.made
    assert "one subject" in score_intervals(*drawn(1), 3).made


def test_equal_subjects_leave_nothing_to_resample():
    labels = np.tile([0, 1, 2, 2], 5)
    predicted = np.tile([0, 1, 2, 0], 5)
    found = score_intervals(labels, predicted, np.repeat(list("abcde"), 4), 3)
    assert (found.accuracy.low, found.accuracy.high) == (0.75, 0.75)


def test_the_spread_between_subjects_is_seen_where_windows_alone_would_hide_it():
    # Half of the subjects are all right, half are all wrong: 1,000 windows, but only ten draws of luck.
    right = np.repeat(np.arange(10) % 2, 100)
    found = score_intervals(np.zeros(1000, int), 1 - right, np.repeat(np.arange(10), 100).astype(str), 2)
    assert found.accuracy.high - found.accuracy.low > 0.5


def test_the_seed_decides():
    one, same, other = (score_intervals(*drawn(8), 3, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.macro_f1 != other.macro_f1
