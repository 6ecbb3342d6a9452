"""Frames that are training windows are recognised, whatever their order and last bits."""

from __future__ import annotations

import numpy as np

from fsq_edge_calibration import build_calibration_set
from fsq_edge_calibration.recognition import recognize_windows
from fsq_edge_runtime.preprocess import Preprocessor
from tests.factories.motion import make_motion

MOTION = make_motion(2500)
PREPROCESSOR = Preprocessor(MOTION.preprocess)


def recognised(frames: np.ndarray, windows: np.ndarray = MOTION.windows) -> np.ndarray:
    return recognize_windows(frames.astype(np.float32), windows, PREPROCESSOR)


def test_each_window_is_found_in_its_place() -> None:
    rows = np.random.default_rng(0).permutation(2500)[:300]
    frames = PREPROCESSOR.frames(MOTION.windows[rows]).transpose(0, 2, 3, 1)
    assert np.array_equal(recognised(frames), rows)
    assert np.array_equal(recognised(frames * 1.00001), rows)


def test_other_frames_are_not_found() -> None:
    chosen = build_calibration_set(
        MOTION.windows, MOTION.labels, MOTION.subjects, MOTION.preprocess, size=64
    ).frames_nhwc
    assert (recognised(chosen) >= 0).all()
    others = (np.random.default_rng(0).normal(size=chosen.shape), chosen * 1.1, chosen[..., ::-1], chosen * np.nan)
    assert all((recognised(other) == -1).all() for other in others)
    assert recognised(chosen[:0]).shape == (0,)


def test_windows_with_long_gaps_are_nobodys() -> None:
    windows = MOTION.windows[:100].copy()
    windows[:50, :, 20:80] = np.nan
    frames = PREPROCESSOR.frames(MOTION.windows[:100]).transpose(0, 2, 3, 1)
    assert np.array_equal(recognised(frames, windows), np.r_[np.full(50, -1), np.arange(50, 100)])
