"""A calibrated loop beside the run: it does the same work every time, so whatever slows it slows the run as well.

It runs between samples in the thread that is timed; a second thread would steal the core that it is to watch.
"""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from fsq_edge_benchmarks.bench.result import SpinRecord

_NUMBERS: Final = range(1000)  # about 10 us on a 3 GHz core
_FEW: Final = range(100)  # untimed: brings the loop itself back into the caches
CALIBRATION_TURNS: Final = 1000
CALM_PERCENTILE: Final = 5
FEWEST_FOR_DRIFT: Final = 50  # turns in a quarter of the run


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
