"""The streaming benchmarks run and say what they measure. Their limits are for a quiet machine, here they are wider."""

from __future__ import annotations

import pytest

from fsq_edge_benchmarks import soak, streaming


def test_streaming_is_measured_next_to_the_bare_network() -> None:
    result = streaming.run(quick=True)
    for side in result["single"].values():
        assert side["decision_us"]["samples"] == 700
        assert side["added_us_p50"] == pytest.approx(side["decision_us"]["p50"] - side["bare_us"]["p50"])
        assert 1.0 < side["ratio_p50"]["value"] < 3.0
        assert side["ratio_p50"]["low"] <= side["ratio_p50"]["value"] <= side["ratio_p50"]["high"]
    assert result["many"]["ratio"] == pytest.approx(
        result["many"]["windows_per_s"] / result["many"]["bare_windows_per_s"]
    )
    assert result["many"]["ratio"] > 0.25
    assert result["cpu"]["windows"] == 5  # of 3 s: windows of 1 s, every half
    assert result["cpu"]["beyond_network"] < 0.1


def test_forty_minutes_keep_memory_descriptors_and_every_window() -> None:
    result = soak.run(quick=True)
    assert result["faults"] == []
    assert result["passed"], {name: value for name, value in result.items() if name != "machine"}
    assert result["samples"] == 40 * 60 * 100
    assert result["abstained"] > 5
    assert result["clock_jumps"] == 3
    assert result["gaps"] >= 6
    assert result["late"] >= 15
    assert result["duplicate"] == 3
