"""The receivers benchmark's smoke test: every receiver is opened, written to and let go."""

from __future__ import annotations

from fsq_edge_benchmarks.suites.receivers import run


def test_every_receiver_is_measured_in_turns_with_none() -> None:
    found = run(quick=True)
    assert {"influx http, dead", "webhook, silent", "jsonl, full pipe", "jsonl, full disk", "parquet"} <= set(
        found["receivers"]
    )
    assert all(one["ratio_p50"]["value"] > 0 for one in found["receivers"].values())
    assert found["worst"]["memory_mb"] < 20
