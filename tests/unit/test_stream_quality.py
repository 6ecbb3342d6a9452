import numpy as np
import pytest

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.stream.grid import Piece
from fsq_edge_runtime.stream.quality import QualityCheck
from fsq_edge_runtime.stream.ring import SampleRing
from fsq_edge_runtime.stream.settings import StreamSettings
from tests.factories.bundles import motion, preprocess_config

CONFIG = preprocess_config()


def flags_of(window, used=None, imputed=None, config=CONFIG, **settings):
    """Judge one window (T, C) as a session would; what passes the quick look has no flag in the closer one."""
    check = QualityCheck(config, StreamSettings(**settings))
    ring = SampleRing(window.shape[1], len(window))
    ring.append(Piece(np.asarray(window, np.float32), None, used, imputed), 0, len(window), 0)
    sound = check.sound(ring.window(0))
    flags = check.examine(ring.window(0), ring, 0)
    assert not (sound and used is None and flags)
    return flags, check


def still(level=(0.0, 0.0, 1.0, 0.0, 0.0, 0.0), noise=0.003):
    return np.asarray(level) + np.random.default_rng(0).normal(0, noise, (100, 6))


def test_motion_and_rest_are_sound():
    assert flags_of(motion(100))[0] == ()
    assert flags_of(still())[0] == ()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38])
def test_missing_values_name_their_channel(value):
    window = motion(100)
    window[20:40, 2] = value
    flags, check = flags_of(window)
    assert flags[0] == ("range:acc_z" if value == 1e38 else "missing:acc_z")
    assert check.abstains(flags)


def test_a_short_run_of_missing_values_is_filled():
    window = motion(100)
    window[20:25, 2] = np.nan
    flags, check = flags_of(window.copy())
    assert flags == ()
    assert np.isfinite(check.window).all()
    assert check.window[2, 22] == pytest.approx((window[19, 2] + window[25, 2]) / 2, abs=1e-5)


def test_a_stuck_channel_is_found_however_short_of_the_window():
    window = motion(100)
    window[30:54, 4] = window[30, 4]
    assert flags_of(window.copy())[0] == ()  # 24 equal values; 500 ms are 25
    window[54, 4] = window[30, 4]
    assert flags_of(window)[0] == ("stuck:gyr_y",)


def test_equal_values_across_two_channels_are_not_a_run():
    window = motion(100)
    window[-15:, 0] = 0.5
    window[:15, 1] = 0.5
    check = QualityCheck(CONFIG, StreamSettings())
    ring = SampleRing(6, 100)
    ring.append(Piece(window.astype(np.float32)), 0, 100, 0)
    assert check.examine(ring.window(0), ring, 0) == ()


def test_clipping_needs_a_declared_full_scale_and_a_share_of_the_window():
    window = motion(100) * 0.1
    window[:, 2] += 1
    window[40:60, 0] = np.linspace(2.0, 2.0002, 20)
    assert flags_of(window.copy())[0] == ()
    assert flags_of(window.copy(), full_scale={"acc_x": 2.0})[0] == ("clipped:acc_x",)
    assert flags_of(window, full_scale={"acc_x": 2.0}, max_clipped_share=0.3)[0] == ()


def test_what_no_sensor_can_measure_is_out_of_range():
    window = motion(100)
    window[50, 5] = 150.0
    assert flags_of(window)[0] == ("range:gyr_z",)


@pytest.mark.parametrize(("factor", "flags"), [(1.0, ()), (9.80665, ("units",)), (1 / 9.80665, ("units",)), (3.0, ())])
def test_an_accelerometer_in_the_wrong_unit_is_noticed(factor, flags):
    window = still(noise=0.05)
    window[:, :3] *= factor
    assert flags_of(window)[0] == flags
    assert flags_of(window, check_gravity=False)[0] == ()


def test_an_accelerometer_without_gravity_in_training_is_not_judged_by_it():
    linear = preprocess_config(mean=(0.0,) * 12, std=(0.2,) * 12)
    window = still(noise=0.001) - np.asarray([0, 0, 1, 0, 0, 0])
    assert flags_of(window, config=linear)[0] == ()
    assert flags_of(window)[0] == ("units",)


