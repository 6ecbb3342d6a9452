from fsq_edge_benchmarks.suites.quality import run


def test_the_quality_benchmark_runs_and_measures_every_family():
    outcome = run(quick=True)
    assert outcome["shape"] == [500, 9, 100]
    assert set(outcome["families"]) == {
        "missing and gaps", "moments", "stuck and saturated", "units", "timing", "code book",
    }  # fmt: skip
    for family in outcome["families"].values():
        assert family["clean_ratio"] > 0
        assert family["damaged_ratio"] > 0
    assert outcome["worst_ratio"] == max(
        ratio for f in outcome["families"].values() for ratio in (f["clean_ratio"], f["damaged_ratio"])
    )
