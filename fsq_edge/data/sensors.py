"""What is known of a channel's sensor: its step and its range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import ConfigDict, Field

from fsq_edge_runtime.arrays import Float32Array, Float64Array


@dataclass(frozen=True, slots=True)
class SensorFacts:
    """One channel's sensor, in the channel's unit; None is not known.

    Attributes:
        step: least difference between two values.
        full_scale: largest magnitude that the sensor can measure.
    """

    step: Annotated[float, Field(gt=0)] | None = None
    full_scale: Annotated[float, Field(gt=0)] | None = None
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, revalidate_instances="always")


def least_step(values: Float64Array | Float32Array) -> float:
    """Return the least difference between distinct values, 0.0 where there are not two; missing ones do not count."""
    distinct = np.unique(values[np.isfinite(values)].astype(np.float64))
    return float(np.diff(distinct).min()) if len(distinct) > 1 else 0.0


def common_facts(found: Iterable[Mapping[str, SensorFacts]]) -> dict[str, SensorFacts]:
    """Return one set of facts for recordings of one kind of sensor: the median of what each says, the widest range."""
    lists: dict[str, list[SensorFacts]] = {}
    for facts in found:
        for name, one in facts.items():
            lists.setdefault(name, []).append(one)
    common = {}
    for name, some in lists.items():
        ranges = [one.full_scale for one in some if one.full_scale is not None]
        common[name] = SensorFacts(_median([one.step for one in some]), max(ranges, default=None))
    return common


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(f"{np.median(known):.6g}") if known else None
