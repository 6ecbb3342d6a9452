"""The form of windows already cut: ``X_train_NAME.npy`` (N, C, T), ``y_train_NAME.npy`` (N,), ``NAME_metadata.json``.

The windows stay apart: each becomes a recording of T samples, so nothing is ever cut across two of them. The sides
train, val and test become the sessions of that name. Where the metadata name the recording and the first sample
behind each window (as ours do), leak checks look behind the windows too.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fsq_edge.data.folder import ChannelEntry, Text, narrow_labels, new_folder
from fsq_edge.data.recording import Channel, Dataset, Recording
from fsq_edge.data.splits import ROLES, Split
from fsq_edge.data.windows import cut_windows
from fsq_edge_runtime.artefact import MAX_JSON_BYTES, Artefact, StrictModel
from fsq_edge_runtime.errors import DataError, MissingInputError

# The form itself carries neither rate nor channel names, and metadata of another origin need not either.
ASSUMED_RATE_HZ = 100.0
ASSUMED_NAMES = tuple(f"{sensor}_{axis}" for sensor in ("acc", "gyro", "mag") for axis in "xyz")
_FOREIGN_CLASSES = ("classes", "class_names", "behaviors", "behaviours", "labels")
_FOREIGN_RATE = ("sample_rate_hz", "sample_rate", "sampling_rate", "fs")


class WindowSource(StrictModel):
    """One recording's share of a side: its windows follow each other in the arrays."""

    recording: Text
    subject: str
    starts: tuple[int, ...]


class SeedMetadata(Artefact):
    """Content of ``NAME_metadata.json`` as this project writes it."""

    KIND: ClassVar[str] = "metadata of a window set"

    name: Text
    synthetic: bool
    channels: tuple[ChannelEntry, ...] = Field(min_length=1)
    sample_rate_hz: float = Field(gt=0)
    window_samples: int = Field(ge=1)
    hop_samples: int = Field(ge=1)
    classes: tuple[Text, ...] = Field(min_length=1)
    licence: str
    source: str
    split: str
    windows: dict[str, tuple[WindowSource, ...]]


@dataclass(frozen=True, slots=True)
class _Declared:
    """What the metadata say, whoever wrote them."""

    name: str
    channels: tuple[Channel, ...] | None
    rate_hz: float
    classes: tuple[str, ...] | None
    licence: str
    source: str
    windows: dict[str, tuple[WindowSource, ...]]


def find_seed_files(folder: Path) -> dict[str, Path]:
    """Return the X files of a folder by side (``train``, ``val``, ``test``); empty where there are none.

    Raises:
        DataError: two files for one side.
    """
    found: dict[str, Path] = {}
    for role in ROLES:
        files = sorted(folder.glob(f"X_{role}.npy")) + sorted(folder.glob(f"X_{role}_*.npy"))
        if len(files) > 1:
            raise DataError(f"{folder} has two window files for {role}: {files[0].name} and {files[1].name}")
        if files:
            found[role] = files[0]
    return found


def read_seed_files(files: dict[str, Path]) -> Dataset:
    """Open window files as a data set; the windows stay on disk (memory maps).

    Args:
        files: X file by side; beside each lie ``y_`` with the same ending and the metadata.

    Returns:
        One recording a window, its session the side, its subject what the metadata say or else the side.

    Raises:
        MissingInputError: an X or y file is not there.
        DataError: shapes or lengths that do not fit, objects, a label that is no class index.
    """
    if not files:
        raise MissingInputError("no window files given", hint="X_train_NAME.npy, y_train_NAME.npy, NAME_metadata.json")
    first = next(iter(files.values()))
    declared = _read_metadata(first)
    recordings: list[Recording] = []
    highest = -1
    for role, path in files.items():
        windows = _load(path, 3)
        labels = narrow_labels(_load(path.with_name("y" + path.name[1:]), 1), path.name)
        if not windows.size:
            raise DataError(f"{path} holds no windows, its shape is {windows.shape}")
        if len(windows) != len(labels):
            raise DataError(f"{path} has {len(windows)} windows, its labels are {len(labels)}")
        highest = max(highest, int(labels.max()))
        recordings += _as_recordings(path, role, windows, labels, declared.windows.get(role))
    n_channels = recordings[0].samples.shape[1]
    return Dataset(
        name=declared.name,
        channels=declared.channels or _assumed_channels(n_channels),
        sample_rate_hz=declared.rate_hz,
        classes=declared.classes or tuple(f"class_{label}" for label in range(max(highest, 0) + 1)),
        recordings=tuple(recordings),
        licence=declared.licence,
        source=declared.source,
    )


