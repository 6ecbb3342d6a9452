"""Which stream is whose, and the budget of each subject and of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fsq_edge.budget.shares import UNCOVERED
from fsq_edge.budget.truth import read_csv
from fsq_edge_runtime.errors import DataError

EVERYBODY = "(all subjects)"


def read_subjects(path: Path) -> dict[str, str]:
    """Return the subject of each stream.

    Args:
        path: CSV with the columns ``stream`` and ``subject``.

    Raises:
        MissingInputError: it cannot be read.
        DataError: it is no such file, or a stream has two subjects.
    """
    table = read_csv(path, ("stream", "subject"))
    twice = table.duplicated("stream")
    if twice.any():
        raise DataError(f"{path}: stream {table[twice].iloc[0]['stream']!r} stands in two rows")
    return dict(zip(table["stream"], table["subject"], strict=True))


def subject_budget(budget: pd.DataFrame, subjects: Mapping[str, str]) -> pd.DataFrame:
    """Add up the streams of each subject, and average over the subjects.

    Args:
        budget: table of ``time_budget``.
        subjects: subject by stream; a stream that is missing is a subject of its own.

    Returns:
        ``subject``, ``state``, ``total_s``, ``percent`` (of all time of the subject's streams) and ``sd`` (NaN for one
        subject). The rows of ``(all subjects)`` are mean and standard deviation (n - 1) over subjects of ``percent``,
        each subject counting once, however long it was recorded.
    """
    owner = budget["stream"].map(lambda stream: subjects.get(stream, stream))
    total = budget.assign(subject=owner).groupby(["subject", "state"])["total_s"].sum().unstack(fill_value=0.0)
    percent = 100.0 * total.div(total.sum(axis=1), axis=0)
    if UNCOVERED not in percent:
        percent[UNCOVERED] = total[UNCOVERED] = 0.0
    rows = percent.stack().rename("percent").to_frame().join(total.stack().rename("total_s")).reset_index()
    rows["sd"] = float("nan")
    overall = pd.DataFrame(
        {
            "subject": EVERYBODY,
            "state": percent.columns,
            "total_s": total.sum().to_numpy(),
            "percent": percent.mean().to_numpy(),
            "sd": percent.std(ddof=1).to_numpy(),
        }
    )
    table = pd.concat([rows, overall], ignore_index=True)
    return table[["subject", "state", "total_s", "percent", "sd"]]
