"""The benchmark of ``data import`` runs; its figures are those of this machine at this moment and prove nothing."""

from fsq_edge_benchmarks.suites.importing import run


def test_a_quick_run_imports_both_files_within_the_memory() -> None:
    found = run(quick=True)
    assert found["csv"]["bytes"] > 4_000_000
    assert 0 < found["csv"]["most_mb"] < 300
    assert found["csv"]["wall_ratio"] > 0
    assert found["cwa"]["samples"] == 12_000