def write_seed_folder(
    split: Split, folder: Path, name: str, window_samples: int = 100, hop_samples: int = 50, *, replace: bool = False
) -> dict[str, int]:
    """Cut a split into windows and write them, whole or not at all.

    Args:
        split: train, val and test.
        folder: target; must not exist or be empty, unless ``replace``.
        name: ending of the file names.
        window_samples: T.
        hop_samples: distance of neighbouring starts.
        replace: put the new folder in the old one's place, if that holds window files of this form.

    Returns:
        Windows by side.

    Raises:
        UsageError: the target holds something else.
        DataError: a side has no label-pure window.
    """
    counts: dict[str, int] = {}
    sources: dict[str, tuple[WindowSource, ...]] = {}
    with new_folder(folder, replaceable=f"{name}_metadata.json" if replace else None) as building:
        for role in ROLES:
            index = cut_windows(getattr(split, role), window_samples, hop_samples)
            _save(building / f"X_{role}_{name}.npy", index.gather())
            _save(building / f"y_{role}_{name}.npy", index.label)
            counts[role] = len(index)
            sources[role] = tuple(
                WindowSource(
                    recording=recording.origin,
                    subject=recording.subject,
                    starts=tuple((index.start[index.recording == number] + recording.source_start).tolist()),
                )
                for number, recording in enumerate(index.dataset.recordings)
                if (index.recording == number).any()
            )
        dataset = split.train
        metadata = SeedMetadata(
            name=dataset.name,
            synthetic=dataset.source.startswith("synthetic"),
            channels=tuple(ChannelEntry(name=channel.name, unit=channel.unit) for channel in dataset.channels),
            sample_rate_hz=dataset.sample_rate_hz,
            window_samples=window_samples,
            hop_samples=hop_samples,
            classes=dataset.classes,
            licence=dataset.licence,
            source=dataset.source,
            split=split.description,
            windows=sources,
        )
        (building / f"{name}_metadata.json").write_text(json.dumps(metadata.to_dict()) + "\n", encoding="utf-8")
    return counts


def _read_metadata(x_file: Path) -> _Declared:
    ending = x_file.stem.split("_", 2)[2] if x_file.stem.count("_") >= 2 else ""
    candidates = [x_file.with_name(f"{ending}_metadata.json"), x_file.with_name("metadata.json")]
    path = next((candidate for candidate in candidates if candidate.exists()), None)
    name = ending or x_file.resolve().parent.name
    if path is None:
        return _Declared(name, None, ASSUMED_RATE_HZ, None, "", f"{x_file.parent} (no metadata; rate assumed)", {})
    with path.open("rb") as file:
        text = file.read(MAX_JSON_BYTES + 1)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if isinstance(value, dict) and "schema_version" not in value:
        return _foreign(name, path, value)
    metadata = SeedMetadata.from_json(text, origin=str(path))
    channels = tuple(Channel(channel.name, channel.unit) for channel in metadata.channels)
    return _Declared(
        metadata.name, channels, metadata.sample_rate_hz, metadata.classes, metadata.licence, metadata.source,
        metadata.windows,
    )  # fmt: skip


def _foreign(name: str, path: Path, value: dict[str, Any]) -> _Declared:
    """Take what is plain in metadata of another origin: class names and rate; the rest is assumed."""
    rate: float | None = None
    classes: tuple[str, ...] | None = None
    for key in _FOREIGN_RATE:
        if isinstance(value.get(key), int | float) and value[key] > 0:
            rate = float(value[key])
            break
    for key in _FOREIGN_CLASSES:
        names = value.get(key)
        if isinstance(names, dict):
            names = [names[number] for number in sorted(names, key=str)]
        if isinstance(names, list) and names and all(isinstance(item, str) for item in names):
            classes = tuple(names)
            break
    note = "" if rate else f" (rate assumed {ASSUMED_RATE_HZ:g} Hz)"
    return _Declared(name, None, rate or ASSUMED_RATE_HZ, classes, "", f"{path.parent}{note}", {})


def _assumed_channels(count: int) -> tuple[Channel, ...]:
    """Names by the usual order of the sensors; the units are not known."""
    names = ASSUMED_NAMES[:count] if count in (3, 6, 9) else [f"channel_{i}" for i in range(count)]
    return tuple(Channel(name, "") for name in names)


def _load(path: Path, rank: int) -> npt.NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise MissingInputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        raise DataError(f"{path} is not a readable npy file: {error}") from error
    if not isinstance(array, np.ndarray) or array.ndim != rank or array.dtype.kind not in "fiu":
        shape, dtype = getattr(array, "shape", "?"), getattr(array, "dtype", "?")
        wanted = "windows (N, channels, samples)" if rank == 3 else "labels (N,)"
        raise DataError(f"{path} must hold {wanted} as numbers, got shape {shape} of {dtype}")
    return np.asarray(array)


def _as_recordings(
    path: Path,
    role: str,
    windows: npt.NDArray[Any],
    labels: npt.NDArray[np.int16],
    sources: tuple[WindowSource, ...] | None,
) -> list[Recording]:
    length = windows.shape[2]
    samples = windows.astype(np.float32, copy=False).transpose(0, 2, 1)
    if sources is None:
        behind = [("", 0, role)] * len(windows)
    else:
        behind = [(source.recording, start, source.subject) for source in sources for start in source.starts]
        if len(behind) != len(windows):
            raise DataError(f"{path} has {len(windows)} windows, its metadata describe {len(behind)}")
    return [
        Recording(
            f"{role}-{row:06d}", samples[row], np.broadcast_to(labels[row], length), subject, role, None, source, start
        )
        for row, (source, start, subject) in enumerate(behind)
    ]


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
