"""Whether a run may be believed: a calibrated loop beside it does the same work every time, so what slows it shows.

It runs between samples in the thread that is timed; a second thread would steal the core that it is to watch.
"""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from fsq_edge_benchmarks.bench.result import SpinRecord
from fsq_edge_benchmarks.measure.resources import Resources

_NUMBERS: Final = range(1000)  # about 10 us on a 3 GHz core
_FEW: Final = range(100)  # untimed: brings the loop itself back into the caches
CALIBRATION_TURNS: Final = 1000
CALM_PERCENTILE: Final = 5
FEWEST_FOR_DRIFT: Final = 50  # turns in a quarter of the run
MAX_WAITED: Final = 0.02  # share of a run that never sleeps in which the process had no core
MAX_LOST: Final = 0.05  # the spin loop's estimate of the same; it also sees what a hypervisor takes
MAX_SLOWDOWN: Final = 1.2  # median turn of the spin loop against a calm one: a lower clock, a busy sibling thread
MAX_DRIFT: Final = 1.1  # last quarter of the run against its first: the clock fell while it went on


class SpinLoop:
    """Calibrates itself when made; then takes one turn after every sample.

    Args:
        calm_ns: nanoseconds of an undisturbed turn; None measures it now.

    Attributes:
        turns_ns: nanoseconds of each turn since the calibration.
    """

    def __init__(self, calm_ns: float | None = None) -> None:
        self.turns_ns: list[int] = []
        if calm_ns is not None:
            self._calm_ns = calm_ns
            return
        for _ in range(CALIBRATION_TURNS):
            self.turn()
        self._calm_ns = float(np.percentile(self.turns_ns, CALM_PERCENTILE))
        self.turns_ns.clear()

    def turn(self) -> None:
        """Do the work once and note how long it took."""
        sum(_FEW)
        started = time.perf_counter_ns()
        sum(_NUMBERS)
        self.turns_ns.append(time.perf_counter_ns() - started)

    def record(self) -> SpinRecord:
        """Return what the loop saw since its calibration."""
        turns = np.asarray(self.turns_ns or [round(self._calm_ns)], dtype=np.float64)
        median = float(np.median(turns))
        calm = min(self._calm_ns, float(np.percentile(turns, CALM_PERCENTILE)))
        quarter = len(turns) // 4
        drift = np.median(turns[-quarter:]) / np.median(turns[:quarter]) if quarter >= FEWEST_FOR_DRIFT else 1.0
        lost = np.where(turns > 2 * median, turns - median, 0.0).sum() / turns.sum()
        return SpinRecord(calm_us=calm / 1e3, slowdown=median / calm, drift=float(drift), lost_share=float(lost))


def disturbances(resources: Resources, spin: SpinRecord | None, *, sleeps: bool = False) -> tuple[str, ...]:
    """Return why a run is not valid; empty when nothing disturbed it.

    Args:
        resources: used during the run.
        spin: the loop beside it; None where it could not run in the timed process.
        sleeps: the run waits on purpose, so waiting is no sign of others.
    """
    reasons = []
    if resources.throttled:
        reasons.append("throttled: the CPU's clock was cut for heat or power")
    if not sleeps and resources.waited_share > MAX_WAITED:
        times = f"{resources.preemptions} preemptions"
        reasons.append(f"disturbed: other work had the core for {resources.waited_share:.0%} of the time ({times})")
    if spin is None:
        return tuple(reasons)
    if spin.lost_share > MAX_LOST:
        reasons.append(f"disturbed: the spin loop stood still for {spin.lost_share:.0%} of its time")
    if spin.slowdown > MAX_SLOWDOWN:
        reasons.append(f"disturbed or throttled: the spin loop took {spin.slowdown:.2f} times its calm time")
    if spin.drift > MAX_DRIFT:
        reasons.append(f"throttled: the spin loop took {spin.drift:.2f} times as long at the end as at the beginning")
    return tuple(reasons)
