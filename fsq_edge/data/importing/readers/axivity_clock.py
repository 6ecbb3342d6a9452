"""When the samples of Axivity pages were taken. The rate is only nominal, so times are drawn between anchors.

A page says at which of its samples (often one of the next page) its time stamp was read. The line through the anchors
of neighboring pages gives every sample its time and shows the true rate, which may be some percent off.
"""

from __future__ import annotations

import numpy as np

from fsq_edge_runtime.arrays import AnyArray, Float64Array

RATE_TOLERANCE = 0.15  # a step this far from the nominal rate is no drift of the clock: the pages part there


class PageClock:
    """Gives the samples of pages their times; the last page is held until it is known what follows."""

    def __init__(self) -> None:
        self._held: AnyArray | None = None  # the page before, already given out, and the last one, not yet given
        self._given = 0

    def add(self, pages: AnyArray, *, last: bool = False) -> tuple[AnyArray, Float64Array]:
        """Take sound pages.

        Args:
            pages: that follow those given before; may be empty.
            last: nothing follows them.

        Returns:
            The pages whose times are now known, and the times of their samples: float64 (n,) seconds on the clock of
            the device since 1970.
        """
        known = pages if self._held is None else np.concatenate([self._held, pages])
        stop = len(known) if last else max(len(known) - 1, self._given)
        ready = known[self._given : stop]
        times = _times(known)[self._given : stop] if len(ready) else []
        self._held = known[max(0, stop - 1) :].copy()
        self._given = min(stop, 1)
        return ready, np.concatenate(times) if len(times) else np.empty(0)


def _times(pages: AnyArray) -> list[Float64Array]:
    """Return the times of each page's samples."""
    anchor, offset, nominal = _anchors(pages)
    count = pages["count"].astype(np.int64)
    before = np.concatenate(([0], np.cumsum(count)[:-1]))
    index = before + offset
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.diff(anchor) / np.diff(index)
    linked = (np.diff(pages["sequence"].astype(np.int64)) == 1) & (pages["session"][1:] == pages["session"][:-1])
    linked &= (np.abs(step / nominal[1:] - 1) <= RATE_TOLERANCE) & (nominal[1:] == nominal[:-1])
    back = np.concatenate(([np.nan], np.where(linked, step, np.nan)))
    ahead = np.concatenate((np.where(linked, step, np.nan), [np.nan]))
    back, ahead = np.where(np.isnan(back), ahead, back), np.where(np.isnan(ahead), back, ahead)
    back, ahead = (np.where(np.isnan(slope), nominal, slope) for slope in (back, ahead))
    found = []
    for k in range(len(pages)):
        distance = np.arange(count[k]) - offset[k]
        found.append(anchor[k] + distance * np.where(distance < 0, back[k], ahead[k]))
    return found


def _anchors(pages: AnyArray) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return time stamps in seconds, the sample of its page at which each was read, and nominal steps in seconds."""
    rate = 3200.0 / (1 << (15 - (pages["rate"].astype(np.int64) & 15)))
    fractional = (pages["fraction"] & 0x8000) != 0
    fraction = np.where(fractional, (pages["fraction"].astype(np.int64) & 0x7FFF) / 32768, 0.0)
    # The page's offset was moved by the fraction at the ideal rate, as if it had been read on the whole second.
    offset = pages["offset"].astype(np.float64) + np.floor(fraction * rate)
    return unpack_times(pages["time"]) + fraction, offset, 1 / rate


def unpack_times(values: AnyArray) -> Float64Array:
    """Return packed dates as whole seconds since 1970 of the device's clock; impossible dates become the nearest."""
    packed = values.astype(np.int64)
    year, month, day = 2000 + (packed >> 26), np.clip((packed >> 22) & 15, 1, 12), np.maximum((packed >> 17) & 31, 1)
    months = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (month - 1)
    days = (months.astype("datetime64[D]") + (day - 1)).astype(np.int64)
    seconds = days * 86400 + ((packed >> 12) & 31) * 3600 + ((packed >> 6) & 63) * 60 + (packed & 63)
    return np.asarray(seconds, np.float64)
