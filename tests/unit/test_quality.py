"""Every defect is found where it is, healthy data are not blamed, and the score falls with each."""

import json
from itertools import pairwise

import numpy as np
import pytest

from fsq_edge.data import Channel, Dataset, Recording, cut_windows, open_dataset
from fsq_edge.data.quality import DataQualityMonitor, QualityControl, QualityThresholds, quality_findings
from fsq_edge.data.quality.timing import TimingCounter
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig, Preprocessor, fit_preprocess
from tests.factories.defects import CHANNELS, DEFECTS, periodic, with_dead_channel, with_inf, with_nan


def monitor(**kwargs):
    return DataQualityMonitor(channels=CHANNELS, sample_rate_hz=100.0, **kwargs)


def rules(metrics, thresholds=None):
    return {(finding.rule, finding.where) for finding in quality_findings(metrics, thresholds or QualityThresholds())}


def test_metrics_agree_with_numpy_on_channels_of_different_scale():
    x = periodic() * np.array([1, 10, 100, 1e3, 1e-3, 1])[:, None].astype(np.float32)
    metrics = monitor().analyze(x, "scaled")
    for c, channel in enumerate(metrics.channels):
        flat = x[:, c].astype(np.float64)
        for name, expected in (("mean", flat.mean()), ("std", flat.std()), ("min", flat.min()), ("max", flat.max())):
            assert getattr(channel, name) == pytest.approx(expected, rel=1e-6, abs=1e-9), name
    assert metrics.mean == pytest.approx(x.astype(np.float64).mean())
    assert metrics.std == pytest.approx(x.astype(np.float64).std())


def test_moments_survive_a_large_offset():
    x = (periodic() * 0.01 + 1000).astype(np.float32)
    channel = monitor().analyze(x).channels[3]
    assert channel.std == pytest.approx(x[:, 3].astype(np.float64).std(), rel=1e-4)


def test_missing_values_are_counted_by_channel_and_kind():
    metrics = monitor().analyze(with_inf(with_nan(periodic())), "holes")
    assert metrics.nan_by_channel == (0, 4, 0, 0, 0, 0)
    assert metrics.inf_by_channel == (0, 0, 0, 0, 2, 0)
    assert metrics["nan_count"] == 4
    assert metrics["nan_percentage"] == pytest.approx(100 * 4 / (40 * 6 * 200))
    assert metrics.channels[1].longest_gap == 4
    assert (metrics.windows_affected, metrics.windows_lost) == (2, 0)
    assert np.isfinite([metrics.mean, metrics.std, metrics.min, metrics.max]).all()
    assert (metrics.requires_correction, metrics.recommended_strategy) == (True, "interpolate")


@pytest.mark.parametrize("defect", DEFECTS)
def test_the_score_falls_with_each_defect(defect):
    healthy = monitor().analyze(periodic()).quality_score
    assert healthy == 100
    assert monitor().analyze(DEFECTS[defect](periodic())).quality_score < healthy - 0.1


def test_the_score_falls_further_with_every_further_defect():
    x, scores = periodic(), [100.0]
    for defect in DEFECTS.values():
        x = defect(x)
        scores.append(monitor().analyze(x).quality_score)
    assert all(later < earlier for earlier, later in pairwise(scores))


def test_a_dead_sensor_never_scores_above_a_live_one():
    live, dead = periodic(), np.zeros_like(periodic())
    assert monitor().analyze(live).quality_score == 100
    assert monitor().analyze(dead).quality_score == 0
    assert [channel.score for channel in monitor().analyze(with_dead_channel(live)).channels] == [0] + [100] * 5


@pytest.mark.parametrize(
    ("defect", "expected"),
    [
        ("nan", {("nan", "acc_y")}),
        ("inf", {("inf", "gyro_y")}),
        ("long gap", {(rule, c.name) for c in CHANNELS for rule in ("nan", "gap")}),
        ("flatline", {("flat", "acc_z")}),
        ("clipping", {("saturated", "gyro_x")}),
        ("dead channel", {("dead", "acc_x")}),
    ],
)
def test_every_defect_is_named_with_its_channel_and_nothing_else_is(defect, expected):
    assert rules(monitor().analyze(DEFECTS[defect](periodic()))) == expected


