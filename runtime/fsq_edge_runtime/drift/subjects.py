"""A stream's figures held against those of the subjects that the network learned from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.drift.looks import Figures, InputLooks
from fsq_edge_runtime.drift.series import FLOORS, GROUP_LIMITS, LIMITS, MAX_SUBJECT_SIGMAS, Series
from fsq_edge_runtime.drift.sphere import Offset

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.fingerprint import SubjectSpread

LEAST_SUBJECTS: Final = 5  # or what they differ by is not known
POOLED: Final = 4  # degrees of freedom that a figure's deviation borrows from the other figures of its group
LEAST_DEVIATION: Final = 0.02  # between subjects, or a group of equal subjects would raise alarms at trifles
LEAST_OFFSET: Final = 0.1  # g; less is of no practical interest
OFFSET_SIGMAS: Final = 5.0
UNKNOWN_OFFSET: Final = 0.5  # g, where it is not known what the subjects' postures leave open

Beyond = tuple[Series, float, float, float]  # series, value, usual value, score (1 at the limit)


class _Group:
    """Figures of one kind, judged together: the root mean square of their distances to the subjects' mean."""

    def __init__(self, center: Sequence[float], deviation: Sequence[float], subjects: int) -> None:
        self._center = np.asarray(center)
        variance = np.square(deviation)
        free = subjects - 1
        shared = (free * variance + POOLED * variance.mean()) / (free + POOLED)
        self._variance = shared * (1.0 + 1.0 / subjects) + LEAST_DEVIATION**2

    def distance(self, figures: Float64Array) -> float:
        return math.sqrt(float((np.square(figures - self._center) / self._variance).mean()))


class SubjectReference:
    """What training's subjects looked like, each as a whole.

    Args:
        spread: of the bundle's fingerprint; None, or one of fewer than five subjects, leaves physics alone.
        looks: names the channels of the accelerometer.
        channels: how many there are.
    """

    def __init__(self, spread: SubjectSpread | None, looks: InputLooks, channels: int) -> None:
        known = spread if spread is not None and spread.subjects >= LEAST_SUBJECTS else None
        self._looks, self._channels = looks, channels
        self._groups: dict[str, _Group] = {}
        self.mean_limits: list[float] = []  # training sigmas by channel; empty where it is not known
        self._center, self._deviation = np.zeros(3), np.full(3, UNKNOWN_OFFSET / OFFSET_SIGMAS)
        if known is None:
            return
        wider = 1.0 + 1.0 / known.subjects  # training's own mean is as uncertain as its subjects are few
        if len(known.mean) == channels:
            self.mean_limits = [
                min(LIMITS["mean"], MAX_SUBJECT_SIGMAS * math.sqrt(value * value * wider + FLOORS["mean"] ** 2))
                for value in known.mean
            ]
            self._groups["posture"] = _Group((0.0,) * channels, known.mean, known.subjects)
        for kind, given, size in (
            ("motion", known.motion, channels), ("tempo", known.tempo, channels), ("axes", known.axes, looks.pairs),
        ):  # fmt: skip
            if given is not None and size and len(given.center) == size:
                self._groups[kind] = _Group(given.center, given.deviation, known.subjects)
        if known.offset is not None and len(known.offset.center) == 3:
            self._center = np.asarray(known.offset.center)
            self._deviation = np.sqrt(np.square(known.offset.deviation) * wider + LEAST_DEVIATION**2)

    def beyond(self, figures: Figures, offset: Offset | None) -> list[Beyond]:
        """Return how a stream lies against the limits; a score is 1 at the limit."""
        found: list[Beyond] = []
        mine = {"posture": figures.mean, "motion": figures.spread, "tempo": figures.tempo, "axes": figures.axes}
        for kind, group in self._groups.items():
            distance = group.distance(mine[kind])
            found.append((Series(kind, ""), distance, 1.0, distance / GROUP_LIMITS[kind]))
        if offset is not None:
            deviation = np.sqrt(np.square(self._deviation) + np.square(offset.error))
            found += _far(self._looks.axes, offset.center, self._center, deviation)
        return found

    def moved(self, offset: Offset, former: Offset) -> list[Beyond]:
        """Return the axes on which an offset is not what it was before in the stream."""
        deviation = np.sqrt(np.square(offset.error) + np.square(former.error))
        return [axis for axis in _far(self._looks.axes, offset.center, former.center, deviation) if axis[3] > 1.0]


def _far(axes: Sequence[str], value: Float64Array, usual: Float64Array, deviation: Float64Array) -> list[Beyond]:
    limits = np.maximum(LEAST_OFFSET, OFFSET_SIGMAS * deviation)
    scores = np.abs(value - usual) / limits
    rows = zip(axes, value.tolist(), usual.tolist(), scores.tolist(), strict=True)
    return [(Series("offset", axis), now, then, score) for axis, now, then, score in rows]
