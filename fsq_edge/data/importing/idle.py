"""Idle sleep that a logger's export filled: one row over and over is taken out and leaves a hole in the times."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fsq_edge.data.importing.spool import Spool
from fsq_edge_runtime.arrays import BoolArray, Float32Array

IDLE = "idle sleep that was filled"


def without_idle(spool: Spool, idle_s: float, folder: Path) -> tuple[Spool, int]:
    """Return a series without filled idle sleep, and how many samples were taken out.

    Args:
        spool: of the series; removed where another is returned.
        idle_s: all channels repeat their values for at least this long; the first sample is a real one and stays.
        folder: for the new spool.
    """
    stretches = _stretches(spool, idle_s)
    dropped = sum(stop - start for start, stop in stretches)
    if not dropped:
        return spool, 0
    kept = Spool(folder, spool.channels)
    at = 0
    for start, stop in [*stretches, (spool.length, spool.length)]:
        for begin in range(at, start, 1 << 17):
            kept.append(*spool.read(begin, min(start, begin + (1 << 17))))
        at = stop
    spool.remove()
    return kept, dropped


def _stretches(spool: Spool, idle_s: float) -> list[tuple[int, int]]:
    """Return where rows repeat the one before them (start, stop), for at least so long; in order."""
    found: list[tuple[int, int]] = []
    last: Float32Array | None = None
    previous = 0.0
    begun, since, at = -1, 0.0, 0  # the first repeat of the stretch that is still open, and the time of its real row
    for times, samples, _ in spool.chunks():
        equal: BoolArray = np.zeros(len(samples), np.bool_)
        equal[1:] = (samples[1:] == samples[:-1]).all(axis=1)
        equal[0] = last is not None and bool((samples[0] == last).all())
        edges = np.flatnonzero(np.diff(equal, prepend=begun >= 0))
        for edge in edges.tolist():
            if begun < 0:
                begun = at + edge
                since = float(times[edge - 1]) if edge else previous
            else:
                end = float(times[edge - 1]) if edge else previous
                found += [(begun, at + edge)] if end - since >= idle_s else []
                begun = -1
        last, previous, at = samples[-1], float(times[-1]), at + len(times)
    if begun >= 0 and previous - since >= idle_s:
        found.append((begun, at))
    return found
