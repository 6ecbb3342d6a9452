"""The drift benchmark's smoke test: clean hours give no alarm, a wrong unit gives one."""

from __future__ import annotations

from fsq_edge_benchmarks.suites.drift import run


def test_a_wrong_unit_is_alarmed_and_minutes_of_a_clean_stream_are_not() -> None:
    found = run(quick=True)
    assert found["clean"] == {"hours": 0.2, "alarms": 0}
    assert found["faults"]["g for m/s2, or the reverse"] > 0
    assert found["faults_found"] == 1