def test_imputed_share_and_rate_come_from_the_grid():
    used, imputed = np.ones(100, np.int64), np.zeros(100, bool)
    used[10:35:2], imputed[10:35:2] = 0, True
    assert flags_of(motion(100), used, imputed)[0] == ()
    assert flags_of(motion(100), used, imputed, max_imputed_share=0.1)[0] == ("imputed",)
    twice = np.full(100, 2, np.int64)
    assert flags_of(motion(100), twice, np.zeros(100, bool))[0] == ("rate",)
    slow = np.ones(100, np.int64)
    slow[::6] = 0
    assert flags_of(motion(100), slow, np.zeros(100, bool))[0] == ("rate",)


def test_flags_that_do_not_abstain_are_still_reported():
    window = motion(100)
    window[:, 3] = 0.25
    flags, check = flags_of(window, abstain_on=("missing",))
    assert flags == ("stuck:gyr_x",)
    assert not check.abstains(flags)


def test_a_full_scale_for_an_unknown_channel_is_refused():
    with pytest.raises(DataError, match="acc_w"):
        QualityCheck(CONFIG, StreamSettings(full_scale={"acc_w": 2.0}))


def turning(rms: float, count: int = 100) -> np.ndarray:
    """A body at work whose rotation has this root mean square, rad/s."""
    rng = np.random.default_rng(3)
    window = rng.normal(0, 1, (count, 6)) * [0.3, 0.3, 0.3, 1, 1, 1] + [0, 0, 1, 0, 0, 0]
    window[:, 3:] *= rms / np.sqrt((window[:, 3:] ** 2).sum(axis=1).mean())
    return window


@pytest.mark.parametrize(
    ("rms", "flagged"),
    [(2.0, False), (8.0, False), (0.8 * 57.3, True), (0.3 * 57.3, True), (2.0 / 57.3, True), (0.5, False)],
)
def test_a_gyroscope_in_the_wrong_unit_is_noticed(rms, flagged):
    config = preprocess_config(mean=(0.0,) * 12, std=(0.5, 0.5, 0.7, 1.0, 1.0, 1.0, *(1.0,) * 6))
    window = turning(rms)
    flags, check = flags_of(window, config=config)
    assert flags == (("units:gyroscope",) if flagged else ())
    assert not flagged or check.abstains(flags)
    assert flags_of(window, config=config, check_gravity=False)[0] == ()


def test_errors_of_transfer_are_no_other_unit():
    config = preprocess_config(mean=(0.0,) * 12, std=(0.5, 0.5, 0.7, 1.0, 1.0, 1.0, *(1.0,) * 6))
    window = turning(2.0)
    window[20:23, 4] = 139.0
    assert flags_of(window.copy(), config=config)[0] == ()
    window[20:23, 4] = 1e4
    assert flags_of(window, config=config)[0] == ("range:gyr_y",)


def test_a_rotation_that_is_out_of_range_shows_the_unit_too():
    config = preprocess_config(mean=(0.0,) * 12, std=(0.5, 0.5, 0.7, 1.0, 1.0, 1.0, *(1.0,) * 6))
    flags = flags_of(turning(200.0), config=config)[0]
    assert flags[-1] == "units:gyroscope"
    assert flags[0] == "range:gyr_x"


def test_a_gyroscope_at_rest_is_in_any_unit():
    config = preprocess_config(mean=(0.0,) * 12, std=(0.5, 0.5, 0.7, 1.0, 1.0, 1.0, *(1.0,) * 6))
    assert flags_of(still(), config=config)[0] == ()


def test_a_model_in_degrees_per_second_is_checked_in_degrees():
    channels = tuple((f"{s}_{a}", u) for s, u in (("acc", "g"), ("gyr", "deg/s")) for a in "xyz")
    config = preprocess_config(channels, mean=(0.0,) * 12, std=(0.5, 0.5, 0.7, 57.0, 57.0, 57.0, *(1.0,) * 6))
    degrees = turning(2.0) * [1, 1, 1, 57.3, 57.3, 57.3]
    assert flags_of(degrees, config=config)[0] == ()
    assert flags_of(turning(2.0), config=config)[0] == ("units:gyroscope",)
