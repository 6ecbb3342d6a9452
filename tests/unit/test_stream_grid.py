import numpy as np
import pytest

from fsq_edge_runtime.stream.counters import StreamCounters
from fsq_edge_runtime.stream.grid import BLOCK, Grid

RATE = 50.0


def make_grid(**changes):
    counters = StreamCounters()
    values = {
        "rate_hz": RATE,
        "source_rate_hz": RATE,
        "max_gap_s": 0.1,
        "jitter_tolerance": 0.25,
        "clock_jump_s": 1.0,
        "late_limit": 10,
        "counters": counters,
    }
    return Grid(1, **{**values, **changes}), counters


def ramp(times):
    """A signal that is its own time: where it was interpolated can be read off."""
    return np.asarray(times, np.float32)[:, None]


def rows(pieces):
    return np.concatenate([piece.rows[:, 0] for piece in pieces])


def test_native_samples_pass_unchanged_within_the_jitter_tolerance():
    grid, counters = make_grid()
    times = np.arange(100) / RATE + np.random.default_rng(0).uniform(-0.24, 0.24, 100) / RATE
    times[0] = 0.0
    samples = np.random.default_rng(1).normal(size=(100, 1)).astype(np.float32)
    pieces = grid.take(samples[:40], times[:40]) + grid.take(samples[40:], times[40:])
    np.testing.assert_array_equal(rows(pieces), samples[:, 0])
    assert pieces[-1].used is None
    assert counters.accepted == 100
    assert counters.interpolated == counters.skipped == 0


def test_without_timestamps_samples_count_at_the_nominal_rate():
    grid, _ = make_grid(source_rate_hz=25.0)
    first = grid.take(ramp(range(10)), None)
    second = grid.take(ramp(range(10, 20)), None)
    np.testing.assert_allclose(rows(first + second), np.arange(39) / 2)
    assert first[0].begins.t_start == 0.0


def test_a_short_gap_is_interpolated_and_counted():
    grid, counters = make_grid()
    times = np.delete(np.arange(30) / RATE, [10, 11, 12])
    (piece,) = grid.take(ramp(times), times)
    np.testing.assert_allclose(piece.rows[:, 0], np.arange(30) / RATE, atol=1e-6)
    assert np.flatnonzero(piece.imputed).tolist() == [10, 11, 12]
    assert piece.used.sum() == 27
    assert (counters.imputed, counters.gaps, counters.segments) == (3, 0, 1)


@pytest.mark.parametrize(("missing", "pieces"), [(5, 1), (6, 2)])
def test_a_gap_longer_than_allowed_ends_the_segment(missing, pieces):
    grid, counters = make_grid()
    times = np.delete(np.arange(40) / RATE, range(10, 10 + missing))
    found = grid.take(ramp(times), times)
    assert len(found) == pieces
    assert counters.gaps == pieces - 1
    if pieces == 2:
        begins = found[1].begins
        assert (begins.cause, begins.t_before, begins.t_start) == ("gap", times[9], times[10])


def test_duplicates_late_samples_and_bad_times_are_dropped_and_counted():
    grid, counters = make_grid()
    times = np.array([0.0, 0.02, 0.02, 0.0, np.nan, 0.04, np.inf, -0.9, 0.06])
    (piece,) = grid.take(ramp(np.arange(9)), times)
    assert piece.rows[:, 0].tolist() == [0, 1, 5, 8]
    assert (counters.duplicate, counters.late, counters.bad_time, counters.accepted) == (1, 2, 2, 4)
    assert counters.received == 9


def test_a_long_backward_step_is_a_clock_that_was_set():
    grid, counters = make_grid()
    times = np.concatenate([np.arange(10) / RATE + 3600, np.arange(10) / RATE])
    found = grid.take(ramp(np.arange(20)), times)
    assert [piece.begins.cause for piece in found] == ["start", "clock"]
    assert rows(found).tolist() == list(range(20))
    assert counters.clock_jumps == 1


def test_ten_late_samples_running_are_a_clock_that_was_set():
    grid, counters = make_grid()
    times = np.concatenate([np.arange(100) / RATE, 1.2 + np.arange(20) / RATE])
    found = grid.take(ramp(np.arange(120)), times)
    assert [piece.begins.cause for piece in found] == ["start", "clock"]
    assert found[1].rows[0, 0] == 109  # nine were dropped, the tenth begins
    assert (counters.late, counters.clock_jumps) == (9, 1)


def test_a_source_that_runs_fast_or_slow_stays_on_the_models_clock():
    for actual in (49.0, 51.0):
        grid, _ = make_grid()
        times = np.arange(500) / actual
        found = rows(grid.take(ramp(times), times))
        assert len(found) == int(times[-1] * RATE + 0.25) + 1
        # A sample stands for a grid time at most a quarter of a period away.
        assert np.abs(found - np.arange(len(found)) / RATE).max() <= 0.25 / RATE + 1e-6


def test_counting_goes_on_from_the_last_timestamp():
    grid, _ = make_grid()
    grid.take(ramp([0, 1]), np.array([5.0, 5.02]))
    pieces = grid.take(ramp([2, 3, 4]), None)
    assert [piece.begins for piece in pieces] == [None]
    assert rows(pieces).tolist() == [2, 3, 4]
    assert grid.take(ramp([5]), np.array([5.1]))[0].begins is None


def test_a_large_push_equals_many_small_ones():
    n = 2 * BLOCK + 17
    times = np.cumsum(np.random.default_rng(2).uniform(0.5, 1.5, n)) / RATE
    whole, _ = make_grid()
    parts, _ = make_grid()
    expected = rows(whole.take(ramp(times), times))
    got = [
        piece for at in range(0, n, 1000) for piece in parts.take(ramp(times[at : at + 1000]), times[at : at + 1000])
    ]
    np.testing.assert_array_equal(rows(got), expected)


def test_the_callers_array_may_be_used_again():
    grid, _ = make_grid()
    buffer = ramp([1, 2, 3])
    kept = [piece.rows.copy() for piece in grid.take(buffer, np.array([0.0, 0.02, 0.04]))]
    buffer[:] = 99
    later = grid.take(ramp([4]), np.array([0.07]))  # half way between: interpolated from 3 and 4
    assert kept[0][:, 0].tolist() == [1, 2, 3]
    assert 3 < rows(later)[0] < 4
