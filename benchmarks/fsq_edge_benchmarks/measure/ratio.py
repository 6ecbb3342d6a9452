"""The ratio of two medians of durations that were taken in turns, with an interval."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, PlainSerializer

from fsq_edge_benchmarks.measure.distribution import MINIMUM_SAMPLES
from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.scores import LEVEL, Interval, percentile_interval

RESAMPLES: Final = 1000
BLOCKS: Final = 100  # neighbours in time are alike, so blocks of them are drawn, not single pairs
SLICES: Final = 25  # of a run, each of which has a p99 of its own
_CHUNK: Final = 50  # resamples held in memory at once
_FIELDS: Final = {"value", "low", "high", "confidence"}


def interval_json(interval: Interval) -> dict[str, float]:
    """Return an interval as results write it, with the confidence that it aims at."""
    return {**asdict(interval), "confidence": LEVEL}


def _read(found: Any) -> Any:
    """Return the interval that a result's JSON holds; anything else as it is, for pydantic to refuse."""
    if not isinstance(found, dict):
        return found
    if set(found) - {"confidence"} != _FIELDS - {"confidence"} or found.get("confidence", LEVEL) != LEVEL:
        raise ValueError(f"an interval has the keys {', '.join(sorted(_FIELDS))}, and confidence {LEVEL}")
    if not all(isinstance(found[name], int | float) for name in ("value", "low", "high")):
        raise ValueError("the values of an interval are numbers")
    return Interval(float(found["value"]), float(found["low"]), float(found["high"]))


Ratio: TypeAlias = Annotated[Interval, BeforeValidator(_read), PlainSerializer(interval_json)]


def ratio_of_medians(ours: npt.ArrayLike, base: npt.ArrayLike, *, blocks: int = BLOCKS, seed: int = 0) -> Interval:
    """Return median(ours) / median(base) with a bootstrap interval over blocks of neighbouring pairs.

    Args:
        ours: (n,) durations, n >= 1.
        base: (n,) durations, each taken next to its partner in ``ours``.
        blocks: into how many to cut them; where each block is a process, the number of processes.
        seed: of the bootstrap's generator.
    """
    value, drawn = _medians(ours, base, blocks, seed)
    return percentile_interval(value[0] / value[1], drawn[:, 0] / drawn[:, 1])


def difference_of_medians(ours: npt.ArrayLike, base: npt.ArrayLike, *, seed: int = 0) -> Interval:
    """Return median(ours) - median(base), in their unit; otherwise as :func:`ratio_of_medians`."""
    value, drawn = _medians(ours, base, BLOCKS, seed)
    return percentile_interval(value[0] - value[1], drawn[:, 0] - drawn[:, 1])


def median_of_ratios(
    ours: npt.ArrayLike, base: npt.ArrayLike, *, block: int = 1, percent: float = 50.0, seed: int = 0
) -> Interval:
    """Return the median of what ours take over base, block by block, with a bootstrap interval over blocks.

    A machine that is slow for some seconds, or a process in which all lies badly, is so for both sides of a block.

    Args:
        ours: (n,) durations.
        base: (n,) durations, each block taken next to its partner in ``ours``.
        block: how many are compared at a time; what is left over behind the last whole block counts nowhere.
        percent: percentile of a block that is compared.
        seed: of the bootstrap's generator.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (ours, base)]
    of, over = (np.percentile(side[: len(side) // block * block].reshape(-1, block), percent, axis=1) for side in sides)
    ratios = of / over
    draw = np.random.default_rng(seed).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    return percentile_interval(float(np.median(ratios)), np.median(ratios[draw], axis=1))


def ratio_of_p99(ours: npt.ArrayLike, base: npt.ArrayLike) -> Interval:
    """Return the p99 of ours over that of base, the median over slices of neighbouring pairs: see above.

    Args:
        ours: (n,) durations, as many as support a p99.
        base: (n,) durations, each taken next to its partner in ``ours``.
    """
    n = len(np.asarray(ours))
    return median_of_ratios(ours, base, block=max(n // SLICES, min(n, MINIMUM_SAMPLES[99])), percent=99.0)


def _medians(ours: npt.ArrayLike, base: npt.ArrayLike, cut: int, seed: int) -> tuple[Float64Array, Float64Array]:
    """Return the medians (2,) of both sides, and those (R, 2) of the resamples."""
    pairs = np.stack([np.asarray(ours, dtype=np.float64), np.asarray(base, dtype=np.float64)], axis=1)
    length = max(1, len(pairs) // cut)
    blocks = pairs[: len(pairs) // length * length].reshape(-1, length, 2)
    draw = np.random.default_rng(seed).integers(0, len(blocks), (RESAMPLES, len(blocks)))
    drawn = [
        np.median(blocks[some].reshape(len(some), -1, 2), axis=1)
        for some in np.split(draw, range(_CHUNK, RESAMPLES, _CHUNK))
    ]
    return np.median(pairs, axis=0), np.concatenate(drawn)
