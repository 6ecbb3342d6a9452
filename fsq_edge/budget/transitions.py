"""Which behaviour follows which."""

from __future__ import annotations

import pandas as pd


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
