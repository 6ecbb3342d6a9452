"""The benchmarks around the device run, and say what they are."""

from __future__ import annotations

import pytest

from fsq_edge_benchmarks.bench.placement import Side, judge, place
from fsq_edge_benchmarks.suites.hailo_overhead import run
from fsq_edge_runtime.testing import FaultScript
from tests.factories.bundles import random_bundle
from tests.factories.hailo_rig import bundle_with_hefs, hide_binding, make_rig


def test_overhead_is_measured_against_hand_offs_and_never_called_silicon() -> None:
    result = run(quick=True)
    assert "not a measurement" in result["device"]
    assert result["added_us_p99"] is None, "300 samples do not support a p99"
    assert result["hand_off_us_p50"] > 0
    assert result["ratio"] == pytest.approx(result["added_us_p50"] / result["hand_off_us_p50"])
    assert result["ratio"] < 20, "four on a quiet machine"
    assert result["isolation_ratio"] == pytest.approx(result["isolated_us_p50"] / result["in_process_us_p50"])
    assert 0.5 < result["isolation_ratio"] < 20, "two on a quiet machine"


@pytest.mark.parametrize(
    ("cpu", "npu", "verdict", "words"),
    [
        (Side("onnx", 30, 45, None), Side("hailo", 200, 310, None), "cpu", "the CPU is faster for this network"),
        (Side("onnx", 900, 2000, None), Side("hailo", 200, 310, None), "npu", "the device is faster"),
        (Side("onnx", 100, 200, None), Side("hailo", 100, 205, None), "cpu", "does without a device"),
        (Side("onnx", 100, 200, 900.0), Side("hailo", 100, 205, 90.0), "npu", "needs less energy"),
        (Side("onnx", 30, 45, None), None, "cpu", "unmeasured: no device"),
        (Side("onnx", 30, None, None), None, "cpu", "p99 n/a"),
    ],
)
def test_verdicts(cpu: Side, npu: Side | None, verdict: str, words: str) -> None:
    got, sentence = judge(cpu, npu, "no device")
    assert got == verdict
    assert words in sentence


def test_without_a_device_the_cpu_is_measured_and_the_reason_given(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_binding(monkeypatch)
    placement = place(random_bundle(), quick=True)
    assert placement.verdict == "cpu"
    assert placement.unmeasured == "the bundle has no HEF"
    assert placement.cpu.p99_us is not None
    assert placement.npu is None
    assert "not installed" in place(bundle_with_hefs("hailo8l"), quick=True).unmeasured


def test_on_the_fake_both_sides_are_timed_and_the_fake_is_named() -> None:
    rig = make_rig(4, faults=FaultScript(power_w=1.5))
    placement = place(rig.bundle, quick=True, binding=rig.fake)
    assert placement.npu is not None
    assert placement.npu.backend == "hailo-fake"
    assert placement.npu.energy_uj == pytest.approx(1.5 * (placement.npu.p50_us or 0.0))
    assert placement.verdict == "cpu"
    assert "the CPU is faster for this network" in placement.sentence
    assert rig.fake.chip.open_groups == []
