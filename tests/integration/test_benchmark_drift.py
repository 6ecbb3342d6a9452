"""The drift benchmark's smoke test: clean hours give no alarm, a wrong unit gives one."""

from __future__ import annotations

from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle
from fsq_edge_benchmarks.suites.drift import FAULTS, clean_alarms, time_to_alarm


def test_a_wrong_unit_is_alarmed_and_minutes_of_a_clean_stream_are_not() -> None:
    bundle = fixed_bundle()
    assert clean_alarms(bundle, "watch", 0.2, seed=0) == []
    found = time_to_alarm(bundle, "watch", FAULTS["g for m/s2, or the reverse"], 0, 1.0, 0.0)
    assert found["minutes"] > 0
    assert found["advice"]
