"""The streaming benchmarks run and say what they measure. Their limits are for a quiet machine, here they are wider."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from fsq_edge_benchmarks.measure.children import child_environment
from fsq_edge_benchmarks.suites import gateway, heads, networks, overload, streaming


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


def test_heads_without_fsq_are_measured_with_a_host_graph_and_without() -> None:
    result = heads.run(quick=True)
    for found in (result["whole"], result["cut"]):
        assert 1.0 < found["least"] <= found["ratio_p50"] <= found["most"] < 3.0
        assert len(found["runs"]) == 2


def test_a_small_network_is_measured_beside_the_fixed_one() -> None:
    result = networks.run(quick=True)
    assert result["small"]["bare_us"]["p50"] < result["fixed"]["bare_us"]["p50"]
    assert result["small"]["ratio_p50"]["value"] > result["fixed"]["ratio_p50"]["value"]
    assert min(result[name]["twice_p99"] for name in result) > 0


def test_workers_are_measured_against_one() -> None:
    result = gateway.run(quick=True)
    assert result["ratio"] == pytest.approx(result["windows_per_s"]["2"] / result["windows_per_s"]["1"])
    assert min(result["windows_per_s"].values()) > 0
    assert 0 < result["bare_ratio"] == pytest.approx(result["ratio"] / result["of_bare"])


def test_forty_minutes_keep_memory_descriptors_and_every_window() -> None:
    # In a process of its own: the memory of the others is not its business.
    command = [sys.executable, "-m", "fsq_edge_benchmarks.suites.soak", "--hours", "0.6667"]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert done.returncode == 0, {name: value for name, value in result.items() if name != "machine"}
    assert result["faults"] == []
    assert result["passed"]
    assert result["samples"] == 40 * 60 * 100
    assert result["abstained"] > 5
    assert result["clock_jumps"] == 3
    assert result["gaps"] >= 6
    assert result["late"] >= 15
    assert result["duplicate"] == 3


@pytest.mark.slow
def test_streams_are_counted_below_and_beyond_the_capacity() -> None:
    result = overload.run(quick=True)
    assert list(result["loads"]) == ["50%", "80%", "150%", "300%"]
    for load in (*result["loads"].values(), *result["at_once"].values()):
        assert load["windows"] == load["streams"] * 3
        assert 0.0 <= load["least"] <= load["median"] <= load["most"] <= 1.0
        assert load["least"] <= load["answered"] <= load["most"]
        assert 1 / load["streams"] <= load["jain"] <= 1.0 + 1e-9
    assert result["one_sends_most"]["windows"] == 3 * (result["one_sends_most"]["streams"] - 1)
    assert result["capacity"] > 0, "64 streams of one hop a second are answered on any machine, in part at least"
