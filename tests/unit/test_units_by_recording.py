"""Units are judged per recording: a few recordings in another unit do not move the median of all."""

from dataclasses import replace

import numpy as np
import pytest

from fsq_edge.data.quality import QualityControl
from fsq_edge.data.recording import Channel, Dataset, Recording

CHANNELS = tuple(Channel(f"{s}_{a}", u) for s, u in (("acc", "g"), ("gyro", "rad/s")) for a in "xyz")


def recordings(count: int, seconds: int = 20) -> list[Recording]:
    made = []
    for number in range(count):
        rng = np.random.default_rng(number)
        samples = rng.normal(0, [0.2, 0.2, 0.2, 0.6, 0.6, 0.6], (50 * seconds, 6)) + np.array([0.1, 0.2, 0.95, 0, 0, 0])
        labels = np.zeros(len(samples), np.int16)
        made.append(Recording(f"dog{number:02d}", samples.astype(np.float32), labels, f"dog{number:02d}", "1"))
    return made


def verdict(made: list[Recording]) -> tuple[bool, list[str]]:
    dataset = Dataset("pack", CHANNELS, 50.0, ("walk",), tuple(made))
    report = QualityControl().validate_dataset(dataset)
    return report.passed, [line.message for line in report.findings if line.rule == "unit"]


def scaled(recording: Recording, channels: slice, factor: float) -> Recording:
    samples = recording.samples.copy()
    samples[:, channels] *= factor
    return replace(recording, samples=samples)


def test_recordings_in_one_unit_pass():
    assert verdict(recordings(8)) == (True, [])


@pytest.mark.parametrize("count", [1, 5, 19])
def test_recordings_in_metres_per_second_squared_among_recordings_in_g_are_named(count):
    made = recordings(20)
    made[:count] = [scaled(one, slice(0, 3), 9.80665) for one in made[:count]]
    passed, said = verdict(made)
    assert not passed
    assert any(f"{count} of 20 recordings (dog00" in line and "look like m/s2" in line for line in said)


def test_a_gyroscope_in_degrees_in_one_recording_is_named():
    made = recordings(6)
    made[3] = scaled(made[3], slice(3, 6), np.degrees(1))
    passed, said = verdict(made)
    assert not passed
    assert any("1 of 6 recordings (dog03)" in line and "look like deg/s" in line for line in said)


def test_all_recordings_in_another_unit_are_one_finding():
    passed, said = verdict([scaled(one, slice(0, 3), 9.80665) for one in recordings(4)])
    assert not passed
    assert len(said) == 1
    assert "recordings" not in said[0]


def test_a_wearer_at_rest_and_one_who_runs_are_in_their_unit():
    made = recordings(6)
    made[0] = replace(
        made[0], samples=np.tile([0.0, 0, 1, 0, 0, 0], (1000, 1)).astype(np.float32) + 1e-3 * made[0].samples
    )
    made[1] = scaled(made[1], slice(0, 3), 1.8)
    assert not [line for line in verdict(made)[1] if "recordings" in line]
