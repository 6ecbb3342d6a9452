"""The int8 benchmark runs and its figures belong together; the full run is for the benchmark, not for the tests."""

from fsq_edge_benchmarks.suites.calibration import run as run_calibration
from fsq_edge_benchmarks.suites.int8 import TARGETS, run
from fsq_edge_calibration import METHODS


def test_the_int8_benchmark_runs_and_its_control_is_ruined():
    outcome = run(quick=True)
    (row,) = outcome["runs"]
    assert row["test_subjects"] == ["5", "6"]
    assert row["n_windows"] == 968
    assert outcome["mean"]["code_flip_rate"] == row["code_flip_rate"]
    assert outcome["targets"] == TARGETS
    assert 0 < row["code_flip_rate"] < 0.1
    assert row["label_change_rate"] <= row["code_flip_rate"]
    assert row["noise_code_flip_rate"] > 0.3
    assert outcome["passed"] == all(outcome["mean"][name] <= limit for name, limit in TARGETS.items())


def test_the_calibration_benchmark_runs_by_every_method():
    outcome = run_calibration(quick=True)
    assert set(outcome["seconds"]) == set(METHODS)
    assert min(outcome["seconds"].values()) > 0
    assert outcome["audit_passed"]
    assert outcome["peak_mb"] > 0
