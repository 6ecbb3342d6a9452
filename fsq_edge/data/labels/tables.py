"""Label files that are tables: BORIS tabular and aggregated exports (versions 7 and 8), and plain start, stop, label.

Source: BORIS user guide, "Export events" and "Export aggregated events", and the column lists of its exports.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence

from fsq_edge.data.labels.interval import LabelFile, LabelSpan, read_time
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tables.dialect import recognize_encoding

MAX_HEADER_LINES = 200
# As they stand after `_plain_name`: without units, the word time, and signs.
START_NAMES = ("start", "begin", "onset", "from", "tmin", "tstart")
STOP_NAMES = ("stop", "end", "offset", "to", "tmax", "tend")
LABEL_NAMES = ("label", "behavior", "behaviour", "class", "activity", "name", "species", "text", "annotation")
SUBJECT_NAMES = ("subject", "animal", "individual")
RECORDING_NAMES = ("recording", "file", "observationid", "observation", "session")
DURATION_NAMES = ("duration",)
NO_SUBJECT = ("no focal subject", "-", "")


def read_boris(data: bytes, name: str) -> LabelFile:
    """Read a BORIS export, tabular (a row each for START, STOP and POINT) or aggregated (a row an interval).

    Raises:
        DataError: no BORIS header, an unpaired START or STOP, a time that is none.
    """
    header, rows = _table(data, name, _is_boris, "a BORIS export has columns Behavior and Time or Start (s)")
    column = {cell.lower(): i for i, cell in reversed(list(enumerate(header)))}
    subject = column.get("subject", -1)
    observation = column.get("observation id", -1)
    behavior = column["behavior"]
    if "start (s)" in column:
        stops = column["stop (s)"]
        intervals = [
            _interval(cells, line, column["start (s)"], stops, behavior, subject, observation, name)
            for line, cells in rows
        ]
        return LabelFile(name, "boris-aggregated", tuple(intervals))
    kind = column.get("status", column.get("behavior type", -1))
    return LabelFile(name, "boris", tuple(_paired(rows, column["time"], behavior, subject, observation, kind, name)))


def read_plain(data: bytes, name: str) -> LabelFile:
    """Read ``start, stop, label`` with optional ``subject`` and ``recording``; without a header in that order.

    Raises:
        DataError: no such columns, a time that is none, an end before its start.
    """
    header, rows = _table(data, name, None, "a label table has columns start, stop, label")
    lower = [_plain_name(cell) for cell in header]

    def find(names: Sequence[str]) -> int:
        return next((lower.index(found) for found in names if found in lower), -1)

    start, stop, label = find(START_NAMES), find(STOP_NAMES), find(LABEL_NAMES)
    subject, recording, duration = find(SUBJECT_NAMES), find(RECORDING_NAMES), find(DURATION_NAMES)
    if start < 0 or label < 0 or (stop < 0 and duration < 0):
        if not header or not _is_time(header[0], name):
            raise DataError(
                f"{name}, line 1: columns {', '.join(map(repr, header[:8]))}; expected start, stop, label[, subject]",
                hint="name the columns so, or give --format",
            )
        start, stop, label, duration = 0, 1, 2, -1
        subject, recording = (3 if len(header) > 3 else -1), -1
        rows = [(1, header), *rows]
    intervals = []
    for line, cells in rows:
        found = _interval(cells, line, start, stop if stop >= 0 else start, label, subject, recording, name)
        if stop < 0:
            seconds, _ = read_time(_cell(cells, duration, line, name), f"{name}, line {line}")
            found = LabelSpan(
                found.start, found.start + seconds, found.label, found.subject, found.recording, found.absolute, line
            )
        if found.stop < found.start:
            raise DataError(f"{name}, line {line}: it ends at {found.stop:g}, before its start at {found.start:g}")
        intervals.append(found)
    return LabelFile(name, "plain", tuple(intervals))


def read_audacity(data: bytes, name: str) -> LabelFile:
    """Read an Audacity label track: ``start TAB stop TAB label``; lines of frequencies (a backslash) are passed over.

    Raises:
        DataError: a line is none of these.
    """
    intervals = []
    for line, text in enumerate(data.decode(recognize_encoding(data), "replace").splitlines(), 1):
        if not text.strip() or text.startswith("\\"):
            continue
        cells = text.rstrip("\n").split("\t")
        if len(cells) < 2:
            raise DataError(f"{name}, line {line}: {text[:40]!r} is not start, stop and label parted by tabs")
        start, absolute = read_time(cells[0], f"{name}, line {line}")
        stop, _ = read_time(cells[1], f"{name}, line {line}")
        intervals.append(
            LabelSpan(start, stop, cells[2].strip() if len(cells) > 2 else "", absolute=absolute, line=line)
        )
    return LabelFile(name, "audacity", tuple(interval for interval in intervals if interval.label))


def is_boris(data: bytes) -> bool:
    """Whether the first lines hold a BORIS header."""
    return any(_is_boris(cells) for _, cells in _head(data))


def _paired(
    rows: Sequence[tuple[int, list[str]]],
    time: int,
    behavior: int,
    subject: int,
    observation: int,
    kind: int,
    name: str,
) -> Iterator[LabelSpan]:
    """Pair START with STOP by observation, subject and behavior."""
    open_since: dict[tuple[str, str, str], tuple[float, int]] = {}
    for line, cells in rows:
        at, _ = read_time(_cell(cells, time, line, name), f"{name}, line {line}")
        who = _optional(cells, subject)
        who = "" if who.lower() in NO_SUBJECT else who
        where, what = _optional(cells, observation), _cell(cells, behavior, line, name)
        status = _optional(cells, kind).upper()
        key = (where, who, what)
        if status.startswith("START"):
            if key in open_since:
                raise DataError(
                    f"{name}, line {line}: {what!r} of {who or 'no subject'} starts again, its START in line "
                    f"{open_since[key][1]} has no STOP",
                    hint="add the STOP in BORIS and export again",
                )
            open_since[key] = (at, line)
        elif status.startswith("STOP"):
            if key not in open_since:
                raise DataError(
                    f"{name}, line {line}: {what!r} of {who or 'no subject'} stops without a START",
                    hint="add the START in BORIS and export again",
                )
            began, first = open_since.pop(key)
            yield LabelSpan(began, at, what, who, where, line=first)
        else:
            yield LabelSpan(at, at, what, who, where, line=line)
    for (_, who, what), (_, line) in open_since.items():
        raise DataError(
            f"{name}, line {line}: START of {what!r} of {who or 'no subject'} has no STOP",
            hint="add the STOP in BORIS and export again",
        )


def _interval(
    cells: list[str], line: int, start: int, stop: int, label: int, subject: int, recording: int, name: str
) -> LabelSpan:
    where = f"{name}, line {line}"
    begin, absolute = read_time(_cell(cells, start, line, name), where)
    text = _cell(cells, stop, line, name)
    end = begin if text.upper() in ("", "NA") else read_time(text, where)[0]
    who = _optional(cells, subject)
    return LabelSpan(
        begin,
        end,
        _cell(cells, label, line, name),
        "" if who.lower() in NO_SUBJECT else who,
        _optional(cells, recording),
        absolute,
        line,
    )


def _table(data: bytes, name: str, is_header: object, hint: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    lines = _head(data, None)
    for at, (_, cells) in enumerate(lines):
        if is_header is None or is_header(cells):  # type: ignore[operator]  # a function of the cells, or None
            return cells, [(line, row) for line, row in lines[at + 1 :] if any(row)]
        if at > MAX_HEADER_LINES:
            break
    raise DataError(f"{name} has no header that is known", hint=hint)


def _head(data: bytes, limit: int | None = MAX_HEADER_LINES) -> list[tuple[int, list[str]]]:
    text = data.decode(recognize_encoding(data), "replace").lstrip("\ufeff")
    lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")][
        :limit
    ]
    counts = {mark: sum(line.count(mark) for _, line in lines[:50]) for mark in ("\t", ";", ",")}
    delimiter = max(counts, key=lambda mark: counts[mark])
    try:
        return [(i, [cell.strip() for cell in next(csv.reader((line,), delimiter=delimiter))]) for i, line in lines]
    except (csv.Error, StopIteration):
        return []


def _is_boris(cells: Sequence[str]) -> bool:
    lower = {cell.lower() for cell in cells}
    return "behavior" in lower and (
        "start (s)" in lower or ("time" in lower and bool(lower & {"status", "behavior type"}))
    )


def _plain_name(cell: str) -> str:
    letters = re.sub(r"\(.*?\)|\[.*?\]", "", cell.lower())
    return re.sub(r"[^a-z]|[_ ](s|sec|secs|seconds)$|time", "", re.sub(r"[_ ](s|sec|secs|seconds)\s*$", "", letters))


def _is_time(text: str, name: str) -> bool:
    try:
        read_time(text, name)
    except DataError:
        return False
    return True


def _cell(cells: list[str], at: int, line: int, name: str) -> str:
    if not 0 <= at < len(cells):
        raise DataError(f"{name}, line {line}: {len(cells)} columns, at least {at + 1} are needed")
    return cells[at]


def _optional(cells: list[str], at: int) -> str:
    return cells[at] if 0 <= at < len(cells) else ""
