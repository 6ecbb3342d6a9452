"""Coarse sensors: a still body is no fault, a stuck axis is; in recordings and in the stream."""

import numpy as np
import pytest

from fsq_edge.data import Channel, Dataset, Recording
from fsq_edge.data.quality import QualityControl, triad_runs
from fsq_edge.data.quality.triad_runs import stuck_samples, triad_step
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.stream.quality import QualityCheck
from fsq_edge_runtime.stream.settings import EXPLAINED, LIVE_STEPS, StreamSettings
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


def test_the_step_of_a_triad_is_that_of_its_live_axes():
    samples = night()
    assert triad_step(samples) == STEP
    samples[:, 1] = 0.25
    assert triad_step(samples) == STEP
    assert triad_step(np.ones((50, 3), np.float32)) == 0.0
    assert triad_step(np.full((50, 3), np.nan, np.float32)) == 0.0


@pytest.mark.parametrize("noise", [0.0, 0.25, 0.5, 1.0, 4.0])
def test_noise_is_not_taken_for_movement_and_a_dead_axis_is_found_beside_movement(noise):
    rng = np.random.default_rng(0)
    still = np.round(rng.uniform(-9, 9, 3) + rng.normal(0, noise, (4000, 3))).astype(np.float32)
    moving = still + np.round(60 * np.sin(np.arange(4000) / 50))[:, None].astype(np.float32)
    assert stuck_samples(moving, 1.0, 13).tolist() == [0, 0, 0]
    moving[1000:, 2] = moving[1000, 2]
    assert stuck_samples(moving, 1.0, 13)[2] in (3000, 3001)


def test_a_random_movement_leaves_a_live_axis_in_its_step_once_in_twenty():
    way = np.random.default_rng(0).normal(size=(100_000, 3))
    way *= LIVE_STEPS / np.linalg.norm(way, axis=1, keepdims=True)
    assert (np.abs(way[:, 0]) < 1).mean() == pytest.approx(EXPLAINED, abs=0.005)


def test_stuck_beside_a_live_axis_or_all_at_once():
    block = np.zeros((120, 3), np.float32)
    block[:20, 1] = np.arange(20) * 2 * STEP  # x and z stand while y moves by 38 steps
    block[20:40, 1] = block[19, 1] + np.arange(1, 21) % 2 * STEP  # one step of noise
    block[40:60, 0] = np.arange(1, 21) * 5 * STEP
    block[60:, :] = 1 + np.arange(60)[:, None] * STEP
    assert stuck_samples(block, STEP, 10).tolist() == [40, 20, 60]
    assert stuck_samples(np.ones((39, 3), np.float32), STEP, 10).tolist() == [0, 0, 0]
    assert stuck_samples(np.ones((40, 3), np.float32), STEP, 10).tolist() == [40, 40, 40]
    block[15, 0] = np.nan
    assert stuck_samples(block, STEP, 10).tolist() == [15, 20, 60]


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_the_border_of_blocks_changes_nothing(monkeypatch, block):
    samples = night(seconds=120)
    samples[1000:2000, 2] = samples[1000, 2]
    samples[2200:2400] = samples[2200]
    samples[2600, 1] = np.nan
    whole = stuck_samples(samples, STEP, 13).tolist()
    assert whole[2] >= 1200
    monkeypatch.setattr(triad_runs, "BLOCK", block)
    assert stuck_samples(samples, STEP, 13).tolist() == whole


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


def test_another_sensor_of_the_same_unit_says_nothing_about_this_one():
    channels = tuple((f"{place}_{axis}", "g") for place in ("ankle", "trunk") for axis in "xyz")
    check = QualityCheck(
        preprocess_config(channels),
        StreamSettings(sensor_step={name: STEP for name, _ in channels}, check_gravity=False),
    )
    window = np.concatenate([motion(100)[:, :3], np.zeros((100, 3))], axis=1)
    window[::7, 3] = STEP
    assert check.examine(np.ascontiguousarray(window.T, np.float32)) == ()
    window[:, 4] = np.linspace(0, 1, 100)
    assert check.examine(np.ascontiguousarray(window.T, np.float32)) == ("stuck:trunk_z",)


def test_a_step_of_an_unknown_channel_is_refused():
    with pytest.raises(DataError, match="sensor_step of 'acc_w'"):
        QualityCheck(preprocess_config(), StreamSettings(sensor_step={"acc_w": STEP}))
