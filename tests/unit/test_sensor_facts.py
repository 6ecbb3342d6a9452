"""What is known of sensors and rate: kept in the dataset folder, carried into the stream's settings."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fsq_edge.data import Channel, Dataset, open_dataset, write_folder
from fsq_edge.data.quality import DataQualityMonitor
from fsq_edge.data.sensors import SensorFacts, common_facts
from fsq_edge.deploy.build import sensor_settings
from fsq_edge.training.assembly import draft_preprocess
from fsq_edge.training.config import TrainConfig
from fsq_edge_runtime.errors import DataError
from tests.factories.loggers import still_and_moving
from tests.factories.recordings import make_dataset, make_recording

COARSE = SensorFacts(step=1 / 64, full_scale=8.0)
FINE = SensorFacts(step=1e-4)


def test_the_folder_keeps_them_and_says_nothing_where_nothing_is_known(tmp_path):
    plain = make_dataset()
    known = replace(plain, sensors={"acc_x": COARSE, "gyro_x": FINE}, measured_rate_hz=48.9)
    write_folder(plain, tmp_path / "plain")
    write_folder(known, tmp_path / "known")
    assert not {"sensors", "measured_rate_hz"} & set(json.loads((tmp_path / "plain" / "dataset.json").read_text()))
    read = open_dataset(f"folder:{tmp_path / 'known'}")
    assert read.sensors == known.sensors
    assert read.measured_rate_hz == 48.9
    assert open_dataset(f"folder:{tmp_path / 'plain'}").sensors == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sensors": {"acc_w": {"step": 0.1}}}, "names 'acc_w', which is no channel"),
        ({"sensors": {"acc_x": {"step": 0}}}, "sensors.acc_x.step"),
        ({"sensors": {"acc_x": {"rank": 1}}}, "sensors.acc_x.rank"),
        ({"measured_rate_hz": -1.0}, "measured_rate_hz"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, change, words):
    write_folder(make_dataset(), tmp_path / "d")
    path = tmp_path / "d" / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=words):
        open_dataset(f"folder:{tmp_path / 'd'}")


@pytest.mark.parametrize(("measured", "rate"), [(None, 50.0), (50.1, 50.0), (48.9, 48.9), (51.2, 51.2)])
def test_training_takes_the_measured_rate_where_it_is_off(measured, rate):
    dataset = replace(make_dataset(), measured_rate_hz=measured)
    assert dataset.true_rate_hz == rate
    assert draft_preprocess(dataset, TrainConfig(), 100, 50).sample_rate_hz == rate


def test_axes_of_a_triad_get_their_step_and_range_in_the_stream():
    channels = (*(Channel(f"acc_{axis}", "g") for axis in "xyz"), Channel("pressure", "hPa"))
    sensors = {"acc_x": COARSE, "acc_y": FINE, "pressure": FINE}
    dataset = make_dataset([make_recording(channels=4)], channels=channels)
    settings = sensor_settings(replace(dataset, sensors=sensors))
    assert settings.sensor_step == {"acc_x": 1 / 64, "acc_y": 1e-4}
    assert settings.full_scale == {"acc_x": 8 - 1 / 64}
    assert sensor_settings(replace(dataset, sensors={"pressure": FINE})) is None
    assert sensor_settings(dataset) is None


def test_facts_of_several_recordings_are_their_median():
    three = [{"a": SensorFacts(step, scale)} for step, scale in ((1.0, 2.0), (1.0, None), (9.0, 4.0))]
    assert common_facts([*three, {"b": SensorFacts()}]) == {"a": SensorFacts(1.0, 4.0), "b": SensorFacts()}


def test_a_gap_that_begins_at_rest_is_idle_sleep():
    rng = np.random.default_rng(0)
    times = np.arange(3000) / 50.0
    times[1000:] += 20.0  # in movement
    times[2000:] += 60.0  # at rest
    samples = still_and_moving(3000, rate_hz=50.0)
    samples[1900:2000] = np.array([0, 0, 1]) + rng.normal(0, 0.004, (100, 3))
    recording = replace(make_recording(n=3000, timestamps=times), samples=samples)
    channels = tuple(Channel(f"acc_{axis}", "g") for axis in "xyz")
    monitor = DataQualityMonitor()
    metrics = monitor.analyze(Dataset("idle", channels, 50.0, ("rest",), (recording,)))
    assert (metrics.timing.n_gaps, metrics.timing.n_idle) == (2, 1)
    assert metrics.timing.idle_seconds == pytest.approx(60.02)
    (finding,) = [finding for finding in monitor.findings(metrics) if finding.rule == "idle"]
    assert finding.severity == "warning"
