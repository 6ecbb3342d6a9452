from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fsq_edge_calibration import (
    METHODS,
    CalibrationAudit,
    CalibrationSet,
    audit_frames,
    audit_set,
    build_calibration_set,
    compare_channels,
    describe_windows,
)
from fsq_edge_calibration.audit import CalibrationAudit as Artefact
from fsq_edge_calibration.calibration_set import input_frames
from fsq_edge_calibration.comparison import code_coverage
from fsq_edge_calibration.description import FrameDescriber
from fsq_edge_calibration.distribution import BINS, psi
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.preprocess import Preprocessor, fit_preprocess
from tests.factories.motion import make_motion

MOTION = make_motion(1500)
CODES = (MOTION.labels * 7 + np.arange(1500) % 5).astype(np.int64)
TRAINING = describe_windows(MOTION.windows, MOTION.preprocess, MOTION.labels, MOTION.subjects, CODES)


def choose(rows: np.ndarray | slice = slice(None), windows: np.ndarray = MOTION.windows, **options) -> CalibrationSet:
    return build_calibration_set(
        windows[rows],
        MOTION.labels[rows],
        MOTION.subjects[rows],
        MOTION.preprocess,
        codes=CODES[rows],
        recording_ids=MOTION.recording_ids[rows],
        starts=MOTION.starts[rows],
        **options,
    )


GOOD = choose()
FRAMES = GOOD.frames_nhwc


def judge(chosen: CalibrationSet, **options: bool) -> CalibrationAudit:
    return audit_set(chosen, TRAINING, MOTION.preprocess, **options)


def judge_frames(frames: np.ndarray) -> CalibrationAudit:
    return audit_frames(frames, TRAINING, MOTION.preprocess)


def rules(audit: CalibrationAudit, severity: str = "error") -> set[str]:
    return {finding.rule for finding in audit.findings if finding.severity == severity}


@pytest.mark.parametrize("method", METHODS)
def test_good_sets_of_256_pass_by_every_method(method: str) -> None:
    audit = judge(choose(method=method))
    assert audit.passed, audit.findings
    assert rules(audit, "warning") <= {"few-windows", "imbalance"}


def test_a_set_of_1024_passes_without_a_word() -> None:
    assert judge(choose(size=1024)).findings == ()


def noise(kind: str) -> Callable[[], np.ndarray]:
    rng = np.random.default_rng(0)
    if kind == "uniform":
        return lambda: rng.uniform(0, 1, FRAMES.shape).astype(np.float32)
    if kind == "gaussian":
        return lambda: np.clip(rng.normal(0, 1, FRAMES.shape), -5, 5).astype(np.float32)
    return lambda: np.concatenate([FRAMES[:192], noise("gaussian")()[:64]])


def by_own_statistics(axes: tuple[int, ...]) -> np.ndarray:
    frames = FRAMES.astype(np.float64)
    again = (frames - frames.mean(axis=axes, keepdims=True)) / frames.std(axis=axes, keepdims=True)
    return again.astype(np.float32)


@pytest.mark.parametrize(
    ("make", "rule", "text"),
    [
        (noise("uniform"), "noise", "100% of the windows are uniform noise in [0.0, 1.0]"),
        (noise("gaussian"), "noise", "100% of the windows are Gaussian noise"),
        (noise("mixed"), "noise", "25% of the windows are Gaussian noise"),
        (lambda: np.ascontiguousarray(GOOD.frames_nchw), "layout", "channels first (NCHW)"),
        (lambda: np.ascontiguousarray(GOOD.frames_nchw).reshape(FRAMES.shape), "layout", "reshaped"),
        (lambda: np.ascontiguousarray(FRAMES.transpose(0, 2, 1, 3)), "layout", "axes in another order"),
        (lambda: by_own_statistics((0, 1, 2)), "normalised-twice", "the set's own statistics"),
        (lambda: by_own_statistics((1, 2)), "normalised-twice", "in every single window"),
        (lambda: FRAMES.astype(np.float64), "dtype", "float64"),
        (lambda: np.round(FRAMES).astype(np.int8), "dtype", "int8"),
        (lambda: np.where(np.arange(256)[:, None, None, None] == 3, np.nan, FRAMES), "missing-values", "1 of 256"),
        (lambda: np.where(FRAMES > 4, np.inf, FRAMES).astype(np.float32) * np.inf, "missing-values", "256 of 256"),
        (lambda: np.zeros_like(FRAMES), "constant", "12 channels of 12"),
        (lambda: FRAMES * (np.arange(12) != 4).astype(np.float32), "constant", "1 channel of 12"),
        (lambda: FRAMES.reshape(256, 100, 12), "rank", "3 dimensions"),
        (lambda: FRAMES[:, :, :49], "shape", "expected (N, 2, 50, 12)"),
        (lambda: FRAMES[:0], "count", "0 windows"),
        (lambda: FRAMES * 3, "beyond-clip", "beyond the clip of 5 sigma"),
        (lambda: FRAMES / 4, "range", "of the training range"),
        (lambda: (FRAMES - FRAMES.min()) / np.ptp(FRAMES), "out-of-domain", "mean PSI"),
    ],
)
def test_each_defect_is_refused_by_name(make: Callable[[], np.ndarray], rule: str, text: str) -> None:
    audit = judge_frames(make())
    assert not audit.passed
    assert any(text in finding.message for finding in audit.errors if finding.rule == rule), audit.findings


