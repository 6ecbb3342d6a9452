"""The dataset folder: ``dataset.json`` and one npz per recording."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fsq_edge.data.archive import read_npz, write_npz
from fsq_edge.data.recording import Channel, Dataset, Recording
from fsq_edge_runtime.errors import DataError, MissingInputError, UsageError

SCHEMA_VERSION: Literal[1] = 1
DESCRIPTION = "dataset.json"
MAX_DESCRIPTION_BYTES = 64 << 20

Text = Annotated[str, Field(min_length=1, max_length=1000)]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ChannelEntry(_Schema):
    """A channel as written."""

    name: Text
    unit: Text


class RecordingEntry(_Schema):
    """A recording as written; ``file`` is relative to the folder, with forward slashes."""

    file: Text
    subject: str | int
    session: str | int = ""


class DatasetDescription(_Schema):
    """Content of ``dataset.json``, schema version 1."""

    schema_version: Literal[1]
    name: Text
    channels: tuple[ChannelEntry, ...] = Field(min_length=1, max_length=1024)
    sample_rate_hz: float = Field(gt=0, le=1e6, allow_inf_nan=False)
    mirror: tuple[int, ...] | None = None
    classes: tuple[Text, ...] = Field(min_length=1, max_length=32767)
    licence: str = ""
    source: str = ""
    recordings: tuple[RecordingEntry, ...] = Field(min_length=1, max_length=1_000_000)


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
    description = read_description(folder)
    channels = tuple(Channel(entry.name, entry.unit) for entry in description.channels)
    seen: set[str] = set()
    recordings = []
    for entry in description.recordings:
        if entry.file in seen:
            raise DataError(f"{folder / DESCRIPTION} names the file {entry.file!r} twice")
        seen.add(entry.file)
        recordings.append(_read_recording(folder, entry, channels))
    return Dataset(
        name=description.name,
        channels=channels,
        sample_rate_hz=description.sample_rate_hz,
        classes=description.classes,
        recordings=tuple(recordings),
        mirror=description.mirror,
        licence=description.licence,
        source=description.source,
    )


def read_description(folder: Path) -> DatasetDescription:
    """Read and validate ``dataset.json``.

    Raises:
        MissingInputError: it is not there.
        DataError: not JSON, an unknown version, a wrong or unknown field, larger than ``MAX_DESCRIPTION_BYTES``.
    """
    path = folder / DESCRIPTION
    value = read_json(path, MAX_DESCRIPTION_BYTES)
    version = value.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path} has schema_version {version!r}, this version of fsq-edge reads {SCHEMA_VERSION}",
            hint="update fsq-edge, or write the folder again",
        )
    try:
        return DatasetDescription.model_validate_json(json.dumps(value))
    except ValidationError as error:
        raise DataError(f"{path}: {first_problem(error)}", hint="see docs/data.md for the format") from error


def read_json(path: Path, max_bytes: int) -> dict[str, Any]:
    """Read one JSON object of bounded size.

    Raises:
        MissingInputError: there is no such file.
        DataError: too large, empty, not UTF-8, not JSON, or not an object.
    """
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise MissingInputError(f"{path} does not exist") from error
    except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise MissingInputError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > max_bytes:
        raise DataError(f"{path} is larger than {max_bytes} bytes")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error if content else 'the file is empty'}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} must hold one JSON object")
    return value


def first_problem(error: ValidationError) -> str:
    """Return the first finding of a validation as ``field: message, got value (and k more)``."""
    problems = error.errors(include_url=False)
    first = problems[0]
    field = ".".join(str(part) for part in first["loc"]) or "the object"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{field}: {first['msg']}, got {str(first['input'])[:60]!r}{more}"


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


def narrow_labels(labels: npt.NDArray[Any], where: str) -> npt.NDArray[np.int16]:
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
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty folder", hint="choose another, or remove it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        entries = [_write_recording(building, number, recording) for number, recording in enumerate(dataset.recordings)]
        description = DatasetDescription(
            schema_version=SCHEMA_VERSION,
            name=dataset.name,
            channels=tuple(ChannelEntry(name=channel.name, unit=channel.unit) for channel in dataset.channels),
            sample_rate_hz=dataset.sample_rate_hz,
            mirror=dataset.mirror,
            classes=dataset.classes,
            licence=dataset.licence,
            source=dataset.source,
            recordings=tuple(entries),
        )
        with (building / DESCRIPTION).open("w", encoding="utf-8") as file:
            file.write(description.model_dump_json(indent=2, exclude_none=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        building.chmod(0o755)
        building.replace(folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _write_recording(folder: Path, number: int, recording: Recording) -> RecordingEntry:
    # Ids may hold anything; file names stay portable. An id that is portable as it is comes back unchanged.
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", recording.recording_id).strip("-")[:80]
    name = f"{readable}.npz" if readable == recording.recording_id else f"{number:06d}-{readable}.npz"
    arrays: dict[str, npt.NDArray[Any]] = {
        "samples": recording.samples.astype(np.float32, copy=False),
        "labels": recording.labels.astype(np.int16, copy=False),
    }
    if recording.timestamps is not None:
        arrays["timestamps"] = recording.timestamps.astype(np.float64, copy=False)
    write_npz(folder / name, arrays)
    return RecordingEntry(file=name, subject=recording.subject, session=recording.session)
