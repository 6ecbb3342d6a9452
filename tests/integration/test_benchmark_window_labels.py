"""The benchmark of windows with two labels runs; a quick run proves no figure."""

from __future__ import annotations

from fsq_edge_benchmarks.suites.window_labels import run


def test_a_quick_run_trains_without_and_with_mixed_windows() -> None:
    found = run(quick=True)
    windows = {row["rule"]: row["n_train"] for row in found["runs"]}
    assert windows["soft"] > windows["pure"]
    assert set(found["rules"]) == {"pure", "soft"}