def test_clean_periodic_movement_passes():
    x = periodic(noise=0.0)
    lag_one = np.corrcoef(x[0, 0, 1:], x[0, 0, :-1])[0, 1]
    assert lag_one > 0.99
    report = QualityControl(strict_mode=True, channels=CHANNELS).validate_input_tensor(x)
    assert report.passed, report.warnings


@pytest.mark.parametrize("source", ["watch", "quadruped"])
def test_real_and_synthetic_healthy_data_pass_strictly(source):
    dataset = open_dataset(source)
    metrics = DataQualityMonitor().analyze(dataset)
    assert rules(metrics) == set()
    assert metrics.quality_score > 99.9
    assert QualityControl(strict_mode=True).validate_dataset(dataset).passed
    control = QualityControl(strict_mode=True, channels=dataset.channels, sample_rate_hz=dataset.sample_rate_hz)
    windows = cut_windows(dataset.select([dataset.subjects[0]]), 100, 50).gather()
    assert control.validate_input_tensor(windows).passed


@pytest.mark.parametrize(
    ("unit", "factor", "words"),
    [
        ("g", 9.81, "look like m/s2"),
        ("m/s2", 1.0, "look like g"),
        ("g", 1000.0, "look like mg"),
        ("g", 3.5, "gravity alone would be 9.81 m/s2"),
    ],
)
def test_accelerometer_in_another_unit(unit, factor, words):
    channels = tuple(Channel(c.name, unit if c.unit == "g" else c.unit) for c in CHANNELS)
    x = periodic()
    x[:, :3] *= factor
    metrics = DataQualityMonitor(channels=channels).analyze(x)
    assert [check.verdict for check in metrics.units] == ["implausible", "plausible"]
    assert words in metrics.units[0].message
    assert metrics.quality_score <= 50


def test_acceleration_without_gravity_is_a_doubt_not_a_failure():
    x = periodic()
    x[:, 2] -= 1.0
    for unit, factor in (("g", 1.0), ("m/s2", 9.81)):
        channels = tuple(Channel(c.name, unit if c.unit == "g" else c.unit) for c in CHANNELS)
        x[:, :3] *= factor
        report = QualityControl(channels=channels).validate_input_tensor(x)
        assert report.passed
        assert "gravity seems to be removed" in report.warnings[0]


def test_gyroscope_in_another_unit():
    x = periodic()
    x[:, 3:] *= 180 / np.pi
    assert "look like deg/s" in monitor().analyze(x).units[1].message
    degrees = tuple(Channel(c.name, "deg/s" if c.unit == "rad/s" else c.unit) for c in CHANNELS)
    assert DataQualityMonitor(channels=degrees).analyze(x).units[1].verdict == "plausible"
    moving = periodic()
    moving[:, :3] *= 3.0
    assert "look like rad/s" in DataQualityMonitor(channels=degrees).analyze(moving).units[1].message


@pytest.mark.parametrize(
    ("unit", "factor", "verdict"),
    [("uT", 1, "plausible"), ("uT", 0.01, "implausible"), ("gauss", 0.01, "plausible"), ("nT", 1, "implausible")],
)
def test_magnetometer_unit(unit, factor, verdict):
    channels = tuple(Channel(f"mag_{a}", unit) for a in "xyz")
    field = np.random.default_rng(0).normal(size=(10, 3, 100)).astype(np.float32)
    field *= 48 / np.linalg.norm(field, axis=1, keepdims=True)
    assert DataQualityMonitor(channels=channels).analyze(field * factor).units[0].verdict == verdict


def recording(timestamps, samples=None, name="r"):
    n = len(timestamps)
    x = periodic(1, n)[0].T if samples is None else samples
    return Recording(name, np.ascontiguousarray(x), np.zeros(n, np.int16), "1", "", np.asarray(timestamps, float))


def test_a_sensor_in_an_unknown_unit_is_not_judged_by_its_unit():
    channels = tuple(Channel(f"acc_{a}", "V") for a in "xyz")
    assert (
        DataQualityMonitor(channels=channels).analyze(np.random.default_rng(0).standard_normal((4, 3, 50))).units == ()
    )


