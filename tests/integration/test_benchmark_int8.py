"""The int8 benchmark runs and its figures belong together; the full run is for the benchmark, not for the tests."""

from fsq_edge_benchmarks.suites.calibration import run as run_calibration
from fsq_edge_benchmarks.suites.int8 import run
from fsq_edge_benchmarks.suites.registry import suite_named
from fsq_edge_calibration import METHODS


def test_the_int8_benchmark_runs_and_its_control_is_ruined():
    outcome = run(quick=True)
    (row,) = outcome["runs"]
    assert row["test_subjects"] == ["5", "6"]
    assert row["n_windows"] == 968
    assert outcome["mean"]["code_flip_rate"] == row["code_flip_rate"]
    assert 0 < row["code_flip_rate"] < 0.1
    assert row["label_change_rate"] <= row["code_flip_rate"]
    assert row["noise_code_flip_rate"] > 0.3
    judged = suite_named("int8").judged(outcome)
    assert judged["targets"]["mean/drop_points"] == "<= 0.5 points"
    assert judged["passed"] == (row["drop_points"] <= 0.5 and row["code_flip_rate"] <= 0.035
                                and row["label_change_rate"] <= 0.01 and row["code_flip_rate_16bit"] <= 0.025
                                and row["label_change_rate_16bit"] <= 0.01)  # fmt: skip


def test_the_calibration_benchmark_runs_by_every_method():
    outcome = run_calibration(quick=True)
    assert set(outcome["seconds"]) == set(METHODS)
    assert min(outcome["seconds"].values()) > 0
    assert outcome["audit_passed"]
    assert outcome["peak_mb"] > 0
