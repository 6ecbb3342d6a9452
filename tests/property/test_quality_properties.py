"""Strategies never move a label; measurements do not depend on how the data were read."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fsq_edge.data import Channel, Recording
from fsq_edge.data.quality import QualityThresholds, apply_corrections
from fsq_edge.data.quality.analysis import Analysis
from fsq_edge.data.quality.runs import RunFollower, find_runs
from fsq_edge_runtime.errors import DataError

CHECK = settings(max_examples=80, deadline=None, derandomize=True, database=None)
FLAGS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 3), st.integers(1, 30)))
# Few distinct values, so that equal neighbours, repeated extremes and missing values all occur.
VALUES = st.sampled_from([-1.0, -1.0, 0.0, 0.5, 0.5, 2.0, np.nan, np.inf, -np.inf])


def naive_runs(row):
    runs, begin = [], None
    for position, flag in enumerate([*row, False]):
        if flag and begin is None:
            begin = position
        elif not flag and begin is not None:
            runs.append((begin, position - begin))
            begin = None
    return runs


@CHECK
@given(FLAGS)
def test_runs_are_found_where_a_loop_finds_them(flags):
    row, start, length = find_runs(flags)
    expected = [(r, *run) for r in range(len(flags)) for run in naive_runs(flags[r])]
    assert list(zip(row.tolist(), start.tolist(), length.tolist(), strict=True)) == expected


@CHECK
@given(FLAGS, st.lists(st.integers(1, 7), min_size=1, max_size=40))
def test_following_runs_through_blocks_equals_finding_them_at_once(flags, sizes):
    follower, found, begin = RunFollower(len(flags)), [], 0
    for size in [*sizes, flags.shape[1]]:
        if begin < flags.shape[1]:
            runs = follower.feed(flags[:, begin : begin + size])
            found += list(zip(runs.row.tolist(), runs.length.tolist(), strict=True))
            begin += size
    runs = follower.close()
    found += list(zip(runs.row.tolist(), runs.length.tolist(), strict=True))
    row, _, length = find_runs(flags)
    assert sorted(found) == sorted(zip(row.tolist(), length.tolist(), strict=True))


@CHECK
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 60), st.just(3)), elements=VALUES),
    st.integers(1, 61),
    st.integers(1, 6),
)
def test_chunked_reading_equals_whole_reading(samples, chunk, flat):
    def measure(size):
        thresholds = QualityThresholds(flat_ms=10.0 * flat, max_gap_ms=20.0)
        channels = tuple(Channel(f"acc_{axis}", "g") for axis in "xyz")
        analysis = Analysis(channels, 100.0, thresholds, 2 * len(samples))
        for name in ("a", "b"):
            labels = np.zeros(len(samples), np.int16)
            analysis.add_recording(Recording(name, samples, labels, "1", ""), size)
        return analysis.metrics("x", samples.shape, "", "float32")

    whole, chunked = measure(len(samples)), measure(chunk)
    assert whole.samples_affected_share == chunked.samples_affected_share
    assert [check.message for check in whole.units] == [check.message for check in chunked.units]
    for one, other in zip(whole.channels, chunked.channels, strict=True):
        for name in one.__slots__:
            a, b = getattr(one, name), getattr(other, name)
            if isinstance(a, float):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=name)
            else:
                assert a == b, name


@CHECK
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 8), st.integers(1, 3), st.integers(1, 12)), elements=VALUES),
    st.sampled_from(["zero", "mean", "median", "interpolate", "drop"]),
    st.integers(0, 12),
)
def test_strategies_never_move_a_label(windows, strategy, max_gap):
    n = len(windows)
    try:
        done = apply_corrections(
            windows, strategy, labels=np.arange(n), groups=np.arange(n) * 10, max_gap_samples=max_gap
        )
    except DataError:
        return
    assert np.isfinite(done.data).all()
    assert (np.diff(done.index) > 0).all()
    np.testing.assert_array_equal(done.labels, done.index)
    np.testing.assert_array_equal(done.groups, 10 * done.index)
    finite = np.isfinite(windows[done.index])
    np.testing.assert_array_equal(done.data[finite], windows[done.index][finite])
    assert done.n_dropped + len(done.index) == n
    if strategy == "drop":
        assert done.index.tolist() == np.flatnonzero(np.isfinite(windows).all(axis=(1, 2))).tolist()


@CHECK
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(2, 14)), elements=VALUES),
    st.integers(0, 14),
)
def test_interpolation_keeps_a_window_exactly_when_every_gap_is_short_enough(windows, max_gap):
    missing = ~np.isfinite(windows)
    row, _, length = find_runs(missing.reshape(-1, windows.shape[2]))
    lost = set((row[(length > max_gap) | (length == windows.shape[2])] // windows.shape[1]).tolist())
    expected = [i for i in range(len(windows)) if i not in lost]
    try:
        kept = apply_corrections(windows, "interpolate", max_gap_samples=max_gap).index.tolist()
    except DataError:
        kept = []
    assert kept == expected
