"""What is known of a channel's sensor: its step, its noise and its range, and how they are read off recordings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import ConfigDict, Field

from fsq_edge_runtime.arrays import Float32Array, Float64Array

QUIET_SHARE = 0.01  # of the stretches of a recording: the quietest show the noise, the others movement
STRETCH_S = 1.0
LEAST_STRETCH = 8  # samples, fewer give no standard deviation


@dataclass(frozen=True, slots=True)
class SensorFacts:
    """One channel's sensor, in the channel's unit; None is not known.

    Attributes:
        step: least difference between two values.
        noise: standard deviation on a still body, without what the step adds; 0 where it is too small to show.
        full_scale: largest magnitude that the sensor can measure.
    """

    step: Annotated[float, Field(gt=0)] | None = None
    noise: Annotated[float, Field(ge=0)] | None = None
    full_scale: Annotated[float, Field(gt=0)] | None = None
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, revalidate_instances="always")


def least_step(values: Float64Array | Float32Array) -> float:
    """Return the least difference between distinct values, 0.0 where there are not two; missing ones do not count."""
    distinct = np.unique(values[np.isfinite(values)].astype(np.float64))
    return float(np.diff(distinct).min()) if len(distinct) > 1 else 0.0


def still_noise(xyz: Float64Array | Float32Array, step: float, rate_hz: float) -> float:
    """Return the noise of a triad on a still body.

    It is the standard deviation of the quietest hundredth of all seconds, of the middle one of the three axes, so that
    neither movement nor one dead axis decides. Where nothing is ever still it is too large.

    Args:
        xyz: (n, 3); stretches with anything missing do not count.
        step: of the sensor; a uniform error of that width is taken off (Sheppard's correction).
        rate_hz: of the samples.
    """
    stretch = max(LEAST_STRETCH, round(STRETCH_S * rate_hz))
    whole = len(xyz) // stretch
    spread = np.asarray(xyz[: whole * stretch], np.float64).reshape(whole, stretch, 3).std(axis=1)
    spread = spread[np.isfinite(spread).all(axis=1)]
    if not len(spread):
        return 0.0
    quiet = float(np.median(np.quantile(spread, QUIET_SHARE, axis=0)))
    return float(np.sqrt(max(0.0, quiet**2 - step**2 / 12)))


def common_facts(found: Iterable[Mapping[str, SensorFacts]]) -> dict[str, SensorFacts]:
    """Return one set of facts for recordings of one kind of sensor: the median of what each says, the widest range."""
    lists: dict[str, list[SensorFacts]] = {}
    for facts in found:
        for name, one in facts.items():
            lists.setdefault(name, []).append(one)
    common = {}
    for name, some in lists.items():
        ranges = [one.full_scale for one in some if one.full_scale is not None]
        common[name] = SensorFacts(
            _median([one.step for one in some]), _median([one.noise for one in some]), max(ranges, default=None)
        )
    return common


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(f"{np.median(known):.6g}") if known else None
