"""Do the declared units fit the values? Gravity, the fastest turn and the Earth's field decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fsq_edge.data.recording import Channel
from fsq_edge.data.triads import UNITS, Sensor, find_triads, in_si
from fsq_edge_runtime.arrays import Float32Array, Float64Array

Verdict = Literal["plausible", "doubtful", "implausible"]

# Over time gravity dominates: the median norm is 1.07 g on watch; a factor of two leaves room for a hard runner. With
# gravity the norm seldom comes near zero (10th percentile over median 0.67 on watch), without it often does (0.33 on
# watch less its running mean). The fastest consumer gyroscopes end at 2000 degrees/s = 35 rad/s. The Earth's field is
# 22 to 67 uT (IGRF); hard iron may double it or nearly cancel it.
GRAVITY = 9.80665
PLAUSIBLE_GRAVITY = (0.5, 2.0)
STEADY_GRAVITY = 0.5
FASTEST_TURN = 40.0
SLOWEST_ACTIVE_TURN = 0.17  # rad/s (10 degrees/s): a body whose acceleration varies turns faster now and then
ACTIVE_SPREAD = 1.0  # m/s2, of the acceleration's norm
PLAUSIBLE_FIELD = (10.0, 150.0)
MAX_NORMS = 200_000
LEAST_NORMS = 20  # of a recording that is judged by itself
NAMED_RECORDINGS = 5


@dataclass(frozen=True, slots=True)
class UnitCheck:
    """One sensor's declared unit against its values.

    Attributes:
        sensor: its first channel's name less the axis.
        unit: as declared.
        verdict: ``implausible`` when the values cannot be in that unit, ``doubtful`` when they can but look odd.
        message: what was seen, with the figure.
        typical: median norm, for rotation the 99th percentile, in the declared unit.
        recordings: names of those whose values do not fit, where only some do not.
    """

    sensor: str
    unit: str
    verdict: Verdict
    message: str
    typical: float
    recordings: tuple[str, ...] = ()


class NormSampler:
    """Keeps the norms of every k-th sample of each triad, at most about ``MAX_NORMS``.

    Args:
        channels: C channels.
        total_samples: how many samples will come, so that k does not depend on how they are cut into blocks.
    """

    def __init__(self, channels: tuple[Channel, ...], total_samples: int) -> None:
        self._channels = channels
        self._triads = [triad for triad in find_triads(channels) if channels[triad.first].unit in UNITS]
        self._stride = max(1, total_samples // MAX_NORMS)
        self._position = 0
        self._norms: list[list[Float32Array]] = [[] for _ in self._triads]
        self._ends: list[tuple[str, list[int]]] = []  # name of each recording, blocks of each triad up to its end

    def feed(self, block: Float32Array) -> None:
        """Add a block (W, C, L); its samples are counted window by window."""
        count, _, length = block.shape
        at = np.arange(-self._position % self._stride, count * length, self._stride)
        self._position += count * length
        window, sample = at // length, at % length
        for norms, triad in zip(self._norms, self._triads, strict=True):
            three = block[window, triad.first : triad.first + 3, sample]
            norms.append(np.sqrt(np.einsum("nc,nc->n", three, three)))

    def end(self, name: str) -> None:
        """Note that a recording ends here: each is judged by itself, too, since five of twenty do not move a median."""
        self._ends.append((name, [len(norms) for norms in self._norms]))

    def result(self) -> tuple[UnitCheck, ...]:
        """Return one check for every triad that has finite values: of all together, and worse where a recording is."""
        together = dict(self._checks(self._norms, 1))
        wrong: dict[int, list[tuple[str, UnitCheck]]] = {}
        for name, norms in self._by_recording():
            for triad, check in self._checks(norms, LEAST_NORMS):
                if _surely_another_unit(check):
                    wrong.setdefault(triad, []).append((name, check))
        return tuple(_worse(check, wrong.get(triad, []), len(self._ends)) for triad, check in together.items())

    def _by_recording(self) -> Iterator[tuple[str, list[list[Float32Array]]]]:
        begins = [0] * len(self._triads)
        for name, ends in self._ends if len(self._ends) > 1 else ():
            yield name, [norms[a:b] for norms, a, b in zip(self._norms, begins, ends, strict=True)]
            begins = ends

    def _checks(self, blocks: list[list[Float32Array]], least: int) -> Iterator[tuple[int, UnitCheck]]:
        """Judge each triad with at least so many finite norms; gives its position among the triads, and the check."""
        spoken = []
        for position, (norms, triad) in enumerate(zip(blocks, self._triads, strict=True)):
            unit = self._channels[triad.first].unit
            norm = np.concatenate(norms).astype(np.float64) * in_si(unit) if norms else np.empty(0)
            norm = norm[np.isfinite(norm)]
            if norm.size >= least:
                spoken.append((position, triad.name or unit, unit, norm))
        active = any(UNITS[unit][0] == "acceleration" and norm.std() > ACTIVE_SPREAD for _, _, unit, norm in spoken)
        for position, sensor, unit, norm in spoken:
            yield position, _check(sensor, unit, norm, active)


def _surely_another_unit(check: UnitCheck) -> bool:
    """Whether one recording by itself shows another unit; that its wearer ran, lay or drove must not be enough."""
    driven = "the body moves" in check.message  # shaken and not turned, as in a car
    return check.verdict == "implausible" and "the values look like" in check.message and not driven


def _worse(check: UnitCheck, wrong: list[tuple[str, UnitCheck]], total: int) -> UnitCheck:
    """Return the check of all recordings, with those named that are in another unit."""
    if not wrong or (len(wrong) == total and check.verdict == "implausible"):
        return check
    names = tuple(name for name, _ in wrong)
    more = f" and {len(names) - NAMED_RECORDINGS} more" if len(names) > NAMED_RECORDINGS else ""
    listed = ", ".join(names[:NAMED_RECORDINGS]) + more
    message = f"{len(names)} of {total} recordings ({listed}): {wrong[0][1].message}"
    return replace(check, verdict="implausible", message=message, typical=wrong[0][1].typical, recordings=names)


def _check(sensor: str, unit: str, norm: Float64Array, active: bool) -> UnitCheck:
    kind = UNITS[unit][0]
    if kind == "acceleration":
        typical = float(np.median(norm))
        steady = float(np.percentile(norm, 10)) >= STEADY_GRAVITY * typical
        verdict, problem = _check_gravity(unit, typical, steady)
    elif kind == "rate":
        typical = float(np.percentile(norm, 99))
        verdict, problem = _check_rotation(unit, typical, active)
    else:
        typical = float(np.median(norm))
        verdict, problem = _check_field(unit, typical)
    shown = typical / in_si(unit)
    what = "99 % of turns are below" if kind == "rate" else "the median norm is"
    message = f"{sensor}: {what} {shown:.3g} {unit}"
    return UnitCheck(sensor, unit, verdict, f"{message}; {problem}" if problem else message, shown)


def _check_gravity(unit: str, typical: float, steady: bool) -> tuple[Verdict, str]:
    low, high = (factor * GRAVITY for factor in PLAUSIBLE_GRAVITY)
    if low <= typical <= high:
        return "plausible", ""
    other = _fitting("acceleration", unit, typical, low, high)
    if typical < low and not (steady and other):
        return "doubtful", "gravity seems to be removed"
    return "implausible", other or "gravity alone would be 9.81 m/s2"


def _check_rotation(unit: str, typical: float, active: bool) -> tuple[Verdict, str]:
    if typical > FASTEST_TURN:
        return "implausible", "the values look like deg/s" if unit == "rad/s" else "no gyroscope reads so much"
    if unit in ("deg/s", "°/s", "dps") and active and typical < SLOWEST_ACTIVE_TURN:
        return "implausible", "the body moves, so the values look like rad/s"
    return "plausible", ""


def _check_field(unit: str, typical: float) -> tuple[Verdict, str]:
    low, high = PLAUSIBLE_FIELD
    if low <= typical <= high:
        return "plausible", ""
    return "implausible", _fitting("field", unit, typical, low, high) or "the Earth's field is 22 to 67 uT"


def _fitting(kind: Sensor, unit: str, typical: float, low: float, high: float) -> str:
    """Name the unit in which the values would be plausible."""
    for other in ("m/s2", "g", "mg", "uT", "gauss", "mG", "nT"):
        if UNITS[other][0] == kind and other != unit and low <= typical / in_si(unit) * in_si(other) <= high:
            return f"the values look like {other}"
    return ""