def test_missing_normalisation_is_told_from_doubled() -> None:
    config = MOTION.preprocess
    mean, std = np.asarray(config.mean, np.float32), np.asarray(config.std, np.float32)
    missing = judge_frames(FRAMES * std + mean)
    assert "not-normalised" in rules(missing)
    twice = judge(choose(windows=(MOTION.windows - mean[:6, None]) / std[:6, None]))
    assert "normalised-twice" in rules(twice)
    assert "normalised-twice" not in rules(missing)
    assert "not-normalised" not in rules(twice)


def test_doubled_normalisation_is_named_where_a_channel_is_driven_into_the_clip() -> None:
    windows = MOTION.windows * np.float32(9.81)  # m/s2: gravity is far from 0
    config = fit_preprocess(windows, MOTION.preprocess)
    training = describe_windows(windows, config, MOTION.labels, MOTION.subjects)
    mean, std = np.asarray(config.mean, np.float32), np.asarray(config.std, np.float32)
    frames = build_calibration_set(windows, MOTION.labels, MOTION.subjects, config).frames_nhwc
    audit = audit_frames(np.clip((frames - mean) / std, -5, 5), training, config)
    assert audit.errors[0].rule == "normalised-twice"
    assert "constant" in rules(audit)


def test_one_subject_is_refused_and_named() -> None:
    audit = judge(choose(MOTION.subjects == "s3"))
    assert rules(audit) == {"one-subject"}
    assert "subject s3, training has 5" in audit.errors[0].message


def test_classes_that_do_not_occur_are_named() -> None:
    missing = next(finding for finding in judge(choose(MOTION.labels == 2)).findings if finding.rule == "missing-class")
    assert "3 of 4 classes do not occur: 0, 1, 3" in missing.message


def test_small_sets_need_leave() -> None:
    small = choose(size=32)
    assert rules(judge(small)) == {"count"}
    allowed = judge(small, allow_small=True)
    assert allowed.passed
    assert "count" in rules(allowed, "warning")
    few = next(finding for finding in judge(GOOD).findings if finding.rule == "few-windows")
    assert "optimisation level to 0" in few.message


def test_other_preprocessing_is_refused() -> None:
    other = MOTION.preprocess.model_copy(update={"hop_samples": 25})
    assert "preprocess" in rules(audit_set(GOOD, TRAINING, other))


def test_duplicates_imbalance_codes_and_pace_are_flagged() -> None:
    assert "duplicates" in rules(judge_frames(np.repeat(FRAMES[:64], 4, axis=0)), "warning")
    rare = np.flatnonzero(MOTION.labels == 0)[:8]
    uneven = choose(np.r_[rare, np.flatnonzero(MOTION.labels != 0)], method="random", size=1024)
    assert "imbalance" in rules(judge(uneven), "warning")
    assert "codes" in rules(judge(choose(CODES % 7 < 3)), "warning")
    assert "autocorrelation" not in rules(judge(GOOD), "warning")
    twice_as_fast = MOTION.windows[:, :, np.r_[0:100:2, 99:0:-2]]
    assert "autocorrelation" in rules(judge(choose(windows=twice_as_fast)), "warning")


def test_a_channel_that_never_moved_in_training_is_not_a_defect() -> None:
    windows = MOTION.windows.copy()
    windows[:, 5] = 0.25
    config = fit_preprocess(windows, MOTION.preprocess)
    training = describe_windows(windows, config, MOTION.labels, MOTION.subjects)
    chosen = build_calibration_set(windows, MOTION.labels, MOTION.subjects, config)
    assert audit_set(chosen, training, config).passed


