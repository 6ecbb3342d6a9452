"""The dataset folder: ``dataset.json`` and one npz per recording."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from fsq_edge.data.archive import read_npz, write_npz
from fsq_edge.data.recording import Channel, Dataset, Recording, Text, true_rate
from fsq_edge.data.sensors import SensorFacts
from fsq_edge_runtime.arrays import AnyArray, Int16Array
from fsq_edge_runtime.artefact import Artefact, StrictModel
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import new_folder, write_synced

DESCRIPTION = "dataset.json"

_KNOWN_LATER = ("sensors", "measured_rate_hz")  # written only where something is known: older releases read the rest
_SHARED = ("name", "channels", "sample_rate_hz", "mirror", "classes", "licence", "source", *_KNOWN_LATER)


class RecordingEntry(StrictModel):
    """A recording as written; ``file`` is relative to the folder, with forward slashes."""

    file: Text
    subject: str | int
    session: str | int = ""


class DatasetDescription(Artefact):
    """Content of ``dataset.json``, schema version 1."""

    KIND: ClassVar[str] = DESCRIPTION

    name: Text
    channels: tuple[Channel, ...] = Field(min_length=1, max_length=1024)
    sample_rate_hz: float = Field(gt=0, le=1e6)
    mirror: tuple[int, ...] | None = None
    classes: tuple[Text, ...] = Field(min_length=1, max_length=32767)
    licence: str = ""
    source: str = ""
    sensors: dict[str, SensorFacts] = Field(default_factory=dict)
    measured_rate_hz: float | None = Field(default=None, gt=0, le=1e6)
    recordings: tuple[RecordingEntry, ...] = Field(min_length=1)

    @property
    def true_rate_hz(self) -> float:
        """Samples a second, as :attr:`fsq_edge.data.Dataset.true_rate_hz`."""
        return true_rate(self.sample_rate_hz, self.measured_rate_hz)

    def to_dict(self) -> dict[str, Any]:
        """Return the document as plain JSON values, without what is not known of sensors and rate."""
        return {name: value for name, value in super().to_dict().items() if name not in _KNOWN_LATER or value}


def read_folder(folder: Path) -> Dataset:
    """Open a dataset folder; samples stay on disk (memory maps) until they are used.

    Args:
        folder: holds ``dataset.json``.

    Returns:
        The data set. Float and integer samples of other widths than float32 are converted, which loads them.

    Raises:
        MissingInputError: the folder, its description or a recording is not there.
        DataError: an unknown schema version, a wrong field, a wrong channel count, a label without a class, an
            empty or damaged file, a path that leaves the folder.
    """
    description = DatasetDescription.load(folder / DESCRIPTION)
    seen: set[str] = set()
    recordings = []
    for entry in description.recordings:
        if entry.file in seen:
            raise DataError(f"{folder / DESCRIPTION} names the file {entry.file!r} twice")
        seen.add(entry.file)
        recordings.append(_read_recording(folder, entry, description.channels))
    return Dataset(recordings=tuple(recordings), **{name: getattr(description, name) for name in _SHARED})


def _read_recording(folder: Path, entry: RecordingEntry, channels: tuple[Channel, ...]) -> Recording:
    relative = PurePosixPath(entry.file)
    if relative.is_absolute() or ".." in relative.parts or "\\" in entry.file:
        raise DataError(f"{folder / DESCRIPTION}: the file {entry.file!r} lies outside the folder")
    path = folder / relative
    arrays = read_npz(path, ("samples", "labels"), ("timestamps",))
    samples, labels, timestamps = arrays["samples"], arrays["labels"], arrays.get("timestamps")
    if samples.dtype.kind not in "fiu":
        raise DataError(f"{path}: samples must be numbers (float32), got {samples.dtype}")
    if samples.ndim != 2 or samples.shape[1] != len(channels):
        raise DataError(
            f"{path}: samples have shape {samples.shape}, expected (n, {len(channels)}) for the channels "
            f"{', '.join(channel.name for channel in channels)}",
            hint="one row a sample, one column a channel",
        )
    if timestamps is not None:
        timestamps = np.asarray(timestamps, np.float64) if timestamps.dtype.kind in "fiu" else np.full(1, np.nan)
        if not np.isfinite(timestamps).all():
            raise DataError(f"{path}: timestamps must be finite numbers of seconds")
    return Recording(
        recording_id=str(relative.with_suffix("")),
        samples=np.asarray(samples, np.float32),
        labels=narrow_labels(labels, str(path)),
        subject=str(entry.subject),
        session=str(entry.session),
        timestamps=timestamps,
    )


def narrow_labels(labels: AnyArray, where: str) -> Int16Array:
    """Return labels as int16.

    Raises:
        DataError: not integers, or outside int16.
    """
    if labels.dtype.kind not in "iu":
        raise DataError(f"{where}: labels must be integers (class indices), got {labels.dtype}")
    if labels.size and (labels.min() < -1 or labels.max() > np.iinfo(np.int16).max):
        raise DataError(f"{where}: labels must lie in -1..32767, got {labels.min()}..{labels.max()}")
    return np.asarray(labels, np.int16)


def write_folder(dataset: Dataset, folder: Path) -> None:
    """Write a data set as a folder, whole or not at all.

    Args:
        dataset: what to write.
        folder: target; must not exist, or be empty.

    Raises:
        UsageError: the target holds something already.
    """
    with new_folder(folder) as building:
        entries = [_write_recording(building, number, recording) for number, recording in enumerate(dataset.recordings)]
        shared = {name: getattr(dataset, name) for name in _SHARED}
        description = DatasetDescription(recordings=tuple(entries), **shared)
        write_synced(building / DESCRIPTION, description.to_json().encode())


def _write_recording(folder: Path, number: int, recording: Recording) -> RecordingEntry:
    # Ids may hold anything; file names stay portable. An id that is portable as it is comes back unchanged.
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", recording.recording_id).strip("-")[:80]
    name = f"{readable}.npz" if readable == recording.recording_id else f"{number:06d}-{readable}.npz"
    arrays: dict[str, AnyArray] = {
        "samples": recording.samples.astype(np.float32, copy=False),
        "labels": recording.labels.astype(np.int16, copy=False),
    }
    if recording.timestamps is not None:
        arrays["timestamps"] = recording.timestamps.astype(np.float64, copy=False)
    write_npz(folder / name, arrays)
    return RecordingEntry(file=name, subject=recording.subject, session=recording.session)
