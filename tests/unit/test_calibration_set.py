from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fsq_edge_calibration import METHODS, build_calibration_set, load_calibration_set
from fsq_edge_calibration.build import window_features
from fsq_edge_calibration.selection import k_center_order
from fsq_edge_runtime.errors import DataError, MissingInputError, UsageError
from fsq_edge_runtime.preprocess import Preprocessor
from tests.factories.motion import MotionWindows, make_motion


@pytest.fixture(scope="module")
def motion() -> MotionWindows:
    return make_motion(600)


def build(motion: MotionWindows, **options: object):
    return build_calibration_set(
        motion.windows,
        motion.labels,
        motion.subjects,
        motion.preprocess,
        recording_ids=motion.recording_ids,
        starts=motion.starts,
        **options,
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_frames_of_the_windows_it_names(motion: MotionWindows, method: str) -> None:
    chosen = build(motion, size=96, method=method, codes=motion.labels * 3)
    rows = np.searchsorted(motion.starts, chosen.starts)
    wanted = Preprocessor(motion.preprocess).frames(motion.windows[rows])
    assert len(np.unique(rows)) == 96
    assert np.array_equal(chosen.frames_nchw, wanted)
    assert np.array_equal(chosen.frames_nhwc, wanted.transpose(0, 2, 3, 1))
    assert np.array_equal(chosen.labels, motion.labels[rows])
    assert np.array_equal(chosen.codes, motion.labels[rows] * 3)
    assert chosen.preprocess_sha256 == motion.preprocess.digest()


def test_every_prefix_of_a_class_balanced_set_is_balanced(motion: MotionWindows) -> None:
    chosen = build(motion, size=64)
    for size in (4, 16, 64):
        counts = np.bincount(chosen.labels[:size], minlength=4)
        assert counts.max() - counts.min() <= 1
        by_subject = {name: int((chosen.subjects[:size] == name).sum()) for name in np.unique(motion.subjects)}
    assert min(by_subject.values()) >= 8


def test_subject_balanced_takes_turns_over_subjects(motion: MotionWindows) -> None:
    chosen = build(motion, size=100, method="subject-balanced")
    assert set(np.unique(chosen.subjects, return_counts=True)[1]) == {20}


def test_a_rare_class_gives_all_it_has_and_leaves_its_turns_to_others() -> None:
    motion = make_motion(300)
    labels = np.where(np.arange(300) < 7, 0, 1)
    chosen = build_calibration_set(motion.windows, labels, motion.subjects, motion.preprocess, size=100)
    assert np.bincount(chosen.labels).tolist() == [7, 93]


def test_coverage_by_codes_takes_every_code_before_it_repeats_one(motion: MotionWindows) -> None:
    codes = np.arange(600) % 50
    chosen = build(motion, size=50, method="coverage-codes", codes=codes)
    assert len(np.unique(chosen.codes)) == 50


def test_coverage_reaches_rare_motion_before_it_repeats_common_motion(motion: MotionWindows) -> None:
    rng = np.random.default_rng(0)
    cluster = np.r_[np.zeros(990, int), np.arange(1, 11)]
    features = (rng.normal(0, 0.1, (1000, 6)) + rng.normal(0, 3, (11, 6))[cluster]).astype(np.float32)
    assert set(cluster[k_center_order(features, 11, rng)]) == set(range(11))
    shape = window_features(motion.windows, Preprocessor(motion.preprocess)).shape
    assert shape == (600, 48)


def test_extremes_hold_the_widest_values(motion: MotionWindows) -> None:
    everything = Preprocessor(motion.preprocess).frames(motion.windows)
    chosen = build(motion, size=128, method="extremes")
    assert np.allclose(chosen.frames_nhwc.min(axis=(0, 1, 2)), everything.min(axis=(0, 2, 3)))
    assert np.allclose(chosen.frames_nhwc.max(axis=(0, 1, 2)), everything.max(axis=(0, 2, 3)))


def test_the_same_seed_gives_the_same_set_and_another_seed_another(motion: MotionWindows) -> None:
    first, again, other = build(motion, seed=1), build(motion, seed=1), build(motion, seed=2)
    assert np.array_equal(first.starts, again.starts)
    assert not np.array_equal(first.starts, other.starts)


def test_windows_with_long_gaps_are_never_chosen_and_short_ones_are_filled() -> None:
    motion = make_motion(100)
    windows = motion.windows.copy()
    windows[::2, 0, 10:60] = np.nan
    windows[1, 0, 10:12] = np.nan
    chosen = build_calibration_set(
        windows, motion.labels, motion.subjects, motion.preprocess, size=64, starts=np.arange(100)
    )
    assert chosen.n_candidates == len(chosen) == 50
    assert 1 in chosen.starts
    assert (chosen.starts % 2 == 1).all()
    assert np.isfinite(chosen.frames_nhwc).all()


def test_a_set_survives_the_file(tmp_path: Path, motion: MotionWindows) -> None:
    chosen = build(motion, size=70)
    chosen.save(tmp_path / "calibration.npz")
    chosen.save(tmp_path / "again.npz")
    chosen.save_npy(tmp_path / "calibration.npy")
    loaded = load_calibration_set(tmp_path / "calibration.npz")
    for name in ("frames_nhwc", "labels", "subjects", "recording_ids", "starts", "codes"):
        assert np.array_equal(getattr(loaded, name), getattr(chosen, name))
    assert (loaded.method, loaded.seed, loaded.preprocess_sha256) == ("class-balanced", 0, chosen.preprocess_sha256)
    assert (tmp_path / "calibration.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    plain = np.load(tmp_path / "calibration.npy")
    assert (plain.dtype, plain.shape) == (np.float32, (70, 2, 50, 12))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.npz", "calibration.npy", "calibration.npz"]


def test_bad_requests_and_files_are_named(tmp_path: Path, motion: MotionWindows) -> None:
    with pytest.raises(UsageError, match="4096"):
        build(motion, size=5000)
    with pytest.raises(UsageError, match="unknown selection method"):
        build(motion, method="noise")
    with pytest.raises(UsageError, match="FSQ code"):
        build(motion, method="coverage-codes")
    with pytest.raises(DataError, match="labels has shape"):
        build_calibration_set(motion.windows, motion.labels[:-1], motion.subjects, motion.preprocess)
    with pytest.raises(DataError, match="no window is usable"):
        build_calibration_set(np.full_like(motion.windows, np.nan), motion.labels, motion.subjects, motion.preprocess)
    with pytest.raises(MissingInputError):
        load_calibration_set(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("not a zip")
    with pytest.raises(DataError, match="not a calibration set"):
        load_calibration_set(tmp_path / "text.npz")
    np.savez(tmp_path / "foreign.npz", frames=np.zeros((3, 2, 50, 12), np.float32))
    with pytest.raises(DataError, match="not a calibration set"):
        load_calibration_set(tmp_path / "foreign.npz")