def test_a_data_set_is_refused_by_its_own_channels():
    samples = np.ascontiguousarray(periodic(1, 2000)[0].T)
    samples[:, 4] = 0.25
    dataset = Dataset("d", CHANNELS, 100.0, ("a",), (recording(np.arange(2000) / 100, samples),))
    report = QualityControl().validate_dataset(dataset)
    assert report.failures[0] == "gyro_y: dead, every value is 0.25"
    assert report.data_shape == (1, 2000, 6)
    with pytest.raises(DataError, match="gyro_y: dead"):
        report.require()


def timed(timestamps):
    dataset = Dataset("timed", CHANNELS, 100.0, ("a",), (recording(timestamps),))
    return DataQualityMonitor().analyze(dataset)


def test_a_true_clock_passes_with_jitter():
    times = np.arange(2000) / 100 + np.random.default_rng(0).normal(scale=0.0005, size=2000)
    metrics = timed(times)
    assert rules(metrics) == set()
    assert metrics.timing.rate_hz == pytest.approx(100, rel=1e-3)


def test_rate_drift():
    metrics = timed(np.arange(2000) / 97.0)
    assert ("rate", "") not in rules(metrics)  # steady: a fact, and a warning above 5 %
    (finding,) = quality_findings(timed(np.arange(2000) / 94.0), QualityThresholds())
    assert (finding.rule, finding.severity) == ("rate", "warning")
    assert metrics.timing.rate_drift_percentage == pytest.approx(-3, abs=0.01)
    slowing = np.cumsum(np.repeat([0.0095, 0.0105], 1000))
    assert timed(slowing).timing.drift_within_percentage == pytest.approx(-9.5, abs=0.1)
    assert timed(slowing).quality_score < 50


def test_gaps_lost_samples_and_a_clock_that_steps_back():
    times = np.arange(1000) / 100
    times[200:] += 0.5
    times[400:] += 0.02
    times[600:] -= 1.0
    times[700] = times[699]
    timing = timed(times).timing
    assert (timing.n_gaps, timing.n_lost, timing.n_backward, timing.n_duplicates) == (1, 3, 1, 1)
    assert timing.longest_gap_s == pytest.approx(0.51)
    assert {"gap", "clock"} <= {rule for rule, _ in rules(timed(times))}


def test_too_few_timestamps_say_nothing():
    counter = TimingCounter(100.0, 0.1)
    counter.feed(np.zeros(1))
    assert counter.result() is None


def test_seed_names_and_keys_work():
    thresholds = QualityThresholds(
        max_nan_percentage=5.0,
        min_signal_std=0.01,
        max_signal_std=50.0,
        expected_shape=(None, 6, 200),
        min_codebook_usage=0.2,
        min_perplexity=4.0,
    )
    control = QualityControl(thresholds=thresholds, strict_mode=False)
    validation = control.validate_input_tensor(periodic())
    assert validation["pass"] is True
    assert validation["failures"] == validation["warnings"] == ()
    assert validation.get("has_nan") is False
    report = control.generate_report(periodic())
    assert (report["overall_pass"], report["data_shape"], report["quality_score"]) == (True, (40, 6, 200), 100)
    seed = DataQualityMonitor(threshold_nan_percent=1.0, threshold_inf_percent=0.5)
    assert (seed.thresholds.max_nan_percentage, seed.thresholds.max_inf_percentage) == (1.0, 0.5)
    with pytest.raises(KeyError):
        validation["nothing"]


def test_the_seed_shape_of_a_folded_window_is_held_literally():
    folded = periodic().reshape(40, 6, 2, 100)
    fits = QualityThresholds(expected_shape=(None, 6, 2, 100))
    assert QualityControl(fits).validate_input_tensor(folded).passed
    report = QualityControl(QualityThresholds(expected_shape=(None, 9, 2, 100))).validate_input_tensor(periodic())
    assert report.failures == ("shape (40, 6, 200), expected (None, 9, 2, 100)",)


