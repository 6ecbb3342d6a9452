"""The benchmark of tuned decisions runs and its figures belong together; the full run is for the benchmark."""

import pytest

from fsq_edge_benchmarks.suites.events import run
from fsq_edge_benchmarks.suites.registry import suite_named


@pytest.mark.slow
@pytest.mark.timeout(900)  # it trains; on a machine with much else to do that takes minutes
def test_the_events_benchmark_runs_on_stitched_recordings(tmp_path):
    outcome = run(quick=True, work=tmp_path)
    (row,) = outcome["runs"]
    assert row["test_subjects"] == ["5", "6"]
    assert outcome["stitched"]
    assert row["raw"]["events"] == row["tuned"]["events"] > 20
    assert row["false_ratio"] == row["tuned"]["false_per_hour"] / row["raw"]["false_per_hour"]
    assert row["false_ratio"] < 1
    assert outcome["pooled"]["events"] == row["raw"]["events"]
    assert outcome["passed"] == row["passed"]
    assert any("worst fold" in line for line in suite_named("events").lines(outcome))
    assert (tmp_path / "watch-5_6-0" / "bundle.fsqb").is_file()
