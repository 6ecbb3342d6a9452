import numpy as np
import pytest

from fsq_edge.data.quality import STRATEGIES, apply_corrections
from fsq_edge_runtime.errors import DataError, UsageError
from tests.factories.defects import periodic, with_inf, with_long_gap, with_nan


@pytest.fixture
def broken():
    return with_long_gap(with_inf(with_nan(periodic())))


@pytest.mark.parametrize(
    ("strategy", "left"), [("zero", 40), ("mean", 40), ("median", 40), ("interpolate", 39), ("drop", 37)]
)
def test_everything_is_finite_and_one_index_moves_all(broken, strategy, left):
    labels, groups = np.arange(40), np.array([f"s{i}" for i in range(40)])
    times = np.arange(40 * 200).reshape(40, 200) / 100
    done = apply_corrections(broken, strategy, labels=labels, groups=groups, timestamps=times)
    assert np.isfinite(done.data).all()
    assert len(done.data) == len(done.index) == left
    np.testing.assert_array_equal(done.labels, done.index)
    assert done.groups.tolist() == [f"s{i}" for i in done.index]
    np.testing.assert_array_equal(done.timestamps, times[done.index])
    untouched = np.isfinite(broken[done.index])
    np.testing.assert_array_equal(done.data[untouched], broken[done.index][untouched])
    assert done.n_missing == np.count_nonzero(~np.isfinite(broken))
    assert done.n_dropped == 40 - left


def test_the_input_is_left_alone(broken):
    before = broken.copy()
    for strategy in ("zero", "mean", "median", "interpolate", "drop"):
        apply_corrections(broken, strategy)
    np.testing.assert_array_equal(broken, before)


def test_one_inf_does_not_enter_the_mean():
    x = periodic()
    clean_mean = x[:, 4].mean()
    done = apply_corrections(with_inf(x), "mean")
    assert done.data[5, 4, 10] == pytest.approx(clean_mean, abs=1e-3)


def test_six_infinities_do_not_shrink_the_channel():
    x = np.random.default_rng(0).normal(size=(100, 1, 100)).astype(np.float32)
    x[0, 0, :6] = np.inf
    done = apply_corrections(x, "interpolate").data
    normal = (done - done.mean()) / done.std()
    assert normal[1:].std() == pytest.approx(1.0, abs=0.02)


def test_interpolation_is_linear_and_stops_at_the_maximum_gap():
    ramp = np.broadcast_to(np.arange(50, dtype=np.float32), (2, 1, 50)).copy()
    ramp[0, 0, 10:20] = np.nan
    ramp[1, 0, 10:21] = np.nan
    done = apply_corrections(ramp, "interpolate", max_gap_samples=10)
    assert done.index.tolist() == [0]
    np.testing.assert_allclose(done.data[0, 0], np.arange(50), rtol=1e-6)


@pytest.mark.parametrize("valid", [0, 1])
def test_a_row_with_fewer_than_two_values_is_dropped_not_left_nan(valid):
    x = periodic(3, 50)
    x[1, 2, valid:] = np.nan
    assert apply_corrections(x, "interpolate").index.tolist() == [0, 2]


def test_fill_values_come_from_the_training_split():
    x = with_nan(periodic())
    done = apply_corrections(x, "mean", fill=[0, 42, 0, 0, 0, 0])
    assert (done.data[3, 1, 40:44] == 42).all()


def test_mean_and_median_are_of_the_channel():
    x = np.zeros((2, 2, 4), np.float32)
    x[0, 0] = [1, 2, 9, np.nan]
    x[1, 0] = [1, 2, 3, 4]
    x[:, 1] = 100
    assert apply_corrections(x, "mean").data[0, 0, 3] == pytest.approx(22 / 7)
    assert apply_corrections(x, "median").data[0, 0, 3] == 2


def test_clean_data_are_passed_through():
    x = periodic()
    for strategy in STRATEGIES:
        done = apply_corrections(x, strategy)
        assert np.shares_memory(done.data, x)
        assert (done.n_missing, done.n_dropped) == (0, 0)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: apply_corrections(x, "raise"), DataError, "values are missing in 3 of 40 windows"),
        (lambda x: apply_corrections(x, "guess"), UsageError, "unknown strategy 'guess'"),
        (lambda x: apply_corrections(x[0], "zero"), DataError, "expected windows"),
        (lambda x: apply_corrections(x, labels=np.zeros(39)), DataError, "labels must have 40 entries"),
        (lambda x: apply_corrections(x, "mean", fill=[1.0]), DataError, "fill must be 6 finite values"),
        (lambda x: apply_corrections(x * np.nan, "mean"), DataError, "channel 0 has no finite value"),
        (lambda x: apply_corrections(x * np.nan, "drop"), DataError, "no window is left"),
        (lambda x: apply_corrections(x * np.nan), DataError, "no window is left"),
    ],
)
def test_refusals(broken, call, error, words):
    with np.errstate(invalid="ignore"), pytest.raises(error) as caught:
        call(broken)
    assert words in caught.value.message


def test_what_was_done_is_logged(broken, caplog):
    apply_corrections(broken)
    assert "filled 6 and dropped 1 of 40 windows" in caplog.text
