"""Bouts, time budgets and transitions of the pieces that ``read_decisions`` returns."""

from __future__ import annotations

import pandas as pd

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
    total = lengths(pieces).groupby(["stream", "state"])["length_s"].sum()
    spans = pieces.groupby("stream").agg(start=("start", "min"), end=("end", "max"))
    budget = with_uncovered(total, spans["end"] - spans["start"])
    found = bouts(pieces, min_bout_s, max_break_s)
    found["between"] = found["start"] - found.groupby(["stream", "state"])["end"].shift()
    counted = found.groupby(["stream", "state"]).agg(
        count=("length_s", "size"), mean_s=("length_s", "mean"), sd_s=("length_s", "std"), between_s=("between", "mean")
    )
    budget = budget.merge(counted.reset_index(), on=["stream", "state"], how="left")
    budget["count"] = budget["count"].fillna(0).astype(int)
    return budget


def lengths(pieces: pd.DataFrame) -> pd.DataFrame:
    """Return the pieces with ``length_s``."""
    return pieces.assign(length_s=pieces["end"] - pieces["start"])


def with_uncovered(total: pd.Series, whole: pd.Series) -> pd.DataFrame:
    """Add the time that no window covers, so that the shares of ``whole`` add up to 100 %.

    Args:
        total: seconds by the keys of ``whole`` and ``state``.
        whole: seconds by stream, or by stream and further keys.
    """
    keys = list(whole.index.names)
    rest = (whole - total.groupby(keys).sum()).clip(lower=0.0).rename("total_s").reset_index().assign(state=UNCOVERED)
    table = pd.concat([total.rename("total_s").reset_index(), rest[[*keys, "state", "total_s"]]], ignore_index=True)
    table["percent"] = 100.0 * table["total_s"] / table.merge(whole.rename("whole"), on=keys, how="left")["whole"]
    return table.sort_values([*keys, "state"], ignore_index=True)


def transitions(pieces: pd.DataFrame) -> pd.DataFrame:
    """Count the changes from one state straight to another; a change across time without data counts nothing.

    Args:
        pieces: table of ``read_decisions``.

    Returns:
        ``stream``, ``state``, ``next``, ``count``, and ``share``: of the changes out of ``state``, 0 to 1.
    """
    table = pieces.sort_values(["stream", "start"])
    after = table.groupby("stream")[["state", "start"]].shift(-1)
    changes = table.assign(next=after["state"])[(after["start"] == table["end"]) & (after["state"] != table["state"])]
    counted = changes.groupby(["stream", "state", "next"]).size().rename("count").reset_index()
    counted["share"] = counted["count"] / counted.groupby(["stream", "state"])["count"].transform("sum")
    return counted
