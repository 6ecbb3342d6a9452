"""Bouts and time budgets of the pieces that ``read_decisions`` returns."""

from __future__ import annotations

import pandas as pd

from fsq_edge_runtime.errors import DataError

EARLIEST, LATEST = 31_536_000, 2**32  # 1971 to 2106: counted from a start of its own, a source is below
UNCOVERED = "(no data)"


def bouts(pieces: pd.DataFrame, min_bout_s: float = 0.0, max_break_s: float = 0.0) -> pd.DataFrame:
    """Join pieces of one state into bouts.

    Args:
        pieces: table of ``read_decisions``.
        min_bout_s: bouts shorter than this are left out, after joining, seconds.
        max_break_s: two pieces of a state that lie at most this far apart are one bout, seconds.

    Returns:
        One row a bout: ``stream``, ``state``, ``start``, ``end``, ``length_s`` (end - start, breaks included).
    """
    table = pieces.sort_values(["stream", "state", "start"], ignore_index=True)
    keys = [table["stream"], table["state"]]
    new = ~(table["start"] - table.groupby(["stream", "state"])["end"].shift() <= max_break_s)
    joined = table.groupby([*keys, new.cumsum().rename("bout")]).agg(start=("start", "min"), end=("end", "max"))
    found = joined.reset_index().drop(columns="bout")
    found["length_s"] = found["end"] - found["start"]
    return found[found["length_s"] >= min_bout_s].sort_values(["stream", "start"], ignore_index=True)


def time_budget(pieces: pd.DataFrame, min_bout_s: float = 0.0, max_break_s: float = 0.0) -> pd.DataFrame:
    """Return one row a stream and state, over the time from the stream's first to its last window.

    Args:
        pieces: table of ``read_decisions``.
        min_bout_s: as in ``bouts``; ``total_s`` and ``percent`` do not depend on it.
        max_break_s: as in ``bouts``; ``total_s`` and ``percent`` do not depend on it.

    Returns:
        ``stream``, ``state``, ``total_s``, ``percent`` (a stream's rows add up to 100, with ``(no data)``), and of the
        bouts ``count``, ``mean_s``, ``sd_s`` (n - 1) and ``between_s`` (mean time from a bout's end to the next start).
    """
    total = _lengths(pieces).groupby(["stream", "state"])["length_s"].sum()
    spans = pieces.groupby("stream").agg(start=("start", "min"), end=("end", "max"))
    budget = _with_uncovered(total, spans["end"] - spans["start"], ["stream"])
    found = bouts(pieces, min_bout_s, max_break_s)
    found["between"] = found["start"] - found.groupby(["stream", "state"])["end"].shift()
    counted = found.groupby(["stream", "state"]).agg(
        count=("length_s", "size"), mean_s=("length_s", "mean"), sd_s=("length_s", "std"), between_s=("between", "mean")
    )
    budget = budget.merge(counted.reset_index(), on=["stream", "state"], how="left")
    budget["count"] = budget["count"].fillna(0).astype(int)
    return budget


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
    if pieces["start"].min() < EARLIEST or pieces["end"].max() > LATEST:
        raise DataError(
            f"the times, from {pieces['start'].min()} s, do not count from 1970, so they have no calendar day",
            hint="fsq-edge budget LOG without --zone",
        )
    ends = pd.to_datetime([pieces["start"].min(), pieces["end"].max()], unit="s", utc=True).tz_convert(zone)
    dates = pd.date_range(ends[0].date(), ends[1].date() + pd.Timedelta(days=1), freq="D")
    # A zone that changes its clock at midnight may have no 00:00, or two.
    midnights = dates.tz_localize(zone, ambiguous=[True] * len(dates), nonexistent="shift_forward")
    edges = [mark.timestamp() for mark in midnights]
    parts = []
    for date, low, high in zip(dates, edges, edges[1:], strict=False):
        part = pieces[(pieces["end"] > low) & (pieces["start"] < high)]
        if len(part):
            cut = part.assign(start=part["start"].clip(lower=low), end=part["end"].clip(upper=high))
            total = _lengths(cut).groupby(["stream", "state"])["length_s"].sum()
            whole = pd.Series(high - low, index=pd.Index(sorted(part["stream"].unique()), name="stream"))
            parts.append(_with_uncovered(total, whole, ["stream"]).assign(day=str(date.date())))
    return pd.concat(parts, ignore_index=True)[["stream", "day", "state", "total_s", "percent"]]


def _lengths(pieces: pd.DataFrame) -> pd.DataFrame:
    return pieces.assign(length_s=pieces["end"] - pieces["start"])


def _with_uncovered(total: pd.Series, whole: pd.Series, keys: list[str]) -> pd.DataFrame:
    """Add the time that no window covers, so that the shares of ``whole`` add up to 100 %."""
    rest = (whole - total.groupby(keys).sum()).clip(lower=0.0).rename("total_s").reset_index().assign(state=UNCOVERED)
    table = pd.concat([total.rename("total_s").reset_index(), rest[["stream", "state", "total_s"]]], ignore_index=True)
    table["percent"] = 100.0 * table["total_s"] / table["stream"].map(whole)
    return table.sort_values(["stream", "state"], ignore_index=True)
