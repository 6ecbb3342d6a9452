"""What the benchmarks say of many durations: only what their number supports, and whether the run may be believed."""

from __future__ import annotations

from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsq_edge_benchmarks.bench.result import SpinRecord
from fsq_edge_benchmarks.bench.spin import SpinLoop, disturbances
from fsq_edge_benchmarks.measure.distribution import MINIMUM_SAMPLES, Distribution, duration, percentile
from fsq_edge_benchmarks.measure.ratio import difference_of_medians, median_of_ratios, ratio_of_medians, ratio_of_p99
from fsq_edge_benchmarks.measure.resources import Meter, Resources

CALM = SpinRecord(calm_us=10.0, slowdown=1.02, drift=1.0, lost_share=0.01)


def quiet(**changes: object) -> Resources:
    values: dict[str, object] = {
        "wall_s": 10.0, "cpu_s": 9.95, "rss_mb": 90.0, "peak_rss_mb": 95.0, "preemptions": 3,
        "temperature_c": None, "clock_mhz": None, "power_w": None, "throttled": None,
    }  # fmt: skip
    return Resources.model_validate({**values, **changes})


@pytest.mark.parametrize(("rank", "count"), MINIMUM_SAMPLES.items())
def test_a_percentile_needs_the_samples_of_early_stopping(rank: float, count: int) -> None:
    def doubt(n: int) -> float:
        """Chance of at most one sample beyond the percentile when the true share beyond it is as large as claimed."""
        share = 1 - rank / 100
        return sum(comb(n, k) * share**k * (1 - share) ** (n - k) for k in (0, 1))

    assert doubt(count) <= 0.01 < doubt(count - 1)
    values = np.arange(count) * 1000
    assert percentile(values[:-1], rank) is None
    assert percentile(values, rank) == pytest.approx(np.percentile(values, rank) / 1e3)


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=200))
def test_a_distribution_loses_no_sample(nanoseconds: list[int]) -> None:
    found = Distribution.of(nanoseconds)
    assert sum(found.counts) == found.samples == len(nanoseconds)
    edges = found.edges()
    assert edges[0] <= found.minimum * (1 + 1e-9)
    assert found.maximum < edges[-1] * (1 + 1e-9)
    assert (found.p50 is None) == (len(nanoseconds) < 11)


def test_numbers_as_text() -> None:
    assert [duration(value) for value in (62.11, 3710.0, 1.24e6)] == ["62.1 µs", "3.71 ms", "1.24 s"]


def test_the_ratio_is_that_of_the_medians_and_its_interval_holds_it() -> None:
    draw = np.random.default_rng(0)
    drift = np.linspace(1.0, 2.0, 4000)  # meets both sides alike
    base, ours = drift * draw.gamma(50, 2, 4000), drift * draw.gamma(50, 3, 4000)
    found = ratio_of_medians(ours, base)
    assert found.value == pytest.approx(np.median(ours) / np.median(base))
    assert found.low < 1.5 < found.high
    assert found.high - found.low < 0.1
    added = difference_of_medians(ours, base)
    assert added.low < added.value < added.high


def test_the_median_of_ratios_does_not_move_with_a_machine_that_is_slow_for_a_while() -> None:
    base = 40.0 + np.random.default_rng(0).normal(0.0, 1.0, 100 * 64)
    slow = np.where(np.repeat(np.arange(100) % 5 < 2, 64), 2.0, 1.0)
    found = median_of_ratios(slow * 1.04 * base, slow * base, block=64)
    assert found.value == pytest.approx(1.04)
    assert found.low == pytest.approx(found.high)
    assert median_of_ratios(slow * 1.04 * base, base, block=64).value == pytest.approx(1.04), "slow for one side alone"
    assert median_of_ratios([2.0, 4.0, 9.0], [1.0, 2.0, 3.0]).value == 2.0


def test_the_ratio_of_p99_does_not_move_with_what_interrupts_one_side_for_a_third_of_the_run() -> None:
    base = np.tile(np.r_[np.full(980, 40.0), np.full(20, 50.0)], 12)
    ours = np.where(np.arange(len(base)) < len(base) // 3, 9.0, 1.0) * 1.2 * base
    assert ratio_of_p99(ours, base).value == pytest.approx(1.2)
    assert ratio_of_p99(ours[-700:], base[-700:]).value == pytest.approx(1.2), "one slice, where there is no more"


def test_a_quiet_run_is_valid_and_each_disturbance_is_named() -> None:
    assert disturbances(quiet(), CALM) == ()
    assert "other work had the core for 20%" in disturbances(quiet(cpu_s=8.0), CALM)[0]
    assert disturbances(quiet(cpu_s=0.1), CALM, sleeps=True) == ()
    assert "throttled" in disturbances(quiet(throttled=True), None)[0]
    for change, word in (("slowdown", "calm time"), ("drift", "at the beginning"), ("lost_share", "stood still")):
        reasons = disturbances(quiet(), CALM.model_copy(update={change: 1.5}))
        assert len(reasons) == 1
        assert word in reasons[0]


def test_the_spin_loop_sees_a_clock_that_falls() -> None:
    loop = SpinLoop(calm_ns=10_000.0)
    loop.turns_ns = [10_000] * 300 + [15_000] * 300
    record = loop.record()
    assert record.drift == pytest.approx(1.5)
    assert disturbances(quiet(), record)
    loop.turns_ns = [10_000] * 580 + [200_000] * 20
    assert loop.record().lost_share > 0.3


def test_the_meter_reads_what_the_kernel_shows(tmp_path: Path) -> None:
    sys = tmp_path / "sys"
    files = {
        "class/thermal/thermal_zone0/temp": "41000",
        "class/thermal/thermal_zone1/temp": "55500",
        "class/hwmon/hwmon0/power1_input": "3500000",
        "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2400000",
        "devices/platform/soc/soc:firmware/get_throttled": "0",
    }
    for name, text in files.items():
        (sys / name).parent.mkdir(parents=True, exist_ok=True)
        (sys / name).write_text(text)
    meter = Meter(tmp_path)
    (sys / "class/thermal/thermal_zone1/temp").write_text("71000")
    used = meter.used()
    assert used.temperature_c == (55.5, 71.0)
    assert used.power_w == 3.5
    assert used.clock_mhz == (2400, 2400)
    assert used.throttled is False
    (sys / "devices/platform/soc/soc:firmware/get_throttled").write_text("40004")
    assert meter.used().throttled is True
    bare = Meter(tmp_path / "nothing").used()
    assert (bare.temperature_c, bare.power_w, bare.clock_mhz, bare.throttled, bare.rss_mb) == (None,) * 5