def test_strict_mode_turns_warnings_into_refusals():
    x = with_nan(periodic())
    lenient, strict = (QualityControl(strict_mode=mode).validate_input_tensor(x) for mode in (False, True))
    assert (lenient.passed, strict.passed) == (True, False)
    assert lenient.warnings == strict.warnings != ()
    lenient.require()
    with pytest.raises(DataError, match="failed the quality control: channel 1"):
        strict.require()


@pytest.mark.parametrize("std", [0.001, 200.0])
def test_a_channel_that_hardly_or_wildly_moves_fails(std):
    x = periodic()
    x[:, 3] *= std / x[:, 3].std()
    report = QualityControl(channels=CHANNELS).validate_input_tensor(x)
    assert not report.passed
    assert any("gyro_x" in failure for failure in report.failures)


def test_spread_limits_know_the_unit():
    degrees = tuple(Channel(c.name, "deg/s" if c.unit == "rad/s" else c.unit) for c in CHANNELS)
    x = periodic()
    x[:, 3:] *= 180 / np.pi  # a standard deviation of 61 degrees/s is ordinary
    assert QualityControl(channels=degrees).validate_input_tensor(x).passed


def test_torch_tensors_are_taken():
    torch = pytest.importorskip("torch", reason="the training extra is not installed")
    x = torch.from_numpy(periodic()).requires_grad_()
    assert QualityControl().validate_input_tensor(x).quality_score == 100
    assert QualityControl().validate_input_tensor(x.bfloat16()).data_shape == (40, 6, 200)


@pytest.mark.parametrize(
    "x", [np.zeros((3, 4)), np.zeros((0, 6, 100)), np.array([[["a"]]]), np.zeros(()), np.zeros((1, 2, 3, 4, 5))]
)
def test_what_is_no_window_array_is_refused(x):
    with pytest.raises(DataError):
        QualityControl().validate_input_tensor(x)


def test_declared_channels_must_fit():
    with pytest.raises(DataError, match="have 5 channels, 6 are declared"):
        monitor().analyze(periodic()[:, :5])


def test_code_book_gates():
    rng = np.random.default_rng(0)
    good = QualityControl().validate_codes(rng.integers(0, 240, 5000), 240)
    assert good["pass"]
    assert good.usage == 1.0
    assert 200 < good.perplexity <= 240
    collapsed = QualityControl().validate_codes(np.repeat([7, 9], [4990, 10]), 240)
    assert not collapsed.passed
    assert collapsed.n_used == 2
    assert collapsed.perplexity == pytest.approx(np.exp(-(0.998 * np.log(0.998) + 0.002 * np.log(0.002))))
    assert len(collapsed.failures) == 2
    few = QualityControl(strict_mode=True).validate_codes(np.arange(100), 240)
    assert (few.failures, few.passed) == ((), False)


@pytest.mark.parametrize("codes", [[], [0.5], [-1], [240]])
def test_codes_that_cannot_be(codes):
    with pytest.raises(DataError, match="codes must"):
        QualityControl().validate_codes(codes, 240)


def test_a_constant_code_has_perplexity_one():
    assert QualityControl().validate_codes(np.zeros(5000, int), 240).perplexity == 1.0


def test_nan_everywhere_is_measured_not_crashed_on():
    metrics = monitor().analyze(np.full((4, 6, 100), np.nan, np.float32))
    assert metrics.quality_score == 0
    assert metrics.recommended_strategy == "raise"
    assert ("dead", "acc_x") in rules(metrics)
    json.loads(DataQualityMonitor().generate_report("json"))


def test_dead_channels_stay_bounded_after_preprocessing():
    x = with_dead_channel(periodic(20, 100))
    draft = PreprocessConfig(
        channels=tuple(ChannelSpec(name=c.name, unit=c.unit) for c in CHANNELS),
        sample_rate_hz=100.0,
        mean=(0.0,) * 12,
        std=(1.0,) * 12,
    )
    config = fit_preprocess(x, draft)
    live = x.copy()
    live[:, 0] += 0.001
    frames = Preprocessor(config).frames(live)
    assert np.isfinite(frames).all()
    assert np.abs(frames).max() <= config.clip_sigma
