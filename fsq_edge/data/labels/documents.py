"""Label files that are documents: ELAN ``.eaf`` (XML), Label Studio and Edge Impulse (JSON).

Source: ELAN annotation format (EAF 2.7 to 3.0); Label Studio, "Label Studio Task Format" and the time series template;
Edge Impulse, structured labels of multi-label samples.
"""

from __future__ import annotations

import json
import xml.parsers.expat
from collections.abc import Iterator
from typing import Any

from fsq_edge.data.labels.interval import LabelFile, LabelSpan, read_time
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import first_line

MAX_SLOTS = 2_000_000


def read_elan(data: bytes, name: str) -> LabelFile:
    """Read the annotations of an eaf file; a tier's participant is the subject.

    References to other annotations (dependent tiers without times of their own) take the times of what they refer to.

    Raises:
        DataError: not such a document, or a time slot is missing.
    """
    reader = _ElanReader()
    parser = xml.parsers.expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = _no_entities
    try:
        parser.Parse(data, True)
    except (xml.parsers.expat.ExpatError, ValueError, KeyError) as error:
        raise DataError(f"{name} is not a readable eaf file: {first_line(error)}") from error
    if not reader.root:
        raise DataError(f"{name} is not an ELAN document")
    return LabelFile(name, "elan", tuple(reader.intervals(name)))


def read_label_studio(data: bytes, name: str) -> LabelFile:
    """Read tasks exported as JSON (full or JSON-MIN) with time series labels.

    Raises:
        DataError: not such a document.
    """
    tasks = _json(data, name)
    tasks = tasks if isinstance(tasks, list) else [tasks]
    intervals: list[LabelSpan] = []
    for task in tasks:
        if not isinstance(task, dict):
            raise DataError(f"{name} is no list of Label Studio tasks")
        recording = _task_file(task)
        for value in _regions(task):
            labels = value.get("timeserieslabels") or value.get("labels") or []
            for label in labels:
                start, absolute = read_time(str(value.get("start")), name)
                stop, _ = read_time(str(value.get("end")), name)
                if absolute and start > 1e11:  # milliseconds since 1970
                    start, stop = start / 1000, stop / 1000
                intervals.append(LabelSpan(start, stop, str(label), recording=recording, absolute=absolute))
    if not intervals:
        raise DataError(f"{name} holds no time series labels", hint="export annotated tasks as JSON")
    return LabelFile(name, "label-studio", tuple(intervals))


def read_edge_impulse(data: bytes, name: str) -> LabelFile:
    """Read structured labels: for each file, ranges of sample indices.

    Raises:
        DataError: not such a document.
    """
    document = _json(data, name)
    found = document.get("structuredLabels") if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise DataError(f"{name} holds no structuredLabels")
    intervals = []
    for file, ranges in found.items():
        for entry in ranges if isinstance(ranges, list) else []:
            try:
                start, stop = int(entry["startIndex"]), int(entry["endIndex"]) + 1  # both ends are included
                label = str(entry["label"])
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{name}: a range of {file} lacks startIndex, endIndex or label") from error
            intervals.append(LabelSpan(start, stop, label, recording=str(file)))
    return LabelFile(name, "edge-impulse", tuple(intervals), in_samples=True)


class _ElanReader:
    """Collects time slots and annotations while the document is parsed."""

    def __init__(self) -> None:
        self.root = False
        self._slots: dict[str, float] = {}
        self._aligned: dict[str, tuple[float | None, float | None]] = {}
        self._found: list[tuple[str, str, str, str, str]] = []
        self._tier = self._who = self._kind = self._id = self._from = self._to = ""
        self._value: list[str] | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "ANNOTATION_DOCUMENT":
            self.root = True
        elif tag == "TIME_SLOT" and "TIME_VALUE" in attributes:
            if len(self._slots) >= MAX_SLOTS:
                raise ValueError(f"more than {MAX_SLOTS} time slots")
            self._slots[attributes["TIME_SLOT_ID"]] = int(attributes["TIME_VALUE"]) / 1000
        elif tag == "TIER":
            self._tier, self._who = attributes.get("TIER_ID", ""), attributes.get("PARTICIPANT", "")
        elif tag == "ALIGNABLE_ANNOTATION":
            self._kind, self._id = "aligned", attributes["ANNOTATION_ID"]
            self._from, self._to = attributes["TIME_SLOT_REF1"], attributes["TIME_SLOT_REF2"]
        elif tag == "REF_ANNOTATION":
            self._kind, self._id, self._from = "referring", attributes["ANNOTATION_ID"], attributes["ANNOTATION_REF"]
        elif tag == "ANNOTATION_VALUE":
            self._value = []

    def text(self, text: str) -> None:
        if self._value is not None:
            self._value.append(text)

    def end(self, tag: str) -> None:
        if tag != "ANNOTATION_VALUE" or self._value is None:
            return
        label, self._value = "".join(self._value).strip(), None
        if self._kind == "aligned":
            self._aligned[self._id] = self._slots.get(self._from), self._slots.get(self._to)
            source = self._id
        else:
            self._aligned.setdefault(self._id, self._aligned.get(self._from, (None, None)))
            source = self._from
        if label:
            self._found.append((source, self._tier, self._who, label, self._id))

    def intervals(self, name: str) -> Iterator[LabelSpan]:
        for source, tier, who, label, own in self._found:
            begin, end = self._aligned.get(source, (None, None))
            if begin is None or end is None:
                continue  # a slot without a time: the annotation hangs between two others
            if end < begin:
                raise DataError(f"{name}: annotation {own} ends before it begins")
            yield LabelSpan(begin, end, label, subject=who, tier=tier)


def _no_entities(*_: object) -> None:
    raise ValueError("entities are not read")


def _json(data: bytes, name: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} is not JSON: {first_line(error)}") from error


def _task_file(task: dict[str, Any]) -> str:
    data = task.get("data")
    data = data if isinstance(data, dict) else task
    for key in ("csv", "csv_url", "timeseriesUrl", "ts", "timeseries", "url"):
        if isinstance(data.get(key), str):
            return str(data[key]).rpartition("/")[2]
    return next((v.rpartition("/")[2] for v in data.values() if isinstance(v, str) and ".csv" in v), "")


def _regions(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the values of regions, from the full form and from JSON-MIN."""
    for annotation in task.get("annotations") or task.get("completions") or []:
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            for result in annotation.get("result") or []:
                value = result.get("value") if isinstance(result, dict) else None
                if isinstance(value, dict) and "start" in value:
                    yield value
    for value in task.get("label") or []:
        if isinstance(value, dict) and "start" in value and "end" in value:
            yield value
