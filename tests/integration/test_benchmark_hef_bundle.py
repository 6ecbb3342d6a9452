"""The benchmarks of reading HEFs and bundles still run and still say something."""

from __future__ import annotations

from fsq_edge_benchmarks.suites import bundle, hef


def test_hef_benchmark() -> None:
    found = hef.run(quick=True)
    assert found["file_bytes"] > hef.FILE_BYTES
    assert found["ratio"] > 0
    assert found["samples"] == 20


def test_bundle_benchmark() -> None:
    found = bundle.run(quick=True)
    assert found["bundle_bytes"] > bundle.BUNDLE_BYTES
    assert found["verify_ms_p50"] > 0
    assert found["ratio"] > 0
