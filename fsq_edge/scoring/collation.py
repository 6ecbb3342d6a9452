"""The decisions of all recordings as one file, and what they add up to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fsq_edge.scoring.entry import Entry
from fsq_edge.scoring.folder import read_entries, read_header
from fsq_edge.scoring.outputs import ParquetRows
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.files import whole_file
from fsq_edge_runtime.sources.parsing import DEFAULT_STREAM

READ_ROWS = 10_000


def collate(root: Path, out: Path) -> int:
    """Write the decisions of every recording of a scored archive to one file, in the order of the recordings' names.

    Each row's ``stream`` is the recording's name, followed by ``/`` and the stream where the file holds several, so
    that no two recordings are mixed up.

    Args:
        root: output folder of ``score``.
        out: ``NAME.jsonl`` or ``NAME.parquet``.

    Returns:
        How many rows were written.

    Raises:
        UsageError: another suffix.
        MissingInputError: ``root`` is no output folder of ``score``.
        DataError: a file of decisions is missing or damaged.
        UnavailableError: ``out`` cannot be written, or pyarrow is not installed.
    """
    if out.suffix not in (".jsonl", ".parquet"):
        raise UsageError(f"{out}: the suffix says what is written", hint="--out NAME.jsonl or --out NAME.parquet")
    header = read_header(root)
    if out.suffix == ".parquet":
        need("pyarrow.parquet", "parquet", "a Parquet file")
    count = 0
    with whole_file(out) as file:
        rows = ParquetRows(file, header.scores) if out.suffix == ".parquet" else None
        for row in read_rows(root):
            if rows is None:
                file.write((json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode())
            elif row["type"] in ("decision", "missed"):
                rows.add(row)
            else:
                continue
            count += 1
        if rows is not None:
            rows.close()
    return count


def read_rows(root: Path) -> Iterator[dict[str, Any]]:
    """Give the records of every recording of a scored archive, each with a ``stream`` that names its recording.

    Raises:
        MissingInputError: it is no output folder of ``score``.
        DataError: a file of decisions is missing or damaged.
    """
    read: Callable[[Path], Iterator[dict[str, Any]]]
    read = _read_parquet if read_header(root).format == "parquet" else _read_lines
    for entry in read_entries(root):
        if entry.output is not None:
            for row in _checked(root, entry, read):
                name = row.get("stream", DEFAULT_STREAM)
                yield {**row, "stream": entry.file if name == DEFAULT_STREAM else f"{entry.file}/{name}"}


def _checked(root: Path, entry: Entry, read: Callable[[Path], Iterator[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    try:
        yield from read(root / str(entry.output))
    except (OSError, ValueError) as error:
        raise DataError(
            f"the decisions of {entry.file} cannot be read: {getattr(error, 'strerror', None) or error}",
            hint="run fsq-edge score again with the same --out",
        ) from error


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    parquet: Any = need("pyarrow.parquet", "parquet", "reading decisions from Parquet")
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=READ_ROWS):
            for row in batch.to_pylist():
                yield {name: value for name, value in row.items() if value is not None or name not in _OPTIONAL}


_OPTIONAL = ("labels", "reason")  # fields that a JSON line has only where they say something
