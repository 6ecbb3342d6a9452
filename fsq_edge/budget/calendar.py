"""Shares of calendar days and hours of a time zone, with days of 23 and 25 hours at their own length."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fsq_edge.budget.shares import lengths, with_uncovered
from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.errors import DataError

EARLIEST, LATEST = 31_536_000, 2**32  # 1971 to 2106: counted from a start of its own, a source is below
MAX_HOURS = 1_000_000  # over a hundred years


def day_shares(pieces: pd.DataFrame, zone: str = "UTC") -> pd.DataFrame:
    """Return each state's share of every calendar day; the times must be seconds since 1970 in UTC.

    Args:
        pieces: table of ``read_decisions``.
        zone: IANA name of the time zone; its days of 23 and 25 hours have that length.

    Returns:
        ``stream``, ``day`` (YYYY-MM-DD), ``state``, ``total_s``, ``percent`` of the whole day, ``(no data)`` included.

    Raises:
        DataError: the times do not count from 1970, so no day can be named.
    """
    low, high = _span(pieces, zone)
    dates = pd.date_range(low.date(), high.date() + pd.Timedelta(days=1), freq="D")
    # A zone that changes its clock at midnight may have no 00:00, or two.
    midnights = dates.tz_localize(zone, ambiguous=[True] * len(dates), nonexistent="shift_forward")
    edges = np.array([mark.timestamp() for mark in midnights])
    return _shares(pieces, edges, [str(date.date()) for date in dates[:-1]], "day")


def hour_shares(pieces: pd.DataFrame, zone: str = "UTC") -> pd.DataFrame:
    """Return each state's share of every hour; the times must be seconds since 1970 in UTC.

    Args:
        pieces: table of ``read_decisions``.
        zone: IANA name of the time zone. The hour that its clocks repeat in autumn occurs twice, with two offsets.

    Returns:
        ``stream``, ``hour`` (YYYY-MM-DDTHH+OFFSET), ``state``, ``total_s``, ``percent`` of the hour.

    Raises:
        DataError: the times do not count from 1970, or span more than ``MAX_HOURS``.
    """
    low, high = _span(pieces, zone)
    # Zones whose offset is not a whole number of hours have their own full hours: floor in local time.
    first = low.tz_localize(None).floor("h")
    shift = (low.tz_localize(None) - first).total_seconds()
    begin = low.timestamp() - shift
    count = int((high.timestamp() - begin) // 3600) + 1
    if count > MAX_HOURS:
        raise DataError(f"the logs span {count:,} hours", hint="give logs of less time at once")
    edges = begin + 3600.0 * np.arange(count + 1)
    marks = pd.to_datetime(edges[:-1], unit="s", utc=True).tz_convert(zone)
    return _shares(pieces, edges, [mark.strftime("%Y-%m-%dT%H%z") for mark in marks], "hour")


def cut_at(pieces: pd.DataFrame, edges: Float64Array) -> pd.DataFrame:
    """Cut pieces at times, and number the part of time in which each lies.

    Args:
        pieces: with ``start`` and ``end``, seconds.
        edges: (n + 1,) ascending; the first is before every piece, the last behind.

    Returns:
        The pieces with ``part`` (0 to n - 1); none crosses an edge.
    """
    first = np.searchsorted(edges, pieces["start"], side="right") - 1
    last = np.searchsorted(edges, pieces["end"], side="left") - 1
    times = last - first + 1
    cut = pieces.loc[pieces.index.repeat(times)].reset_index(drop=True)
    begins = np.cumsum(times) - times
    part = np.repeat(first, times) + np.arange(len(cut)) - np.repeat(begins, times)
    start, end = np.maximum(cut["start"], edges[part]), np.minimum(cut["end"], edges[part + 1])
    return cut.assign(start=start, end=end, part=part)


def _span(pieces: pd.DataFrame, zone: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    if pieces["start"].min() < EARLIEST or pieces["end"].max() > LATEST:
        raise DataError(
            f"the times, from {pieces['start'].min()} s, do not count from 1970, so they have no calendar day",
            hint="fsq-edge budget LOG without --zone",
        )
    ends = pd.to_datetime([pieces["start"].min(), pieces["end"].max()], unit="s", utc=True).tz_convert(zone)
    return ends[0], ends[1]


def _shares(pieces: pd.DataFrame, edges: Float64Array, names: list[str], column: str) -> pd.DataFrame:
    cut = cut_at(pieces, edges)
    total = lengths(cut).groupby(["stream", "part", "state"])["length_s"].sum()
    pairs = total.index.droplevel("state").unique()
    whole = pd.Series(np.diff(edges)[pairs.get_level_values("part")], index=pairs)
    table = with_uncovered(total, whole).sort_values(["part", "stream", "state"], ignore_index=True)
    table[column] = [names[part] for part in table["part"]]
    return table[["stream", column, "state", "total_s", "percent"]]
