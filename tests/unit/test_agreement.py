from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from fsq_edge_compile.int8.agreement import compare_codes
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.scores import bootstrap_confusions, confusion, macro_f1
from fsq_edge_runtime.tail import FsqTail

RNG = np.random.default_rng(3)
TAIL = FsqTail([8, 6, 5], RNG.normal(size=(240, 5)).astype(np.float32))


@pytest.mark.parametrize("present", [(0, 1, 2, 3, 4), (0, 3), (2,)])
def test_macro_f1_is_scikit_learns(present: tuple[int, ...]) -> None:
    labels = RNG.choice(present, 300)
    predicted = np.where(RNG.random(300) < 0.7, labels, RNG.choice(present[:2], 300))
    wanted = f1_score(labels, predicted, average="macro", zero_division=0)
    assert macro_f1(confusion(labels, predicted, 5)) == pytest.approx(wanted, abs=1e-12)


def test_equal_outputs_agree_in_everything() -> None:
    t = RNG.uniform(-1, 1, (200, 3)).astype(np.float32)
    report = compare_codes(TAIL, t, t, RNG.integers(0, 5, 200))
    assert report.code_flip_rate == report.label_change_rate == report.logit_mse == report.t_rmse == 0.0
    assert report.scores is not None
    assert report.scores.drop_points.value == report.scores.drop_points.high == 0.0


def test_one_flipped_digit_is_counted_where_it_is() -> None:
    t = np.zeros((10, 3), dtype=np.float32)
    other = t.copy()
    other[4, 1] = 0.9
    report = compare_codes(TAIL, t, other)
    assert report.code_flip_rate == 0.1
    assert report.flip_rate_by_dimension == (0.0, 0.1, 0.0)
    assert report.max_abs_difference == pytest.approx(0.9)
    assert report.scores is None


def test_near_boundary_counts_windows_within_a_twentieth_of_a_step() -> None:
    book = TAIL.codebook
    t = np.tile((np.array([0.3, 0.3, 0.3]) + book.offset) / book.half, (4, 1)).astype(np.float32)
    t[1, 2] = (0.47 + book.offset[2]) / book.half[2]
    assert compare_codes(TAIL, t, t).near_boundary_share == 0.25


def test_the_interval_of_grouped_windows_is_wider() -> None:
    labels = np.repeat(RNG.integers(0, 5, 20), 50)
    right = np.repeat(RNG.random(20) < 0.7, 50)
    predicted = np.where(right, labels, (labels + 1) % 5)

    def spread(groups: np.ndarray | None) -> float:
        draws = macro_f1(bootstrap_confusions(labels, (predicted,), 5, groups, np.random.default_rng(0)))
        return float(np.ptp(np.quantile(draws, [0.025, 0.975])))

    assert spread(np.repeat(np.arange(20), 50)) > 3 * spread(None)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        labels = rng.integers(0, 3, 300)
        predicted = np.where(rng.random(300) < 0.8, labels, rng.integers(0, 3, 300))
        draws = macro_f1(bootstrap_confusions(labels, (predicted,), 3, None, rng))
        low, high = np.quantile(draws, [0.025, 0.975])
        inside += low <= 0.8 + 0.2 / 3 <= high
    assert inside >= 88


def test_shapes_and_labels_are_checked() -> None:
    t = np.zeros((4, 3), dtype=np.float32)
    with pytest.raises(DataError, match="do not agree"):
        compare_codes(TAIL, t, t[:2])
    with pytest.raises(DataError, match="labels"):
        compare_codes(TAIL, t, t, [0, 1, 2, 9])
