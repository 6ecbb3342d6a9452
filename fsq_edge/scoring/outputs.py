"""Files of decisions: JSON lines as ``run`` writes them, or one Parquet file; whole or not there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import IO, Any, Protocol

from fsq_edge.scoring.settings import Format
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.files import whole_file
from fsq_edge_runtime.sinks.files import json_line
from fsq_edge_runtime.stream.records import Decision, Record

GROUP_ROWS = 50_000  # of a Parquet row group; what is held in memory


class RecordFile(Protocol):
    """Where the records of one recording go."""

    def write(self, record: Record) -> None:
        """Take one record."""


@contextmanager
def open_records(path: Path, format: Format, scores: bool) -> Iterator[RecordFile]:
    """Give a file of decisions; it appears when the block ends well.

    Raises:
        UnavailableError: no permission or no space, or pyarrow is not installed.
    """
    if format == "parquet":
        need("pyarrow.parquet", "parquet", "--format parquet")
    with whole_file(path) as file:
        if format == "jsonl":
            yield _Lines(file, scores)
            return
        rows = ParquetRows(file, scores)
        yield rows
        rows.close()


class _Lines:
    def __init__(self, file: IO[bytes], scores: bool) -> None:
        self._file, self._scores = file, scores

    def write(self, record: Record) -> None:
        if isinstance(record, Decision) and not self._scores:
            self._file.write(plain_line(record).encode())
        else:
            self._file.write(json_line(record, latency=False, scores=self._scores).encode())


def plain_line(decision: Decision) -> str:
    """Return what ``json_line`` makes of a decision without latency and scores.

    Cost: a third of the general way; in an archive writing would otherwise take a fifth of deciding.
    """
    seq, stream, start, end, label, raw, confidence, code, flags, backend = decision[:10]
    finite = isfinite(start) and isfinite(end) and (confidence is None or isfinite(confidence))
    if decision.missed or decision.labels is not None or not finite:
        return json_line(decision, latency=False)
    return (
        f'{{"type": "decision", "seq": {seq}, "stream": {_text(stream)}, "t_start": {_number(start)}, '
        f'"t_end": {_number(end)}, "label": {_text(label)}, "raw_label": {_text(raw)}, '
        f'"confidence": {"null" if confidence is None else _number(confidence)}, '
        f'"code": {"null" if code is None else code}, "quality": {_flags(flags)}, "backend": {_text(backend)}}}\n'
    )


_number = float.__repr__


@lru_cache(maxsize=8192)
def _text(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)


@lru_cache(maxsize=8192)
def _flags(flags: tuple[str, ...]) -> str:
    return json.dumps(flags, ensure_ascii=False)


class ParquetRows:
    """Windows as rows of a Parquet file; gaps and other events are left out.

    Args:
        file: to write to.
        scores: with the probabilities of every class.
        extra: names of text columns that come first.
    """

    def __init__(self, file: IO[bytes], scores: bool, extra: tuple[str, ...] = ()) -> None:
        self._arrow: Any = need("pyarrow", "parquet", "--format parquet")
        parquet: Any = need("pyarrow.parquet", "parquet", "--format parquet")
        self._schema = _schema(self._arrow, scores, extra)
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._scores = scores
        self._rows: list[dict[str, Any]] = []

    def write(self, record: Record) -> None:
        """Take one record."""
        if isinstance(record, Decision):
            self.add(record.to_dict(latency=False, scores=self._scores))

    def add(self, row: dict[str, Any]) -> None:
        """Take the fields of one window."""
        self._rows.append(row)
        if len(self._rows) >= GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left and the file's end."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            columns = {name: [row.get(name) for row in self._rows] for name in self._schema.names}
            self._writer.write_table(self._arrow.Table.from_pydict(columns, schema=self._schema))
            self._rows = []


def _schema(arrow: Any, scores: bool, extra: tuple[str, ...]) -> Any:
    text, number, whole = arrow.string(), arrow.float64(), arrow.int64()
    label = arrow.dictionary(arrow.int32(), text)
    fields = [*((name, label) for name in extra), ("type", label), ("seq", whole), ("stream", label)]
    fields += [("t_start", number), ("t_end", number), ("label", label), ("raw_label", label), ("confidence", number)]
    fields += [("code", whole), ("quality", arrow.list_(text)), ("backend", label), ("labels", arrow.list_(text))]
    fields += [("reason", label)]
    if scores:
        fields += [("probabilities", arrow.list_(number)), ("smoothed", arrow.list_(number))]
    return arrow.schema(fields)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
