"""The suites of personal heads run and say what they promise; their figures on two epochs mean nothing."""

from __future__ import annotations

import pytest

from fsq_edge_benchmarks.suites import personal, personal_cost, personal_new_class


def test_the_cost_suite_serves_many_wearers() -> None:
    found = personal_cost.run(quick=True)
    assert found["single"]["ratio_p50"]["value"] > 1.0
    assert found["single"]["ratio_p50"]["value"] > found["single"]["ratio_p50_without"]["value"]
    assert 0.0 < found["many"]["ratio"] < 1.0
    assert found["features_output"]["value"] > 0.0
    assert found["many"]["streams"] == 50
    assert found["fit_ms"] > 0.0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_suite_judges_every_amount_and_the_other_wrist() -> None:
    found = personal.run(quick=True)
    assert set(found["rows"]) == {"20 s", "other wrist"}
    assert found["rows"]["20 s"]["cases"] == 2
    assert found["rows"]["other wrist"]["cases"] == 4
    assert found["rows"]["20 s"]["personal"]["mean"] >= found["rows"]["20 s"]["base"]["mean"]
    assert found["other_wrist_loss"] < 0.05
    assert set(found["context"]) == {"none", "2 s", "4 s", "8 s"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_suite_of_new_classes_leaves_one_out() -> None:
    found = personal_new_class.run(quick=True)
    assert list(found["classes"]) == ["pendulum"]
    row = found["classes"]["pendulum"]
    assert row["wearers"] == 2
    assert 0.0 <= row["recall"] <= 1.0
    assert row["false_alarms_per_hour"] >= 0.0
