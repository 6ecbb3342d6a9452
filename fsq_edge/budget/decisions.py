"""Decision logs read into one table of pieces of time that never overlap."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fsq_edge.scoring.collation import read_rows
from fsq_edge.scoring.entry import HEADER
from fsq_edge_runtime import parquet_log
from fsq_edge_runtime.decision_log import HINT, WINDOWS, read_windows
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.parquet_log import MAX_ROWS, is_parquet, read_batches

ABSTAINED, MISSED = "(abstained)", "(missed)"
COLUMNS = ["stream", "start", "end", "state"]
JOIN = 0.1  # windows without overlap end one sample before the next starts: a step this small is no gap


def read_decisions(logs: Iterable[Path]) -> pd.DataFrame:
    """Read logs of ``run`` into pieces of time, in any order of the files.

    A decision counts for the time from the end of the window before it (or its own start, after a gap) to its own end,
    so overlapping windows count no moment twice.

    Args:
        logs: JSON lines, Parquet files, folders of Parquet files, or output folders of ``score``, whose streams are the
            recordings. A decision that stands in two of them counts once, and half-written lines are left out.

    Returns:
        One row a piece: ``stream``, ``start`` and ``end`` (seconds of the source), ``state`` (the label, or
        ``(abstained)``, ``(missed)``), sorted by stream and time.

    Raises:
        MissingInputError: a file cannot be read.
        DataError: a file is not of ``run``, no decision is found, or two logs contradict each other.
        UnavailableError: a Parquet file without pyarrow.
    """
    parts, rows = [], 0
    for path in logs:
        part = _read_log(path)
        parts.append(part)
        rows += len(part)
        if rows > MAX_ROWS:
            raise DataError(f"the logs hold more than {MAX_ROWS:,} decisions", hint="give fewer logs")
    table = pd.concat(parts, ignore_index=True).drop_duplicates()
    if table.empty:
        raise DataError("the logs hold no decision", hint=HINT)
    return join_pieces(table)


def join_pieces(windows: pd.DataFrame) -> pd.DataFrame:
    """Return windows (``stream``, ``start``, ``end``, ``state``) as pieces that do not overlap, sorted.

    Raises:
        DataError: two windows of a stream end at one time.
    """
    table = windows.sort_values(["stream", "end", "start", "state"], ignore_index=True)
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


def _read_log(path: Path) -> pd.DataFrame:
    if path.is_dir() and (path / HEADER).is_file():
        return _read_lines(path, (row for row in read_rows(path) if row["type"] in WINDOWS))
    if is_parquet(path):
        return _read_parquet(path)
    return _read_lines(path, read_windows(path))


def _read_lines(path: Path, lines: Iterable[dict[str, Any]]) -> pd.DataFrame:
    rows: list[tuple[str, float, float, str]] = []
    for line in lines:
        label = line["label"]
        state = MISSED if line["type"] == "missed" else ABSTAINED if label is None else label
        rows.append((line["stream"], line["t_start"], line["t_end"], state))
        if len(rows) > MAX_ROWS:
            raise DataError(f"{path} holds more than {MAX_ROWS:,} decisions", hint="give fewer logs")
    return _as_table(pd.DataFrame(rows, columns=COLUMNS))


def _read_parquet(path: Path) -> pd.DataFrame:
    parts = [_as_table(pd.DataFrame([], columns=COLUMNS))]
    rows = 0
    for file, batch in read_batches(path, ("type", "stream", "t_start", "t_end", "label")):
        parts.append(_windows_of(batch.to_pandas(), file))
        rows += len(parts[-1])
        if rows > MAX_ROWS:
            raise DataError(f"{path} holds more than {MAX_ROWS:,} decisions", hint="give fewer logs")
    return pd.concat(parts, ignore_index=True)


def _windows_of(read: pd.DataFrame, file: Path) -> pd.DataFrame:
    try:
        start, end = read["t_start"].astype(float), read["t_end"].astype(float)
    except (ValueError, TypeError) as error:
        raise DataError(f"{file}: its times are no numbers", hint=parquet_log.HINT) from error
    if not (np.isfinite(start) & np.isfinite(end) & (start < end)).all():
        raise DataError(f"{file}: a t_start and t_end that are no window", hint=parquet_log.HINT)
    label = read["label"].astype(object)
    state = label.where(label.notna(), ABSTAINED).where(read["type"].astype(object) != "missed", MISSED)
    return _as_table(
        pd.DataFrame({"stream": read["stream"].astype(object), "start": start, "end": end, "state": state})
    )


def _as_table(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.astype({"stream": object, "start": float, "end": float, "state": object})
