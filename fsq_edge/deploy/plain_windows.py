"""Windows that a user names: an npy or npz file, or a data source that is cut here."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge_runtime.arrays import AnyArray, TextArray
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.files import read_bounded
from fsq_edge_runtime.npz import array_names, read_arrays

MAX_WINDOWS_BYTES: Final = 1 << 30
SUFFIXES: Final = (".npy", ".npz")
RATE_TOLERANCE: Final = 0.01


@dataclass(frozen=True, slots=True)
class PlainWindows:
    """Windows without a run.

    Attributes:
        windows: (N, C, T) in raw units, any number type.
        labels: (N,) integers, or (N, K) of 0 and 1; None where they are unknown.
        subjects: (N,) text; None where they are unknown.
        classes: names in label order; empty where they are unknown.
    """

    windows: AnyArray
    labels: AnyArray | None = None
    subjects: TextArray | None = None
    classes: tuple[str, ...] = ()


def is_array_file(text: str | Path) -> bool:
    """Return whether a text names an npy or npz file, there or not."""
    return Path(text).suffix in SUFFIXES


def windows_from(
    text: str | Path, channels: Sequence[str] = (), rate_hz: float = 0.0, size: int = 0, hop: int = 0
) -> PlainWindows:
    """Read windows from a file, or cut those of a data source.

    Args:
        text: npy, or npz with ``windows`` and, where known, ``labels``; or ``watch``, ``quadruped``, ``folder:PATH``.
        channels: names of those wanted, in order, of a data source; empty takes all.
        rate_hz: that the data source must have, Hz.
        size: samples of a window, of a data source.
        hop: samples between windows, of a data source.

    Raises:
        MissingInputError: it cannot be read.
        DataError: damaged, no ``windows``, larger than 1 GiB, or a data source of other channels or another rate.
        UsageError: neither a file of arrays nor a data source.
    """
    if is_array_file(text) or Path(text).is_file():
        return read_windows(Path(text))
    from fsq_edge.data import cut_windows, open_dataset

    dataset = open_dataset(str(text))
    names = [channel.name for channel in dataset.channels]
    missing = [name for name in channels if name not in names]
    if missing:
        raise DataError(
            f"{text} has no channel {missing[0]!r}, its channels are {', '.join(names)}",
            hint="name the channels of the preprocess file as the data source does",
        )
    if abs(dataset.true_rate_hz - rate_hz) > RATE_TOLERANCE * rate_hz:
        raise DataError(f"{text} has {dataset.true_rate_hz:g} Hz, the preprocess file {rate_hz:g} Hz")
    index = cut_windows(dataset, size, hop)
    if not len(index):
        raise DataError(f"{text} gives no window of {size} samples with one label")
    rows = [names.index(name) for name in channels] or list(range(len(names)))
    return PlainWindows(index.gather()[:, rows], index.label, index.subject, tuple(dataset.classes))


def read_windows(path: Path) -> PlainWindows:
    """Return the windows of an npy or npz file.

    Raises:
        MissingInputError: it cannot be read.
        DataError: it is damaged, has no ``windows``, or is larger than 1 GiB.
    """
    data = read_bounded(path, MAX_WINDOWS_BYTES, what="the windows")
    if path.suffix != ".npz":
        try:
            return PlainWindows(np.load(io.BytesIO(data), allow_pickle=False))
        except (ValueError, EOFError, OSError) as error:
            raise DataError(f"{path.name} is no npy file of numbers", hint="numpy.save(FILE, windows)") from error
    try:
        present = set(array_names(data))
        names = ("windows", *(name for name in ("labels", "subjects") if name in present))
        found: dict[str, Any] = dict(zip(names, read_arrays(data, names), strict=True))
    except ValueError as error:
        raise DataError(f"{path.name}: {error}", hint="save it with numpy.savez(F, windows=W)") from error
    return PlainWindows(found["windows"], found.get("labels"), found.get("subjects"))


def require_numbers(plain: PlainWindows, channels: int, samples: int) -> None:
    """Raise where windows are not (N, C, T) numbers.

    Raises:
        DataError: they are not.
    """
    x = plain.windows
    if x.ndim != 3 or x.shape[1:] != (channels, samples) or x.dtype.kind not in "fiu" or not len(x):
        raise DataError(
            f"the windows have shape {x.shape} of {x.dtype}, expected (N, {channels}, {samples}) numbers in raw units"
        )
    if plain.labels is not None and (plain.labels.shape[:1] != (len(x),) or plain.labels.dtype.kind not in "iu"):
        raise UsageError(f"labels are {plain.labels.dtype} of shape {plain.labels.shape}, expected {len(x)} integers")
