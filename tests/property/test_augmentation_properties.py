"""Augmentation keeps labels, units and geometry."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge.data import Channel
from fsq_edge.data.triads import find_triads
from fsq_edge.training.augmentation import Augmenter, Draws, draw, rotation_matrices, sample_positions
from fsq_edge.training.config import AugmentationSection
from fsq_edge.training.feed import read_at

NINE = tuple(
    Channel(f"{sensor}_{axis}", unit)
    for sensor, unit in (("acc", "g"), ("gyro", "rad/s"), ("mag", "uT"))
    for axis in "xyz"
)
MIRROR = (-1, 1, 1, 1, -1, -1, -1, 1, 1)
NOTHING = AugmentationSection(shift=0, warp=1, rotation_degrees=0, amplitude=0, mirror=0)
T = 100

seeds = st.integers(0, 2**31)
few = settings(max_examples=25, deadline=None, derandomize=True)


def windows(seed: int, n: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 9, T)).astype(np.float32)


def drawn(seed: int, n: int = 8, **section: float) -> Draws:
    return draw(NOTHING.model_copy(update=section), n, T, np.random.default_rng(seed))


@given(seeds)
@few
def test_nothing_configured_changes_nothing(seed):
    x = windows(seed)
    np.testing.assert_allclose(Augmenter(NINE, MIRROR).apply(x.copy(), drawn(seed)), x, atol=1e-6)


@given(seeds, st.floats(1, 180))
@few
def test_one_proper_rotation_turns_all_triads_and_keeps_norms(seed, degrees):
    x, draws = windows(seed), drawn(seed, rotation_degrees=degrees)
    turned = Augmenter(NINE, None).apply(x.copy(), draws)
    np.testing.assert_allclose(np.linalg.det(draws.rotation), 1.0, atol=1e-5)
    for first in (0, 3, 6):
        before, after = x[:, first : first + 3], turned[:, first : first + 3]
        np.testing.assert_allclose(np.linalg.norm(after, axis=1), np.linalg.norm(before, axis=1), atol=1e-4)
        np.testing.assert_allclose(after, draws.rotation @ before, atol=1e-5)
    # Angles between sensors are physical: they survive only if all turn alike.
    np.testing.assert_allclose(
        np.einsum("nct,nct->nt", turned[:, :3], turned[:, 3:6]),
        np.einsum("nct,nct->nt", x[:, :3], x[:, 3:6]),
        atol=1e-3,
    )


def test_rotation_matrix_turns_by_its_angle_about_its_axis():
    quarter = rotation_matrices(np.array([[0.0, 0.0, 2.0]]), np.array([np.pi / 2]))
    np.testing.assert_allclose(quarter[0] @ np.array([1.0, 0.0, 0.0]), [0.0, 1.0, 0.0], atol=1e-6)


@given(seeds)
@few
def test_mirror_is_an_involution_with_the_declared_signs(seed):
    x, augmenter = windows(seed), Augmenter(NINE, MIRROR)
    draws = replace(drawn(seed), mirrored=np.ones(8, bool))
    once = augmenter.apply(x.copy(), draws)
    np.testing.assert_allclose(once, x * np.array(MIRROR, np.float32)[:, None], atol=1e-6)
    np.testing.assert_allclose(augmenter.apply(once.copy(), draws), x, atol=1e-6)


def test_a_reflection_of_the_world_moves_accelerometer_and_gyroscope_as_polar_and_axial_vectors():
    # omega = r x v turns into its mirror image times -1; the signs of a lateral axis must say so.
    rng = np.random.default_rng(0)
    r, v = rng.normal(size=(2, 50, 3))
    flip = np.array(MIRROR[:3])
    np.testing.assert_allclose(np.cross(r * flip, v * flip), np.cross(r, v) * np.array(MIRROR[3:6]), atol=1e-12)


def test_without_declared_signs_nothing_is_mirrored():
    x, draws = windows(0), replace(drawn(0), mirrored=np.ones(8, bool))
    np.testing.assert_allclose(Augmenter(NINE, None).apply(x.copy(), draws), x, atol=1e-6)


@given(seeds)
@few
def test_amplitude_scales_motion_and_leaves_posture_and_field(seed):
    x, draws = windows(seed), drawn(seed, amplitude=0.5)
    out = Augmenter(NINE, None).apply(x.copy(), draws)
    gain = draws.gain[:, None, None]
    np.testing.assert_allclose(out[:, :3].mean(axis=2), x[:, :3].mean(axis=2), atol=1e-5)
    np.testing.assert_allclose(out[:, :3].std(axis=2), x[:, :3].std(axis=2) * draws.gain[:, None], rtol=1e-4)
    np.testing.assert_allclose(out[:, 3:6], x[:, 3:6] * gain, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(out[:, 6:], x[:, 6:], atol=1e-6)


@given(seeds, st.floats(1.01, 2.0))
@few
def test_warp_reads_faster_and_scales_the_angular_rate_alike(seed, most):
    # One sine of 1 Hz in every channel: read at another speed it has that many times the frequency.
    rate, n = 50.0, 6
    time = np.arange(2000) / rate
    samples = np.repeat(np.sin(2 * np.pi * time)[:, None], 9, axis=1).astype(np.float32)
    draws = drawn(seed, n=n, warp=most)
    start, lowest, highest = np.full(n, 900), np.zeros(n, np.int64), np.full(n, 1999)
    positions, speed = sample_positions(start, lowest, highest, T, draws)
    np.testing.assert_allclose(np.diff(positions, axis=1), np.repeat(speed[:, None], T - 1, 1), rtol=1e-5)
    np.testing.assert_allclose(positions.mean(axis=1), 900 + (T - 1) / 2, atol=1e-3)
    assert (np.abs(np.log(speed)) <= np.log(most) + 1e-6).all()
    assert np.ptp(speed) > 0
    out = Augmenter(NINE, None).apply(read_at(samples, positions, highest), replace(draws, speed=speed))
    expected = np.sin(2 * np.pi * positions / rate)
    np.testing.assert_allclose(out[:, 0], expected, atol=0.01)
    np.testing.assert_allclose(out[:, 3], expected * speed[:, None], atol=0.02)
    np.testing.assert_allclose(out[:, 6], expected, atol=0.01)


@given(seeds, st.integers(0, 60), st.integers(0, 60), st.floats(0, 1), st.floats(1, 2))
@few
def test_positions_never_leave_the_stretch_of_one_label(seed, before, after, shift, warp):
    n = 16
    start = np.random.default_rng(seed).integers(500, 1000, size=n)
    lowest, highest = start - before, start + T - 1 + after
    positions, speed = sample_positions(start, lowest, highest, T, drawn(seed, n=n, shift=shift, warp=warp))
    assert (positions >= lowest[:, None]).all()
    assert (positions <= highest[:, None]).all()
    assert (np.diff(positions, axis=1) >= 0).all()
    assert ((positions[:, -1] - positions[:, 0]) - speed * (T - 1) < 1e-2).all()


def test_draws_follow_from_the_seed_alone_and_use_their_range():
    section = AugmentationSection()
    first, again = (draw(section, 4000, T, np.random.default_rng([3, 1])) for _ in range(2))
    for name in Draws.__slots__:
        assert np.array_equal(getattr(first, name), getattr(again, name))
    other = draw(section, 4000, T, np.random.default_rng([3, 2]))
    assert not np.array_equal(first.speed, other.speed)
    assert first.shift.min() == -25
    assert first.shift.max() == 25
    angle = np.degrees(np.arccos(np.clip((np.trace(first.rotation, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    assert np.sqrt((angle**2).mean()) == pytest.approx(12, rel=0.05)
    assert first.mirrored.mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        ([("acc_x", "g"), ("acc_y", "g"), ("acc_z", "g")], [(0, "acceleration")]),
        ([("ax", "m/s2"), ("ay", "m/s2"), ("az", "m/s2"), ("gx", "deg/s"), ("gy", "deg/s"), ("gz", "deg/s")],
         [(0, "acceleration"), (3, "rate")]),
        ([("temp", "C"), ("gyro.x", "?"), ("gyro.y", "?"), ("gyro.z", "?")], [(1, "rate")]),
        ([("acc_x", "g"), ("acc_z", "g"), ("acc_y", "g")], []),
        ([("acc_x", "g"), ("acc_y", "g"), ("gyro_x", "rad/s")], []),
        ([("a", "V"), ("b", "V"), ("c", "V")], []),
        ([("x-acc", "g"), ("y-acc", "g"), ("z-acc", "g"), ("GyrX_left", "°/s"), ("GyrY_left", "°/s"),
          ("GyrZ_left", "°/s")], [(0, "acceleration"), (3, "rate")]),
        ([("acc_1", "g"), ("acc_2", "g"), ("acc_3", "g")], []),  # may be three sensors of one axis
        ([("wrist_acc_x", "g"), ("ankle_acc_y", "g"), ("ankle_acc_z", "g")], []),
        ([("acc_x", "g"), ("acc_y", "mg"), ("acc_z", "g")], []),
    ],
)  # fmt: skip
def test_triads_are_found_by_unit_and_axis(channels, expected):
    found = find_triads([Channel(*channel) for channel in channels])
    assert [(triad.first, triad.sensor) for triad in found] == expected


def test_rates_outside_a_triad_scale_with_the_speed_too():
    x = np.ones((2, 1, T), np.float32)
    draws = replace(drawn(0, n=2), speed=np.array([1.1, 0.9], np.float32))
    out = Augmenter([Channel("gyro_z", "rad/s")], None).apply(x.copy(), draws)
    np.testing.assert_allclose(out[:, 0, 0], [1.1, 0.9], rtol=1e-6)
