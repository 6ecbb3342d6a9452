"""The synthetic animal obeys mechanics: one rotation for all sensors, gravity, gaits at their rhythm, free fall."""

import numpy as np
import pytest

from fsq_edge.data import cut_windows
from fsq_edge.data.gait import BEHAVIOURS, NAMES, G, leap
from fsq_edge.data.quadruped import SAMPLE_RATE_HZ, make_quadruped
from fsq_edge_runtime.errors import UsageError


@pytest.fixture(scope="module")
def herd():
    return make_quadruped(seed=1, animals=4, seconds=120)


@pytest.fixture(scope="module")
def windows(herd):
    index = cut_windows(herd, 200, 100)
    cube = index.gather()
    return {name: cube[index.label == number] for number, name in enumerate(NAMES)}


def test_it_always_says_that_it_is_synthetic(herd):
    assert herd.name == "quadruped-synthetic"
    assert herd.source.startswith("synthetic")
    assert [channel.unit for channel in herd.channels] == ["m/s2"] * 3 + ["rad/s"] * 3 + ["uT"] * 3
    assert herd.mirror is None
    assert herd.classes == NAMES


def test_equal_seeds_give_equal_data_and_more_animals_change_none(herd):
    again = make_quadruped(seed=1, animals=5, seconds=120)
    for mine, theirs in zip(herd.recordings, again.recordings, strict=False):
        np.testing.assert_array_equal(mine.samples, theirs.samples)
        np.testing.assert_array_equal(mine.labels, theirs.labels)
    assert not np.array_equal(make_quadruped(2, 1, 10).recordings[0].samples, herd.recordings[0].samples[:1000])


def test_behaviour_changes_within_a_recording_and_all_ten_take_part(herd, windows):
    for recording in herd.recordings:
        assert np.count_nonzero(np.diff(recording.labels)) >= 8
    assert all(len(cube) >= 10 for cube in windows.values())
    for recording in herd.recordings:
        at = np.flatnonzero(np.diff(recording.labels))
        for before, after in zip(recording.labels[at], recording.labels[at + 1], strict=True):
            assert NAMES[after] in BEHAVIOURS[before].next_names


def test_the_field_turns_as_the_gyroscope_says(herd):
    """The derivative of a world vector seen from the trunk is its cross product with the angular rate."""
    for recording in herd.recordings[::2]:
        smooth = np.hanning(9) / np.hanning(9).sum()
        rate, field = (
            np.stack([np.convolve(recording.samples[:, c], smooth, "valid") for c in columns], axis=1)
            for columns in ((3, 4, 5), (6, 7, 8))
        )
        expected = np.cross(field, rate)
        seen = np.gradient(field, axis=0) * SAMPLE_RATE_HZ
        # Hard iron does not turn with the trunk, so the fit is close but not exact.
        assert np.corrcoef(expected.ravel(), seen.ravel())[0, 1] > 0.85
        assert 0.8 < (expected * seen).sum() / (expected**2).sum() < 1.2


def test_gravity_and_posture(windows):
    for name in ("stand", "sit", "lie"):
        norm = np.linalg.norm(windows[name][:, :3].mean(axis=2), axis=1)
        assert abs(np.median(norm) - G) < 0.4
    tilt = {name: np.degrees(np.arcsin(windows[name][:, 0].mean() / G)) for name in ("stand", "sit", "eat")}
    assert tilt["sit"] > 25
    assert tilt["eat"] < -12
    assert abs(tilt["stand"]) < 12


def test_turning(windows):
    left, right = (windows[name][:, 5].mean(axis=1) for name in ("turn_left", "turn_right"))
    assert (left > 0.3).mean() > 0.95
    assert (right < -0.3).mean() > 0.95


@pytest.mark.parametrize(("name", "harmonic"), [("walk", 2), ("trot", 2), ("run", 1)])
def test_gaits_have_their_rhythm(windows, name, harmonic):
    vertical = windows[name][:, 2]
    spectrum = np.abs(np.fft.rfft(vertical - vertical.mean(axis=1, keepdims=True), n=1024, axis=1))
    peak_hz = np.median(np.fft.rfftfreq(1024, 1 / SAMPLE_RATE_HZ)[spectrum.argmax(axis=1)])
    rhythm = next(behaviour.rhythm_hz for behaviour in BEHAVIOURS if behaviour.name == name)
    assert 0.7 < peak_hz / (harmonic * rhythm) < 1.4


def test_jumps_fall_freely_and_land_hard(windows):
    norm = np.linalg.norm(windows["jump"][:, :3], axis=1)
    assert np.median(norm.min(axis=1)) < 3.0
    assert np.median(norm.max(axis=1)) > 2 * G


def test_a_leap_ends_where_it_began():
    phase = np.linspace(0, 1, 100_000, endpoint=False)
    assert abs(leap(phase).mean()) < 0.02
    np.testing.assert_allclose(leap(np.array([0.5])), -G, rtol=1e-3)


def test_animals_differ(herd):
    index = cut_windows(herd, 200, 100)
    trot = index.label == NAMES.index("trot")
    cube = index.gather()
    means = [cube[trot & (index.subject == s), 2].std(axis=1).mean() for s in herd.subjects]
    assert max(means) / min(means) > 1.1


@pytest.mark.parametrize("arguments", [{"animals": 0}, {"seconds": 5}, {"seed": -1}, {"seconds": 1e9}])
def test_sizes_that_cannot_be(arguments):
    with pytest.raises(UsageError):
        make_quadruped(**arguments)
