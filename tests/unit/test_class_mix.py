"""A set may hold the training classes in other shares than the training split: that is no defect."""

from __future__ import annotations

import numpy as np
import pytest

from fsq_edge_calibration import (
    METHODS,
    CalibrationAudit,
    audit_frames,
    audit_set,
    build_calibration_set,
    describe_windows,
)
from fsq_edge_calibration.class_mix import remixed
from fsq_edge_calibration.distribution import bin_groups
from fsq_edge_runtime.preprocess import fit_preprocess
from tests.factories.motion import make_motion

MOTION = make_motion(4000)
GRAVITY = np.array([0, 0, 1, 0, 0, 0], np.float32)[:, None]


def mostly_standing(share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows, labels and subjects of which ``share`` stand, with nothing but the sensor's own noise."""
    rng = np.random.default_rng(0)
    windows = MOTION.windows.copy()
    still = MOTION.labels == 0
    posture = GRAVITY + 0.3 * (windows[still].mean(axis=2, keepdims=True) - GRAVITY)
    windows[still] = posture + 0.01 * rng.normal(size=windows[still].shape)
    standing, moving = np.flatnonzero(still), np.flatnonzero(~still)
    count = int(len(standing) * (1 - share) / share)
    rows = np.r_[standing, moving[:count]]
    return windows[rows], MOTION.labels[rows], MOTION.subjects[rows]


WINDOWS, LABELS, SUBJECTS = mostly_standing(0.8)
CONFIG = fit_preprocess(WINDOWS, MOTION.preprocess)
TRAINING = describe_windows(WINDOWS, CONFIG, LABELS, SUBJECTS)
GOOD = build_calibration_set(WINDOWS, LABELS, SUBJECTS, CONFIG, size=256)


def judge(frames: np.ndarray) -> CalibrationAudit:
    return audit_frames(frames.astype(np.float32), TRAINING, CONFIG)


def refused(audit: CalibrationAudit) -> set[str]:
    return {finding.rule for finding in audit.errors}


@pytest.mark.parametrize("method", [method for method in METHODS if method != "coverage-codes"])
def test_every_method_makes_sound_sets_of_uneven_classes(method: str) -> None:
    chosen = build_calibration_set(WINDOWS, LABELS, SUBJECTS, CONFIG, size=256, method=method)
    audit = audit_set(chosen, TRAINING, CONFIG)
    assert audit.passed, audit.findings


def test_the_classes_do_not_excuse_a_defect() -> None:
    frames, rng = GOOD.frames_nhwc, np.random.default_rng(1)
    mean, std = np.asarray(CONFIG.mean), np.asarray(CONFIG.std)
    assert "noise" in refused(judge(rng.uniform(0, 1, frames.shape)))
    spread = frames.reshape(-1, 12)
    assert "noise" in refused(judge(rng.normal(spread.mean(axis=0), spread.std(axis=0), frames.shape)))
    assert "out-of-domain" in refused(judge(frames / 2))
    assert "not-normalised" in refused(judge(frames * std + mean))
    assert "normalised-twice" in refused(judge(np.clip((frames - mean) / std, -5, 5)))


def test_the_mix_of_a_set_is_found_again() -> None:
    walking = build_calibration_set(WINDOWS[LABELS == 2], LABELS[LABELS == 2], SUBJECTS[LABELS == 2], CONFIG, size=256)
    alone = describe_windows(WINDOWS[LABELS == 2], CONFIG, LABELS[LABELS == 2], SUBJECTS[LABELS == 2])
    found = audit_set(walking, TRAINING, CONFIG).found
    assert found is not None
    mixed = remixed(TRAINING, found)
    for row, channel in enumerate(mixed.channels):
        assert channel.lag1 == pytest.approx(alone.channels[row].lag1, abs=0.02)
    assert mixed.noise_share < 0.05 < TRAINING.noise_share
    assert remixed(alone, found) is alone


def test_groups_of_bins_hold_a_twentieth_each() -> None:
    groups = bin_groups([1] * 200)
    assert np.array_equal(np.bincount(groups), [10] * 20)
    assert bin_groups([0, 1000, 0]).tolist() == [0, 9, 19]
