"""JSON lines and CSV, to a file or standard output: every record is one write, so nobody reads half a line."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import select
import stat
import sys
import threading
import time
from pathlib import Path

from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.stream.records import Decision, Record

POLL_MS = 100
GRACE_S = 0.3  # for a reader that is only slow, when the stream must end
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode  # json.dumps makes an encoder for every line
_ANSWER = ("label", "raw_label", "confidence", "code", "quality", "backend", "reason", "labels")
COLUMNS = ("type", "seq", "stream", "t_start", "t_end", *_ANSWER)


class Output:
    """An unbuffered file, or standard output. A file is made, or emptied, by the first write.

    Args:
        path: None is standard output.
        append: keep what the file holds.
        stop: once it is set, a pipe whose reader takes nothing is given up after ``GRACE_S``.

    Raises:
        UnavailableError: the file's folder is missing or cannot be written.
    """

    def __init__(self, path: Path | None, *, append: bool = False, stop: threading.Event | None = None) -> None:
        self._path, self._append, self._stop = path, append, stop
        self._poll: select.poll | None = None  # of what may keep its writer waiting: all but regular files
        self._descriptor: int | None = None
        self._opened = False
        if path is not None and (path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK)):
            raise UnavailableError(f"cannot write {path}", hint="is its folder there, and may you write to it?")

    def write(self, text: str) -> None:
        """Write text whole; what a full disk takes a part of is taken back, so that only whole lines stay.

        Raises:
            OSError: it cannot be written; its ``filename`` says where to.
        """
        if not self._opened:
            self._open()
        if self._descriptor is None:
            sys.stdout.write(text)
            return
        data, written = memoryview(text.encode()), 0
        try:
            while written < len(data):
                if self._poll is None:
                    written += os.write(self._descriptor, data[written:])
                else:
                    self._wait(self._poll)
                    written += os.write(self._descriptor, data[written : written + select.PIPE_BUF])
        except OSError as error:
            if self._poll is None and written:
                end = os.lseek(self._descriptor, 0, os.SEEK_CUR) - written
                os.ftruncate(self._descriptor, end)
                os.lseek(self._descriptor, end, os.SEEK_SET)
            raise OSError(error.errno, error.strerror, str(self._path or "standard output")) from error

    def _wait(self, poll: select.poll) -> None:
        given_up = None
        while not poll.poll(POLL_MS):
            if self._stop is not None and self._stop.is_set():
                given_up = given_up or time.monotonic() + GRACE_S
                if time.monotonic() > given_up:
                    raise OSError(errno.EAGAIN, "its reader takes nothing")

    def close(self) -> None:
        """Close the file; standard output is left open."""
        if self._path is not None and self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> None:
        self._opened = True
        if self._path is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_APPEND if self._append else os.O_TRUNC)
            self._descriptor = os.open(self._path, flags, 0o666)
            self._watch()
            if self._append and self._poll is None:
                self._end_line()
            return
        # Past Python's buffer: a reader that hangs must not hold up the end of the process.
        if sys.stdout is None:
            raise UnavailableError("this process has no standard output", hint="--sink jsonl:FILE")
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            self._descriptor = sys.stdout.fileno()
            self._watch()

    def _end_line(self) -> None:
        """End the line that a killed run left half written, so that the next one is whole."""
        if self._path is not None and self._descriptor is not None and self._path.stat().st_size:
            with self._path.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    os.write(self._descriptor, b"\n")

    def _watch(self) -> None:
        if self._descriptor is not None and not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            self._poll = select.poll()
            self._poll.register(self._descriptor, select.POLLOUT)


class JsonlSink:
    """One JSON object a line for every record.

    Args:
        output: where to.
        latency: with latencies; without them a replay gives the same bytes every time.
        scores: with the raw and smoothed probabilities of every class.
    """

    name = "jsonl"

    def __init__(self, output: Output, *, latency: bool = True, scores: bool = False) -> None:
        self.counters = {"records": 0}
        self._output, self._latency, self._scores = output, latency, scores

    def write(self, record: Record) -> None:
        """Write one line."""
        self._output.write(json_line(record, latency=self._latency, scores=self._scores))
        self.counters["records"] += 1

    def close(self) -> None:
        """Close the file."""
        self._output.close()


class CsvSink:
    """One row for every window; events are left out.

    Args:
        output: where to.
    """

    name = "csv"

    def __init__(self, output: Output) -> None:
        self.counters = {"records": 0}
        self._output = output
        self._headed = False

    def write(self, record: Record) -> None:
        """Write one row."""
        if not self._headed:
            self._output.write(_csv_line(COLUMNS))
            self._headed = True
        if isinstance(record, Decision):
            line = record.to_dict(latency=False)
            for several in ("quality", "labels"):
                line[several] = " ".join(line.get(several, ()))
            cells = [line.get(column) for column in COLUMNS]
            self._output.write(_csv_line(["" if cell is None else cell for cell in cells]))
            self.counters["records"] += 1

    def close(self) -> None:
        """Close the file."""
        self._output.close()


def json_line(record: Record, *, latency: bool = True, scores: bool = False) -> str:
    """Return a record as one line of JSON with its end."""
    line = record.to_dict(latency, scores=scores) if isinstance(record, Decision) else record.to_dict()
    return _encode(line) + "\n"


def _csv_line(cells: object) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)  # type: ignore[arg-type]  # any sequence will do
    return buffer.getvalue()
