"""Local times to UTC: the offset of a zone at each time, and the hours that clocks repeat or skip."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float64Array
from fsq_edge_runtime.errors import did_you_mean

Ambiguous = Literal["refuse", "earlier", "later", "order"]
QUARTER = 900.0  # every clock change of the zone database since 1970 falls on a quarter of an hour
_EPOCH = datetime(1970, 1, 1)


class LocalTimeError(ValueError):
    """A local time has no single meaning in its zone.

    Args:
        message: one line that names the time and the zone.
        position: of the value among those given.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


def open_zone(name: str) -> ZoneInfo:
    """Return a zone of the database of this machine, such as ``Europe/Vienna``.

    Raises:
        ValueError: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        wrong = f"{name!r} is not a time zone such as Europe/Vienna or UTC"
        meant = did_you_mean(name, available_timezones())
        raise ValueError(f"{wrong}; {meant}" if meant else wrong) from error


class LocalClock:
    """Offsets of one zone for local times that come block by block.

    Args:
        zone: of the wall clock.
        ambiguous: for times that occur twice, when clocks are set back: ``refuse``, take the ``earlier`` or the
            ``later`` one, or let the ``order`` of the rows decide: the first until the clock steps back.
    """

    def __init__(self, zone: tzinfo, ambiguous: Ambiguous = "refuse") -> None:
        self._zone, self._ambiguous = zone, ambiguous
        self._known: dict[float, tuple[float, float]] = {}
        self._last = -np.inf
        self._later = False

    def offsets(self, naive: Float64Array) -> Float64Array:
        """Return local time minus UTC in seconds, float64 (n,); NaN where ``naive`` is NaN.

        Args:
            naive: seconds since 1970 on the wall clock, (n,).

        Raises:
            LocalTimeError: a time occurs twice (with ``refuse``), or never.
        """
        quarters = np.floor(naive / QUARTER) * QUARTER
        unique, inverse = np.unique(quarters, return_inverse=True)
        pairs = np.array([self._pair(float(at)) for at in unique]).reshape(-1, 2)
        earlier: Float64Array = pairs[inverse, 0]
        later: Float64Array = pairs[inverse, 1]
        skipped = np.flatnonzero(earlier < later)
        if skipped.size:
            raise LocalTimeError(f"{self._text(naive[skipped[0]])} does not exist in {self._zone}", int(skipped[0]))
        twice = earlier > later
        if not twice.any():
            self._last, self._later = float(np.nanmax(naive, initial=-np.inf)), False
            return earlier
        if self._ambiguous == "refuse":
            at = int(np.flatnonzero(twice)[0])
            raise LocalTimeError(f"{self._text(naive[at])} occurs twice in {self._zone}, clocks are set back", at)
        if self._ambiguous == "order":
            return np.where(self._by_order(naive, twice), later, earlier)
        return later if self._ambiguous == "later" else earlier

    def _by_order(self, naive: Float64Array, twice: BoolArray) -> BoolArray:
        second = np.zeros(len(naive), np.bool_)
        for i in np.flatnonzero(np.isfinite(naive)):
            if not twice[i]:
                self._later = False
            elif naive[i] < self._last - QUARTER:
                self._later = True
            second[i] = self._later
            self._last = float(naive[i])
        return second

    def _pair(self, quarter: float) -> tuple[float, float]:
        """Offsets at one local time before and after a change; equal where no change is near."""
        if np.isnan(quarter):
            return np.nan, np.nan
        if quarter not in self._known:
            at = _EPOCH + timedelta(seconds=quarter)
            offsets = [at.replace(tzinfo=self._zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1)]
            self._known[quarter] = (offsets[0].total_seconds(), offsets[1].total_seconds())
        return self._known[quarter]

    def _text(self, naive: float) -> str:
        return str(_EPOCH + timedelta(seconds=float(naive)))
