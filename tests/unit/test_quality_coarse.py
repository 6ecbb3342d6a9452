"""Coarse sensors: a still body is no fault, a stuck axis is; in recordings and in the stream."""

import numpy as np
import pytest

from fsq_edge.data import Channel, Dataset, Recording
from fsq_edge.data.quality import QualityControl
from fsq_edge.data.quality.coarse import coarse_step, stuck_samples
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.stream.quality import QualityCheck
from fsq_edge_runtime.stream.settings import StreamSettings
from tests.factories.bundles import motion, preprocess_config

STEP = 1 / 64
AXES = tuple(Channel(f"acc_{axis}", "g") for axis in "xyz")


def night(seconds=600, rate=25, seed=0):
    """A sleeper's wrist (n, 3), g: noise below the step, a turn every half minute."""
    rng = np.random.default_rng(seed)
    n = seconds * rate
    pose = np.repeat(rng.normal(0, 0.5, (n // (30 * rate) + 1, 3)), 30 * rate, axis=0)[:n]
    active = (np.arange(n) % (30 * rate) < 8 * rate)[:, None]
    moving = rng.normal(0, 0.1, (n, 3)) * active
    return (np.round((pose + moving + rng.normal(0, 0.006, (n, 3))) / STEP) * STEP).astype(np.float32)


def report(samples, rate=25.0):
    times = np.arange(len(samples)) / rate
    recording = Recording("night", samples, np.zeros(len(samples), np.int16), "s1", "", timestamps=times)
    return QualityControl().validate_dataset(Dataset("night", AXES, rate, ("rest",), (recording,)))


def test_a_step_is_found_only_where_it_is_as_large_as_the_noise():
    assert coarse_step(night()) == STEP
    assert coarse_step(np.random.default_rng(0).normal(0, 1, (5000, 3)).astype(np.float32)) == 0.0
    assert coarse_step(np.ones((50, 3), np.float32)) == 0.0
    assert coarse_step(np.full((50, 3), np.nan, np.float32)) == 0.0


def test_stuck_beside_a_live_axis_or_all_at_once():
    block = np.zeros((30, 3), np.float32)
    block[:10, 1] = np.arange(10) * STEP  # x and z stand while y moves
    block[10:20, 1] = np.arange(10) % 2 * STEP  # one step of noise
    assert stuck_samples(block, STEP, 10).tolist() == [20, 10, 20]
    block[25, 0] = np.nan
    assert stuck_samples(block, STEP, 10).tolist() == [10, 0, 10]


def test_a_still_wearer_passes_and_a_frozen_axis_fails():
    samples = night()
    assert report(samples).passed
    frozen = samples.copy()
    frozen[len(frozen) // 2 :, 0] = frozen[len(frozen) // 2, 0]
    failed = report(frozen)
    assert not failed.passed
    assert [(f.rule, f.where) for f in failed.findings if f.severity == "error"] == [("flat", "acc_x")]


def flags_of(window, step=None):
    config = preprocess_config()
    steps = {} if step is None else {f"acc_{axis}": step for axis in "xyz"}
    check = QualityCheck(config, StreamSettings(sensor_step=steps))
    return check.examine(np.ascontiguousarray(window.T, np.float32))


def coarse(window):
    window = np.array(window)
    window[:, :3] = np.round(window[:, :3] / STEP) * STEP
    return window


def test_the_stream_takes_a_declared_step_into_account():
    rng = np.random.default_rng(1)
    window = rng.normal(0, 0.001, (100, 6))
    window[:, 2] += 1
    window[::7, 0] = STEP  # one axis flickers
    still = coarse(window)
    assert flags_of(still) == ("stuck:acc_y", "stuck:acc_z")
    assert flags_of(still, STEP) == ()
    frozen = coarse(motion(100))
    frozen[:, 1] = 0.5
    assert flags_of(frozen, STEP) == ("stuck:acc_y",)
    still[:, 0] = 0
    assert flags_of(still, STEP) == ("stuck:acc_x", "stuck:acc_y", "stuck:acc_z")


def test_a_step_of_an_unknown_channel_is_refused():
    with pytest.raises(DataError, match="sensor_step of 'acc_w'"):
        QualityCheck(preprocess_config(), StreamSettings(sensor_step={"acc_w": STEP}))
