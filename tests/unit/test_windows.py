import numpy as np
import pytest

from fsq_edge.data import cut_windows
from fsq_edge_runtime.errors import DataError, UsageError
from tests.factories.recordings import make_dataset, make_recording


def test_windows_are_pure_and_the_others_are_counted():
    labels = np.repeat([0, 1, -1], [100, 100, 100])
    index = cut_windows(make_dataset([make_recording(labels=labels)]), 50, 25)
    assert index.start.tolist() == [0, 25, 50, 100, 125, 150]
    assert index.label.tolist() == [0, 0, 0, 1, 1, 1]
    assert (index.n_mixed, index.n_unlabelled) == (2, 3)


def test_no_window_spans_two_recordings_or_a_gap():
    timestamps = np.arange(300) / 50.0
    timestamps[130:] += 0.5
    timestamps[250:] -= 3.0  # the clock is set back
    index = cut_windows(make_dataset([make_recording("a", timestamps=timestamps), make_recording("b", n=90)]), 50, 50)
    assert list(zip(index.recording.tolist(), index.start.tolist(), strict=True)) == [
        (0, 0), (0, 50), (0, 130), (0, 180), (0, 250), (1, 0),
    ]  # fmt: skip


def test_a_late_sample_within_the_maximum_is_no_gap():
    timestamps = np.arange(100) / 50.0
    timestamps[50:] += 0.07
    assert cut_windows(make_dataset([make_recording(n=100, timestamps=timestamps)]), 100, 50).start.tolist() == [0]
    with pytest.raises(DataError):
        cut_windows(make_dataset([make_recording(n=100, timestamps=timestamps)]), 100, 50, max_gap_s=0.05)


def test_gather_takes_rows_in_any_order():
    dataset = make_dataset()
    index = cut_windows(dataset, 100, 50)
    rows = np.random.default_rng(0).integers(0, len(index), 200)
    windows = index.gather(rows)
    assert windows.dtype == np.float32
    assert windows.flags.c_contiguous
    for window, row in zip(windows, rows, strict=True):
        start = index.start[row]
        samples = dataset.recordings[index.recording[row]].samples[start : start + 100]
        np.testing.assert_array_equal(window, samples.T)


def test_gather_of_nothing():
    index = cut_windows(make_dataset(), 100, 50)
    assert index.gather(np.zeros(0, np.int64)).shape == (0, 3, 100)


def test_recordings_shorter_than_a_window_give_none():
    with pytest.raises(DataError, match="no label-pure window of 301 samples"):
        cut_windows(make_dataset(), 301, 50)


@pytest.mark.parametrize(("window", "hop"), [(0, 1), (1, 0), (-5, 5)])
def test_sizes_below_one_are_a_usage_error(window, hop):
    with pytest.raises(UsageError, match="at least 1"):
        cut_windows(make_dataset(), window, hop)
