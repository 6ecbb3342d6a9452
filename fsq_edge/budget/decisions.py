"""Decision logs read into one table of pieces of time that never overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from fsq_edge.scoring.collation import read_rows
from fsq_edge_runtime.decision_log import read_windows
from fsq_edge_runtime.errors import DataError

ABSTAINED, MISSED = "(abstained)", "(missed)"
MAX_ROWS = 20_000_000  # about two years of one stream at one decision in three seconds
JOIN = 0.1  # windows without overlap end one sample before the next starts: a step this small is no gap


def read_decisions(logs: Iterable[Path]) -> pd.DataFrame:
    """Read JSON-lines logs of ``run`` into pieces of time, in any order of the files.

    A decision counts for the time from the end of the window before it (or its own start, after a gap) to its own end,
    so overlapping windows count no moment twice.

    Args:
        logs: JSON-lines files, or output folders of ``score``, whose streams are the recordings. A decision that stands
            in two of them counts once, and a half-written last line is left out.

    Returns:
        One row a piece: ``stream``, ``start`` and ``end`` (seconds of the source), ``state`` (the label, or
        ``(abstained)``, ``(missed)``), sorted by stream and time.

    Raises:
        MissingInputError: a file cannot be read.
        DataError: a line is not of ``run``, no decision is found, or two logs contradict each other.
    """
    rows: list[tuple[str, float, float, str]] = []
    for path in logs:
        for row in _rows(path):
            rows.append(row)
            if len(rows) > MAX_ROWS:
                raise DataError(f"the logs hold more than {MAX_ROWS:,} decisions", hint="give fewer logs")
    if not rows:
        raise DataError("the logs hold no decision", hint="fsq-edge run BUNDLE --source S --sink jsonl:LOG")
    table = pd.DataFrame(rows, columns=["stream", "start", "end", "state"]).drop_duplicates()
    table = table.sort_values(["stream", "end", "start", "state"], ignore_index=True)
    twice = table.duplicated(["stream", "end"])
    if twice.any():
        row = table[twice].iloc[0]
        raise DataError(
            f"stream {row.stream!r} has two different decisions that end at {row.end} s",
            hint="the logs are of different runs: run fsq-edge budget on each of them",
        )
    before = table.groupby("stream")["end"].shift()
    joined = table["start"] - before < JOIN * (table["end"] - table["start"])
    table["start"] = table["start"].where(before.isna() | ~joined, before)
    return table


def _rows(path: Path) -> Iterator[tuple[str, float, float, str]]:
    lines = (row for row in read_rows(path) if row["type"] != "gap") if path.is_dir() else read_windows(path)
    for line in lines:
        label = line["label"]
        state = MISSED if line["type"] == "missed" else ABSTAINED if label is None else label
        yield line["stream"], line["t_start"], line["t_end"], state
