"""Records as Parquet files of an hour each, every file whole or not there."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.files import WRITE_HINT, whole_file
from fsq_edge_runtime.sinks.line_protocol import EARLIEST_S, LATEST_S
from fsq_edge_runtime.stream.records import Decision, Record, StreamEvent

HOUR_S = 3600
MAX_ROWS = 50_000  # of a file: a gateway with many streams writes several an hour
MAX_OPEN_HOURS = 8  # streams whose clocks differ are in different hours at a time
_PART = re.compile(r"-(\d{4,})\.parquet$")


class ParquetSink:
    """Collects windows and writes those of one hour as ``DIR/HOUR-NUMBER.parquet``.

    The hour is that of the window's last sample, in UTC where the source counts from 1970, else counted from its
    start. A file is written when its hour is over, an hour after its first row at the latest, with ``MAX_ROWS`` rows,
    and at the end; it appears whole or not at all. What is not written yet is lost by a kill. Files that are there
    already are never touched. Events are left out.

    Args:
        folder: where to; made if needed.
        scores: with the probabilities of every class.
        now_s: seconds of a clock that never goes back.

    Attributes:
        name: ``parquet``.
        counters: records taken, files written.

    Raises:
        UnavailableError: pyarrow is not installed, or the folder cannot be written.
    """

    def __init__(self, folder: Path, *, scores: bool = False, now_s: Callable[[], float] = time.monotonic) -> None:
        self._arrow: Any = need("pyarrow", "parquet", "--sink parquet:")
        self._parquet: Any = need("pyarrow.parquet", "parquet", "--sink parquet:")
        self.name, self.counters = "parquet", {"records": 0, "files": 0}
        self._folder, self._scores, self._now_s = folder, scores, now_s
        self._hours: dict[str, _Hour] = {}  # the most recent last
        self._schema = self._make_schema()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"cannot write {folder}: {error.strerror}", hint=WRITE_HINT) from error
        self._number = 1 + max((_number_of(path) for path in folder.glob("*.parquet")), default=-1)
        self._schema.empty_table()  # what pyarrow loads late is loaded now, not beside a stream

    def write(self, record: Record) -> None:
        """Take one window; write what is due.

        Raises:
            OSError: a file cannot be written; its rows are lost.
        """
        if isinstance(record, Decision):
            key = hour_name(record.t_end)
            hour = self._hours.pop(key, None) or _Hour(self._now_s())
            self._hours[key] = hour
            hour.rows.append(record)
            hour.streams.add(record.stream)
            self.counters["records"] += 1
            # A stream that has entered an hour has ended the hours before it; so has everybody in an hour of its own.
            over = [other for other, held in self._hours.items() if other != key and held.streams <= {record.stream}]
            for other in over:
                self._flush(other)
        elif isinstance(record, StreamEvent) and record.kind == "end":
            self._flush_all()
        self._flush_late()

    def close(self) -> None:
        """Write what is left, where a run ended without its ``end`` record."""
        with contextlib.suppress(OSError):  # the run ended with another error, which says more
            self._flush_all()

    def _flush_all(self) -> None:
        for key in list(self._hours):
            self._flush(key)

    def _flush_late(self) -> None:
        for key, hour in list(self._hours.items()):
            if len(hour.rows) >= MAX_ROWS or self._now_s() - hour.begun >= HOUR_S:
                self._flush(key)
        while len(self._hours) > MAX_OPEN_HOURS:
            self._flush(next(iter(self._hours)))

    def _flush(self, key: str) -> None:
        rows = self._hours.pop(key).rows
        table = self._arrow.Table.from_pydict(self._columns(rows), schema=self._schema)
        path = self._folder / f"{key}-{self._number:04d}.parquet"
        self._number += 1
        try:
            with whole_file(path) as file:
                self._parquet.write_table(table, file, compression="zstd")
        except UnavailableError as error:
            raise OSError(0, error.message.partition(": ")[2], str(path)) from error
        self.counters["files"] += 1

    def _make_schema(self) -> Any:
        arrow = self._arrow
        text, number, whole = arrow.string(), arrow.float64(), arrow.int64()
        label = arrow.dictionary(arrow.int32(), text)
        fields = [("type", label), ("seq", whole), ("stream", label), ("t_start", number), ("t_end", number)]
        fields += [("label", label), ("raw_label", label), ("confidence", number), ("code", whole)]
        fields += [
            ("quality", arrow.list_(text)),
            ("labels", arrow.list_(text)),
            ("backend", label),
            ("reason", label),
            ("latency_us", number),
        ]
        if self._scores:
            fields += [("probabilities", arrow.list_(number)), ("smoothed", arrow.list_(number))]
        return arrow.schema(fields)

    def _columns(self, rows: list[Decision]) -> dict[str, list[Any]]:
        lines = [row.to_dict(latency=False, scores=self._scores) for row in rows]
        columns = {name: [line.get(name) for line in lines] for name in self._schema.names}
        columns["latency_us"] = [row.stages_ns[-1] / 1e3 for row in rows]
        return columns


class _Hour:
    """Rows of one hour that are not written yet."""

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.rows: list[Decision] = []
        self.streams: set[str] = set()


def hour_name(t_end: float) -> str:
    """Return the name of the hour of a time.

    Example:
        >>> hour_name(1711839600.0), hour_name(7300.5)
        ('20240330T23Z', 'hour-000002')
    """
    if math.isfinite(t_end) and EARLIEST_S <= t_end <= LATEST_S:
        return datetime.fromtimestamp(t_end, UTC).strftime("%Y%m%dT%HZ")
    return f"hour-{int(t_end // HOUR_S) if math.isfinite(t_end) else 0:06d}"


def _number_of(path: Path) -> int:
    found = _PART.search(path.name)
    return int(found[1]) if found else -1
