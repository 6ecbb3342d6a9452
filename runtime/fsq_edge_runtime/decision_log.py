"""The log of a run, JSON lines or Parquet, read back: as it stands, or as records."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import read_errors
from fsq_edge_runtime.parquet_log import is_parquet, read_rows
from fsq_edge_runtime.stream.records import Decision, Record, StreamEvent

MAX_LINE: Final = 1 << 20
WINDOWS: Final = ("decision", "missed")
HINT: Final = "give files of fsq-edge run --sink jsonl:LOG"


def read_windows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a log that are windows; their ``t_start`` and ``t_end`` are floats, start before end.

    Args:
        path: JSON lines of ``run``; half-written lines, as killed runs leave them, are left out. Or a Parquet file
            or a folder of them.

    Raises:
        MissingInputError: the file cannot be read.
        DataError: a line is not of ``run``.
        UnavailableError: a Parquet file without pyarrow.
    """
    return (line for line in _lines(path) if line["type"] in WINDOWS)


def replay_logs(paths: Iterable[Path]) -> Iterator[Record]:
    """Yield the windows and drift records of logs as records; the log that begins first comes first.

    Args:
        paths: as of ``read_windows``; Parquet files hold no drift records.

    Raises:
        MissingInputError: a file cannot be read.
        DataError: a line is not of ``run``, or there is no window.
    """
    begins = {}
    for path in dict.fromkeys(paths):
        first = next(read_windows(path), None)
        if first is not None:
            begins[path] = first["t_start"]
    if not begins:
        raise DataError("the logs hold no decision", hint=HINT)
    for path in sorted(begins, key=lambda one: float(begins[one])):
        for line in _lines(path):
            yield _window(line) if line["type"] in WINDOWS else StreamEvent("drift", str(line.get("stream")), line)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if is_parquet(path):
        for row, where in read_rows(path):
            yield _checked(row, where)
        return
    with read_errors(path), path.open("rb") as file:
        number = 0
        while text := file.readline(MAX_LINE):
            number += 1
            if not text.strip() or _torn(text):
                continue
            line = _read(text, f"{path}, line {number}")
            if line["type"] in WINDOWS or line["type"] == "drift":
                yield line


def _torn(text: bytes) -> bool:
    return len(text) < MAX_LINE and text.startswith(b"{") and not text.rstrip().endswith(b"}")


def _read(text: bytes, where: str) -> dict[str, Any]:
    try:
        return _checked(json.loads(text), where)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no line of run", hint=HINT) from error


def _checked(line: dict[str, Any], where: str) -> dict[str, Any]:
    try:
        kind = line["type"]
        if kind not in WINDOWS:
            return line
        start, end = float(line["t_start"]), float(line["t_end"])
        line |= {"t_start": start, "t_end": end, "stream": str(line.get("stream", "0"))}
        label = line.get("label")
        line["label"] = None if label is None else str(label)
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{where} is no line of run", hint=HINT) from error
    if not (math.isfinite(start) and math.isfinite(end) and start < end):
        raise DataError(f"{where}: t_start {start} and t_end {end} are no window", hint=HINT)
    return line


def _window(line: dict[str, Any]) -> Decision:
    """Return the record of a window, without what only the run itself knew."""
    missed = str(line.get("reason")) if line["type"] == "missed" else None
    seq = line.get("seq")
    return Decision(
        seq if isinstance(seq, int) else 0, line["stream"], line["t_start"], line["t_end"], line["label"], None, None,
        None, (), "", missed, None, None, (0, 0, 0, 0, 0),
    )  # fmt: skip
