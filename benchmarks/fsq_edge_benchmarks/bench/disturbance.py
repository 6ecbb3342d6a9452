"""Whether a run may be believed: the core was there all the time, and as fast at the end as at the beginning."""

from __future__ import annotations

from typing import Final

from fsq_edge_benchmarks.bench.result import SpinRecord
from fsq_edge_benchmarks.measure.resources import Resources

MAX_WAITED: Final = 0.02  # share of a run that never sleeps in which the process had no core
MAX_LOST: Final = 0.05  # the spin loop's estimate of the same; it also sees what a hypervisor takes
MAX_SLOWDOWN: Final = 1.2  # median turn of the spin loop against a calm one: a lower clock, a busy sibling thread
MAX_DRIFT: Final = 1.1  # last quarter of the run against its first: the clock fell while it went on


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
