"""What a run costs besides time: CPU, memory, and temperature, power and throttling where the kernel shows them."""

from __future__ import annotations

import gc
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import Field

from fsq_edge_benchmarks.measure.machine import fields, number, text
from fsq_edge_runtime.artefact import StrictModel

# Bits of the Raspberry Pi's firmware word: under-voltage, clock capped, throttled, soft temperature limit; the upper
# half holds these bits for the time since boot. Source: Raspberry Pi documentation, vcgencmd get_throttled.
PI_NOW_MASK: Final = 0x0000F
PI_EVER_MASK: Final = 0xF0000
PI_THROTTLED: Final = "sys/devices/platform/soc/soc:firmware/get_throttled"

T = TypeVar("T")


class Resources(StrictModel):
    """What was used during a run; None where it cannot be read here.

    Attributes:
        wall_s: length of the run.
        cpu_s: CPU seconds of the process in it, the bare network and the spin loop included.
        rss_mb: resident memory at its end.
        peak_rss_mb: most since the process began.
        preemptions: times that the kernel took the core away.
        temperature_c: hottest zone at the beginning and at the end.
        clock_mhz: of the first core at the beginning and at the end.
        power_w: mean of the CPU package, or a board sensor's reading; the whole machine's load is in it.
        throttled: the kernel or the firmware throttled the CPU during the run.
    """

    wall_s: float = Field(ge=0)
    cpu_s: float = Field(ge=0)
    rss_mb: float | None
    peak_rss_mb: float
    preemptions: int
    temperature_c: tuple[float, float] | None
    clock_mhz: tuple[int, int] | None
    power_w: float | None
    throttled: bool | None

    @property
    def waited_share(self) -> float:
        """Share of the time in which the process had no core; meaningful for runs that never sleep."""
        return max(0.0, 1.0 - self.cpu_s / self.wall_s) if self.wall_s else 0.0


@dataclass(frozen=True, slots=True)
class _Reading:
    wall_s: float
    cpu_s: float
    preemptions: int
    temperature_c: float | None
    clock_mhz: int | None
    energy_uj: int | None
    power_uw: int | None
    throttle_count: int | None
    pi_throttled: int | None


class Meter:
    """Reads the counters when made, and again when asked what was used since.

    Args:
        root: where ``proc`` and ``sys`` are; another tree for tests.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._begin = self._read()

    def used(self) -> Resources:
        """Return what was used since the meter was made."""
        begin, end = self._begin, self._read()
        status = fields(self._root / "proc/self/status")
        return Resources(
            wall_s=end.wall_s - begin.wall_s,
            cpu_s=end.cpu_s - begin.cpu_s,
            rss_mb=int(status["VmRSS"].split()[0]) / 1024 if "VmRSS" in status else None,
            peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            preemptions=end.preemptions - begin.preemptions,
            temperature_c=_both(begin.temperature_c, end.temperature_c),
            clock_mhz=_both(begin.clock_mhz, end.clock_mhz),
            power_w=_power(begin, end),
            throttled=_throttled(begin, end),
        )

    def _read(self) -> _Reading:
        sys = self._root / "sys"
        cpu = sys / "devices/system/cpu"
        zones = [value / 1000 for path in sys.glob("class/thermal/thermal_zone*/temp") if (value := number(path))]
        counts = [number(path) for path in cpu.glob("cpu[0-9]*/thermal_throttle/*_throttle_count")]
        powers = [number(path) for path in sorted(sys.glob("class/hwmon/hwmon*/power1_input"))]
        clock = number(cpu / "cpu0/cpufreq/scaling_cur_freq")
        firmware = text(self._root / PI_THROTTLED)
        return _Reading(
            wall_s=time.perf_counter(),
            cpu_s=time.process_time(),
            preemptions=resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw,
            temperature_c=max(zones, default=None),
            clock_mhz=None if clock is None else clock // 1000,
            energy_uj=number(sys / "class/powercap/intel-rapl:0/energy_uj"),
            power_uw=next((value for value in powers if value is not None), None),
            throttle_count=sum(value or 0 for value in counts) if counts else None,
            pi_throttled=int(firmware, 16) if firmware else None,
        )


def _power(begin: _Reading, end: _Reading) -> float | None:
    if begin.energy_uj is not None and end.energy_uj is not None and end.energy_uj > begin.energy_uj:
        return (end.energy_uj - begin.energy_uj) / 1e6 / (end.wall_s - begin.wall_s)
    sensed = [value for value in (begin.power_uw, end.power_uw) if value is not None]
    return sum(sensed) / len(sensed) / 1e6 if sensed else None


def _throttled(begin: _Reading, end: _Reading) -> bool | None:
    if begin.pi_throttled is not None and end.pi_throttled is not None:
        anew = end.pi_throttled & ~begin.pi_throttled & PI_EVER_MASK
        return bool(end.pi_throttled & PI_NOW_MASK or anew)
    if begin.throttle_count is not None and end.throttle_count is not None:
        return end.throttle_count > begin.throttle_count
    return None


def _both(begin: T | None, end: T | None) -> tuple[T, T] | None:
    return None if begin is None or end is None else (begin, end)


def resident_mb() -> float:
    """Return this process's resident memory in MB, after a collection."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
