"""From the name of a data source to its data set: ``watch``, ``quadruped``, ``folder:PATH``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fsq_edge.data.folder import DESCRIPTION, read_folder
from fsq_edge.data.quadruped import make_quadruped
from fsq_edge.data.recording import Dataset
from fsq_edge.data.stored_windows.files import find_stored_windows, read_stored_windows
from fsq_edge.data.watch import load_watch
from fsq_edge_runtime.errors import DataError, MissingInputError, UsageError, did_you_mean

SOURCES = {
    "watch": "real: 7 shoulder exercises on a smartwatch, 10 subjects, 6 channels, 50 Hz (seglearn, BSD)",
    "quadruped": "synthetic: 10 behaviours of a four-legged animal, 12 subjects, 9 channels, 100 Hz",
    "folder:PATH": "your own: a dataset folder (dataset.json and npz files) or windows already cut (X_train_*.npy)",
}
_CHUNK_SAMPLES = 1 << 16


def open_dataset(source: str, *, check_finite: bool = True) -> Dataset:
    """Open a data set by name.

    Args:
        source: ``watch``, ``quadruped`` (seed 0) or ``folder:PATH``.
        check_finite: refuse data in which a channel is missing everywhere; off only where the data are to be
            examined rather than used.

    Raises:
        UsageError: an unknown name.
        MissingInputError: the folder does not exist or holds no data set.
        DataError: the data cannot be used (see ``read_folder`` and ``require_finite``).
        UnavailableError: a package that brings the data is not installed.
    """
    check_source(source)
    _, _, rest = source.partition(":")
    if source == "watch":
        dataset = load_watch()
    elif source == "quadruped":
        dataset = make_quadruped()
    else:
        dataset = _open_folder(Path(rest).expanduser())
    if check_finite:
        require_finite(dataset)
    return dataset


def check_source(source: str) -> None:
    """Refuse what is no name of a data source; reads no data.

    Raises:
        UsageError: an unknown name; the hint names what was probably meant.
    """
    kind, _, rest = source.partition(":")
    if source in ("watch", "quadruped") or (kind == "folder" and rest):
        return
    path = Path(source)
    if source and path.is_dir():
        known = (path / DESCRIPTION).exists() or find_stored_windows(path)
        hint = (
            f"did you mean folder:{source}?"
            if known
            else f"fsq-edge data import {source} --guess makes a map of its files"
        )
    elif path.is_file():
        hint = f"fsq-edge data import {source} --guess makes a map; with it, data import makes a dataset folder"
    else:
        hint = f"{did_you_mean(source, ('watch', 'quadruped'))} one of {', '.join(SOURCES)}".lstrip()
    raise UsageError(f"unknown data source {source!r}", hint=hint)


def _open_folder(folder: Path) -> Dataset:
    if not folder.is_dir():
        raise MissingInputError(
            f"{folder} is not a folder", hint="folder:PATH takes a dataset folder; data import makes one"
        )
    if (folder / DESCRIPTION).exists():
        return read_folder(folder)
    files = find_stored_windows(folder)
    if files:
        return read_stored_windows(files)
    raise MissingInputError(
        f"{folder} holds neither {DESCRIPTION} nor X_train_*.npy",
        hint="fsq-edge data import makes a dataset folder from logger files",
    )


def require_finite(dataset: Dataset) -> None:
    """Refuse a data set in which some channel has no finite value at all.

    Raises:
        DataError: names the channels.

    Cost: stops at the first finite value of every channel, so healthy data cost one short read.
    """
    missing = np.ones(len(dataset.channels), bool)
    for recording in dataset.recordings:
        for begin in range(0, len(recording), _CHUNK_SAMPLES):
            missing &= ~np.isfinite(recording.samples[begin : begin + _CHUNK_SAMPLES]).any(axis=0)
            if not missing.any():
                return
    names = [channel.name for channel, gone in zip(dataset.channels, missing, strict=True) if gone]
    what = "every channel" if len(names) == len(dataset.channels) else ", ".join(names)
    raise DataError(
        f"data set {dataset.name!r} has no finite value in {what} (NaN or Inf everywhere)",
        hint="check the recording, or remove the channel from the data set",
    )
