"""The watching benchmark's smoke test: it runs, and says what each way of watching adds."""

from __future__ import annotations

from fsq_edge_benchmarks.suites.watching import KINDS, run


def test_each_way_of_watching_is_measured_in_turns_with_none() -> None:
    found = run(quick=True)
    assert set(found["single"]) == set(KINDS)
    assert all(side["ratio_p50"]["value"] > 0 for side in found["single"].values())
    assert found["many"]["streams"] == 200
    assert found["memory_mb"] < 60