def test_the_audit_survives_its_file_and_knows_its_sources() -> None:
    audit = judge(GOOD)
    again = Artefact.from_json(audit.to_json())
    assert again == audit
    assert sum(audit.recordings.values()) == 256
    assert len(audit.recordings) == 20
    assert audit.found is not None
    assert audit.found.labels == {"0": 64, "1": 64, "2": 64, "3": 64}


def test_classes_are_called_by_name_where_the_names_are_known() -> None:
    names = ("stand", "walk", "trot", "turn")
    training = describe_windows(MOTION.windows, MOTION.preprocess, MOTION.labels, MOTION.subjects, classes=names)
    audit = audit_set(choose(MOTION.labels != 2, classes=names), training, MOTION.preprocess)
    assert "1 of 4 classes do not occur: trot" in next(
        finding.message for finding in audit.findings if finding.rule == "missing-class"
    )


def test_distributions_agree_with_numpy() -> None:
    frames = Preprocessor(MOTION.preprocess).frames(MOTION.windows).reshape(1500, 12, 100)
    assert TRAINING.n_windows == 1500
    for row, channel in enumerate(TRAINING.channels):
        values = frames[:, row]
        assert channel.low == pytest.approx(values.min())
        assert channel.high == pytest.approx(values.max())
        assert channel.mean == pytest.approx(values.mean(), abs=1e-4)
        assert channel.std == pytest.approx(values.std(), abs=1e-3)
        assert sum(channel.counts) == values.size
    shares = (0.01, 0.5, 0.99)
    wanted = np.quantile(frames.transpose(1, 0, 2).reshape(12, -1), shares, axis=1).T
    assert np.abs(TRAINING.quantiles(shares) - wanted).max() < 10 / BINS
    series = frames[:, 0] - frames[:, 0].mean(axis=1, keepdims=True)
    assert TRAINING.channels[0].lag1 == pytest.approx(
        (series[:, 1:] * series[:, :-1]).sum() / (series**2).sum(), abs=1e-4
    )


def test_chunks_do_not_change_a_description() -> None:
    frames = np.ascontiguousarray(GOOD.frames_nchw)
    whole, parts = (FrameDescriber(GOOD.channel_names, 5.0) for _ in range(2))
    whole.add(frames)
    for first in range(0, 256, 50):
        parts.add(frames[first : first + 50])
    a, b = whole.distribution(), parts.distribution()
    assert [channel.counts for channel in a.channels] == [channel.counts for channel in b.channels]
    assert a.noise_share == b.noise_share
    assert [channel.lag1 for channel in a.channels] == pytest.approx([channel.lag1 for channel in b.channels])


def test_psi_is_nought_for_the_same_and_large_for_another() -> None:
    rng = np.random.default_rng(0)

    def histogram(mean: float, count: int = 20_000) -> list[int]:
        return np.histogram(rng.normal(mean, 1, count), bins=BINS, range=(-5, 5))[0].tolist()

    assert psi(histogram(0), histogram(0)) < 0.01
    assert 0.1 < psi(histogram(0), histogram(0.5)) < 0.5
    assert psi(histogram(0), histogram(2)) > 1
    still = [0] * 100 + [500] + [0] * 99
    assert psi(still, still) == 0.0


def test_two_sets_are_compared_channel_by_channel() -> None:
    assert judge(GOOD).found is not None
    one, other = judge(GOOD).found, judge(choose(MOTION.labels == 1)).found
    assert one is not None
    assert other is not None
    same = compare_channels(one, one)
    assert {row.psi for row in same} == {0.0}
    assert {row.quantile_shift for row in same} == {0.0}
    assert max(row.psi for row in compare_channels(one, other)) > 0.25
    assert code_coverage(one, one) == pytest.approx(1.0)
    assert code_coverage(one, other) == pytest.approx(0.25, abs=0.05)
    changed = one.model_copy(update={"clip_sigma": 3.0})
    with pytest.raises(DataError, match="same preprocessing"):
        compare_channels(one, changed)


def test_the_dict_form_holds_the_same_windows_for_every_input() -> None:
    form = input_frames({"net/input_layer1": GOOD, "net/input_layer2": GOOD})
    assert list(form) == ["net/input_layer1", "net/input_layer2"]
    assert form["net/input_layer1"].shape == (256, 2, 50, 12)
    with pytest.raises(DataError, match="other windows"):
        input_frames({"net/input_layer1": GOOD, "net/input_layer2": choose(seed=5)})
    with pytest.raises(DataError, match="no calibration set"):
        input_frames({})
