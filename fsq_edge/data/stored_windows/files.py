"""The form of windows already cut: ``X_train_NAME.npy`` (N, C, T), ``y_train_NAME.npy`` (N,), ``NAME_metadata.json``.

The windows stay apart: each becomes a recording of T samples, so nothing is ever cut across two of them. The sides
train, val and test become the sessions of that name. Where the metadata name the recording and the first sample
behind each window (as ours do), leak checks look behind the windows too.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fsq_edge.data.archive import read_npy
from fsq_edge.data.folder import narrow_labels
from fsq_edge.data.recording import Dataset, Recording
from fsq_edge.data.splitting.splits import Split
from fsq_edge.data.splitting.stretches import ROLES
from fsq_edge.data.stored_windows.metadata import StoredWindowsMetadata, WindowSource, assumed_channels, read_metadata
from fsq_edge.data.windows import cut_windows
from fsq_edge_runtime.arrays import AnyArray, Int16Array
from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.files import new_folder, whole_file, write_synced


def find_stored_windows(folder: Path) -> dict[str, Path]:
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


def read_stored_windows(files: dict[str, Path]) -> Dataset:
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
    declared = read_metadata(first)
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
        channels=declared.channels or assumed_channels(n_channels),
        sample_rate_hz=declared.rate_hz,
        classes=declared.classes or tuple(f"class_{label}" for label in range(max(highest, 0) + 1)),
        recordings=tuple(recordings),
        licence=declared.licence,
        source=declared.source,
    )


def write_stored_windows(
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
        metadata = StoredWindowsMetadata(
            name=dataset.name,
            synthetic=dataset.source.startswith("synthetic"),
            channels=dataset.channels,
            sample_rate_hz=dataset.sample_rate_hz,
            window_samples=window_samples,
            hop_samples=hop_samples,
            classes=dataset.classes,
            licence=dataset.licence,
            source=dataset.source,
            split=split.description,
            windows=sources,
        )
        write_synced(building / f"{name}_metadata.json", f"{json.dumps(metadata.to_dict())}\n".encode())
    return counts


def _load(path: Path, rank: int) -> AnyArray:
    array = read_npy(path)
    if array.ndim != rank or array.dtype.kind not in "fiu":
        wanted = "windows (N, channels, samples)" if rank == 3 else "labels (N,)"
        raise DataError(f"{path} must hold {wanted} as numbers, got shape {array.shape} of {array.dtype}")
    return array


def _as_recordings(
    path: Path,
    role: str,
    windows: AnyArray,
    labels: Int16Array,
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


def _save(path: Path, array: AnyArray) -> None:
    with whole_file(path) as file:
        np.save(file, array, allow_pickle=False)
