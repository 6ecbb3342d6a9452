"""``data label``: label files laid over a dataset folder, which is replaced whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from fsq_edge.data.folder import DESCRIPTION, read_folder, write_folder
from fsq_edge.data.labels.clock import ClockLine, line_for
from fsq_edge.data.labels.formats import read_label_file
from fsq_edge.data.labels.interval import LabelFile, LabelSpan
from fsq_edge.data.labels.matching import Matcher
from fsq_edge.data.labels.painting import Painting, Placed, Seconds, Span, first_overlap, paint
from fsq_edge.data.labels.record import (
    LABEL_RECORD,
    ClockEntry,
    LabelRecord,
    LabelSource,
    RecordingLabels,
    SecondsEntry,
)
from fsq_edge.data.recording import UNLABELLED, Dataset, Recording
from fsq_edge.data.timeline import recording_times
from fsq_edge.data.windows import cut_windows
from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import new_folder, write_synced

HOLE_S = 1.0
MOSTLY = 0.5  # a label file of which more lies outside belongs to another recording, or another clock


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """How labels are laid over recordings.

    Args:
        format: of the label files; empty recognises each.
        clocks: subject, recording or label file -> line; empty for all others.
        table: label file, observation or subject as written -> recording or subject of the data set.
        renames: label as written -> class; an empty class leaves the interval out.
        point_s: width that a point gets, seconds, its time in the middle; 0 leaves points out.
        trim_s: taken off both ends of each interval, where annotators are never exact.
        overlaps: ``refuse``, ``first``, ``last``, or class names parted by commas, the first of which wins.
        tiers: of ELAN documents; empty takes all.
        window_samples: of the share of mixed windows that is reported.
        keep: labels that the data set has stay where no interval lies.
    """

    format: str = ""
    clocks: dict[str, ClockLine] = field(default_factory=dict)
    table: dict[str, str] = field(default_factory=dict)
    renames: dict[str, str] = field(default_factory=dict)
    point_s: float = 0.0
    trim_s: float = 0.0
    overlaps: str = "refuse"
    tiers: tuple[str, ...] = ()
    window_samples: int = 100
    keep: bool = False


def label_folder(folder: Path, files: Sequence[Path], settings: LabelSettings, out: Path | None = None) -> LabelRecord:
    """Label the recordings of a dataset folder.

    Args:
        folder: the dataset folder.
        files: label files; they are only read.
        settings: how.
        out: folder to write; None replaces ``folder``, whole or not at all.

    Raises:
        MissingInputError: a file is not there.
        DataError: a file is damaged, an unpaired START, an unknown subject, overlaps that are refused, intervals that
            lie outside the recording.
    """
    dataset = read_folder(folder)
    label_files = [read_label_file(path, settings.format) for path in files]
    labelled, record = apply_labels(dataset, label_files, settings)
    sources = tuple(
        LabelSource(
            file=path.name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            format=found.format,
            intervals=len(found.intervals),
        )
        for path, found in zip(files, label_files, strict=True)
    )
    record = record.model_copy(update={"sources": sources})
    target = out or folder
    with new_folder(target, None if out else DESCRIPTION) as building:
        inner = building / "new"
        write_folder(labelled, inner)
        for path in sorted(inner.iterdir()):
            path.rename(building / path.name)
        inner.rmdir()
        for path in folder.iterdir():
            if path.is_file() and path.suffix == ".json" and not (building / path.name).exists():
                shutil.copyfile(path, building / path.name)
        write_synced(building / LABEL_RECORD, record.to_json().encode())
    return record


def apply_labels(dataset: Dataset, files: Sequence[LabelFile], settings: LabelSettings) -> tuple[Dataset, LabelRecord]:
    """Return the data set with labels, and the record of what became of them; errors as :func:`label_folder`."""
    matcher = Matcher(dataset.recordings, settings.table)
    left_out: Counter[str] = Counter()
    placed: list[list[tuple[LabelFile, LabelSpan, float, float, str]]] = [[] for _ in dataset.recordings]
    for file in files:
        for interval in file.intervals:
            label = settings.renames.get(interval.label, interval.label)
            if settings.tiers and interval.tier not in settings.tiers:
                left_out["other tier"] += 1
            elif not label:
                left_out["renamed to nothing"] += 1
            elif interval.is_point and not settings.point_s:
                left_out["point"] += 1
            else:
                position, start, stop = _place(dataset, matcher, file, interval, settings)
                placed[position].append((file, interval, start, stop, label))
    names = sorted(
        {entry[4] for group in placed for entry in group} | (set(_used(dataset)) if settings.keep else set())
    )
    if not names:
        raise DataError("no interval is left to label with", hint=f"left out: {dict(left_out)}")
    recordings, accounts = [], []
    for recording, group in zip(dataset.recordings, placed, strict=True):
        painting = _paint(dataset, recording, group, names, settings)
        labels = painting.at(recording_times(dataset, recording))
        if settings.keep:
            numbers = np.array(
                [names.index(name) if name in names else -1 for name in dataset.classes] + [-1], np.int16
            )
            labels = np.where(labels < 0, numbers[recording.labels], labels)
        recordings.append(replace(recording, labels=labels))
        accounts.append(_account(dataset, recordings[-1], names, painting.seconds))
    labelled = replace(dataset, classes=tuple(names), recordings=tuple(recordings))
    record = LabelRecord(
        sources=(),
        clocks=tuple(_clock(key, line) for key, line in sorted(settings.clocks.items())),
        renames=dict(sorted(settings.renames.items())),
        points=settings.point_s,
        left_out=dict(sorted(left_out.items())),
        trim_s=settings.trim_s,
        overlaps=settings.overlaps,
        recordings=tuple(accounts),
        mixed_window_share=_mixed_share(labelled, settings.window_samples),
        window_samples=settings.window_samples,
    )
    return labelled, record


def _place(
    dataset: Dataset, matcher: Matcher, file: LabelFile, interval: LabelSpan, settings: LabelSettings
) -> tuple[int, float, float]:
    """Find the recording of an interval and put it on its clock."""
    candidates = matcher.candidates(file, interval)
    found: list[tuple[float, int, int, float, float]] = []
    for position in candidates:
        recording = dataset.recordings[position]
        times = recording_times(dataset, recording)
        stem = file.name.rpartition(".")[0]
        line = line_for(settings.clocks, recording.recording_id, recording.subject, stem, file.name)
        start, stop = interval.start, interval.stop
        if interval.is_point:
            start, stop = start - settings.point_s / 2, start + settings.point_s / 2
        if file.in_samples:
            start, stop = start / dataset.sample_rate_hz, stop / dataset.sample_rate_hz
        start, stop = line.to_sensor(start), line.to_sensor(stop)
        # A label from the start of a video, an anchor in seconds of the recording: both count from its first sample.
        if not interval.absolute and line.at_sensor < 1e9:
            start, stop = start + float(times[0]), stop + float(times[0])
        inside = max(0.0, min(stop, float(times[-1])) - max(start, float(times[0])))
        found.append((inside, -len(found), position, start, stop))
    if len(candidates) > 1 and not interval.absolute:
        names = ", ".join(dataset.recordings[position].recording_id for position in candidates[:6])
        line_text = f", line {interval.line}" if interval.line else ""
        raise DataError(
            f"{file.name}{line_text}: {interval.label!r} may belong to {len(candidates)} recordings ({names})",
            hint="give --subjects TABLE that names the recording of each label file or observation",
        )
    _, _, position, start, stop = max(found)
    return position, start, stop


def _paint(
    dataset: Dataset,
    recording: Recording,
    group: Sequence[tuple[LabelFile, LabelSpan, float, float, str]],
    names: Sequence[str],
    settings: LabelSettings,
) -> Painting:
    times = recording_times(dataset, recording)
    intervals = [Placed(start, stop, names.index(label)) for _, _, start, stop, label in group]
    order = list(range(len(intervals)))
    clash = first_overlap(intervals)
    if clash is not None and settings.overlaps == "refuse":
        one, two = (group[i] for i in clash)
        raise DataError(
            f"{one[0].name}: {one[4]!r} ({_shown(one[1])}) and {two[4]!r} ({_shown(two[1])}) overlap in "
            f"{recording.recording_id}",
            hint="give --overlaps first, last, or the classes in order of priority, such as --overlaps eat,walk",
        )
    if settings.overlaps == "first":
        order.reverse()
    elif settings.overlaps not in ("refuse", "last"):
        priority = settings.overlaps.split(",")
        ranks = {name: rank for rank, name in enumerate(priority)}
        order.sort(key=lambda i: -ranks.get(names[intervals[i].label], len(priority)))
    spans = _spans(times, 1 / dataset.sample_rate_hz)
    painting = paint([intervals[i] for i in order], spans, settings.trim_s)
    if painting.seconds.outside > MOSTLY * painting.seconds.intervals > 0:
        raise _outside(recording, group, painting.seconds, times)
    return painting


def _outside(
    recording: Recording,
    group: Sequence[tuple[LabelFile, LabelSpan, float, float, str]],
    seconds: Seconds,
    times: Float64Array,
) -> DataError:
    """The error for labels of another clock, with the offset that would fit."""
    first, last = min(entry[2] for entry in group), max(entry[3] for entry in group)
    begin, end = float(times[0]), float(times[-1])
    if last - first <= end - begin + 1:
        hours = round(((begin + end) / 2 - (first + last) / 2) / 1800) * 1800
        whole = hours if hours and begin <= first + hours and last + hours <= end + 1 else None
        fitting = whole if whole is not None else begin - first
        advice = f"--offset {fitting:.10g} would put them inside"
        advice += (
            " (whole half-hours: is a time zone wrong?)" if whole is not None else " (first label on the first sample)"
        )
    else:
        advice = (
            f"they are {last - first:.1f} s long together, the recording {end - begin:.1f} s: is it another recording?"
        )
    return DataError(
        f"{group[0][0].name}: {seconds.outside:.1f} of {seconds.intervals:.1f} s of labels lie outside "
        f"{recording.recording_id} ({begin:.3f} to {end:.3f} s); labels reach from {first:.3f} to {last:.3f} s",
        hint=advice,
    )


def _spans(times: Float64Array, period: float) -> list[Span]:
    """Stretches of time without a hole; each sample stands for one period."""
    breaks = np.flatnonzero(np.diff(times) > max(HOLE_S, 1.5 * period))
    starts = np.concatenate(([0], breaks + 1))
    ends = np.concatenate((breaks, [len(times) - 1]))
    return [(float(times[a]), float(times[b]) + period) for a, b in zip(starts, ends, strict=True)]


def _account(dataset: Dataset, recording: Recording, names: Sequence[str], seconds: Seconds) -> RecordingLabels:
    counts = np.bincount(recording.labels[recording.labels >= 0], minlength=len(names))
    labelled = int(counts.sum())
    return RecordingLabels(
        recording=recording.recording_id,
        subject=recording.subject,
        samples=len(recording),
        labelled_samples=labelled,
        unlabelled_samples=len(recording) - labelled,
        seconds_per_class={
            name: round(float(count / dataset.sample_rate_hz), 6)
            for name, count in zip(names, counts, strict=True)
            if count
        },
        seconds=SecondsEntry(**{name: round(value, 6) for name, value in asdict(seconds).items()}),
    )


def _mixed_share(dataset: Dataset, window_samples: int) -> float:
    try:
        index = cut_windows(dataset, window_samples, max(1, window_samples // 2))
    except DataError:
        return 0.0
    return round(index.n_mixed / max(1, index.n_mixed + len(index)), 6)


def _used(dataset: Dataset) -> list[str]:
    present = {int(label) for recording in dataset.recordings for label in np.unique(recording.labels)}
    return [dataset.classes[label] for label in sorted(present - {UNLABELLED})]


def _clock(key: str, line: ClockLine) -> ClockEntry:
    return ClockEntry(
        key=key,
        at_label=line.at_label,
        at_sensor=line.at_sensor,
        stretch=line.stretch,
        drift_s_per_hour=round(line.drift_s_per_hour, 9),
    )


def _shown(interval: LabelSpan) -> str:
    line = f"line {interval.line}, " if interval.line else ""
    return f"{line}{interval.start:.3f} to {interval.stop:.3f} s"
