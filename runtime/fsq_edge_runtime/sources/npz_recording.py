"""A recording in an npz file, read block by block: nothing is allocated for what a header merely promises."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.arrays import AnyArray, Float32Array
from fsq_edge_runtime.errors import DataError, FsqEdgeError
from fsq_edge_runtime.files import first_line, read_bounded
from fsq_edge_runtime.sources.columns import Wanted, check_unit, find_columns, shown
from fsq_edge_runtime.sources.notices import Notices

BLOCK_ROWS = 4096
MAX_MEMBERS = 256
MAX_DESCRIPTION_BYTES = 16 << 20
MAX_CHANNELS = 4096
MAX_WHOLE_BYTES = 64 << 20  # an array in Fortran order must be read whole
MAX_RATIO = 100  # unpacked to packed; motion packs 2 to 10 times, constants a thousand times
FREE_BYTES = 32 << 20  # unpacked; below it the ratio does not matter
KNOWN = frozenset({"samples", "timestamps", "labels", "channels", "units"})
HINT = "an npz file with `samples` (n, channels) and, optionally, `timestamps` (n,), `channels` and `units` (channels,)"


class NpzRecording:
    """Reads ``samples`` (n, C) and, where they are there, ``timestamps`` (n,).

    ``channels`` and ``units`` (texts, one a column of ``samples``) are compared with the model's: columns are put in
    the model's order, another unit is refused.

    Args:
        path: the file.
        wanted: the model's channels.
        notices: hears of arrays that are not read.
        columns: names and units of the columns as something beside the file states them, such as ``dataset.json``; they
            count where the file itself states none.

    Attributes:
        length: n.

    Raises:
        DataError: not such a file.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, wanted: Sequence[Wanted], notices: Notices, columns: Sequence[Wanted] = ()) -> None:
        self._path, self._wanted, self._columns = path, wanted, tuple(columns)
        self._picked: tuple[int, ...] | None = None
        self.length = 0
        try:
            with zipfile.ZipFile(path) as archive:
                self._examine(archive, notices)
        except (DataError, OSError):
            raise
        except Exception as error:
            raise _refused(path, error) from error

    def blocks(self) -> Iterator[tuple[Float32Array, AnyArray | None]]:
        """Give samples (m, C) and times (m,) as they are stored, or None, block by block.

        Raises:
            DataError: the file is damaged.
        """
        try:
            with ExitStack() as stack:
                archive = stack.enter_context(zipfile.ZipFile(self._path))
                samples = stack.enter_context(_Member(archive, "samples"))
                times = stack.enter_context(_Member(archive, "timestamps")) if self._timed else None
                for at in range(0, self.length, BLOCK_ROWS):
                    count = min(BLOCK_ROWS, self.length - at)
                    rows = samples.rows(count)
                    picked = rows if self._picked is None else rows[:, self._picked]
                    with np.errstate(over="ignore"):  # what float32 cannot hold becomes Inf, which is missing
                        block = np.ascontiguousarray(picked, np.float32)
                    yield block, None if times is None else times.rows(count)
        except OSError:
            raise
        except Exception as error:
            raise _refused(self._path, error) from error

    def _examine(self, archive: zipfile.ZipFile, notices: Notices) -> None:
        entries = archive.infolist()
        if len(entries) > MAX_MEMBERS:
            raise ValueError(f"{len(entries)} arrays, at most {MAX_MEMBERS} are allowed")
        names = [entry.filename.removesuffix(".npy") for entry in entries]
        if "samples" not in names:
            raise ValueError(f"the array 'samples' is missing; it holds {shown(names) or 'nothing'}")
        others = [name for name in names if name not in KNOWN]
        if others:
            notices.say(f"unused {self._path.name}", f"{self._path.name}: arrays that are not read: {shown(others)}")
        with _Member(archive, "samples") as member:
            shape = member.shape
        self._timed = "timestamps" in names
        stated, units = (self._texts(archive, name) if name in names else () for name in ("channels", "units"))
        if self._columns and not stated:
            stated, units = tuple(zip(*self._columns, strict=True))
        self._compare(shape, stated, units)
        self.length = shape[0]
        if self._timed:
            with _Member(archive, "timestamps") as member:
                times = member.shape
            if times != shape[:1]:
                raise DataError(f"{self._path}: {times} timestamps for {shape[0]} samples")
        if not self.length:
            raise DataError(f"{self._path} holds no samples")

    def _compare(self, shape: tuple[int, ...], stated: tuple[str, ...], units: tuple[str, ...]) -> None:
        size = len(self._wanted)
        for name, texts in (("channels", stated), ("units", units)):
            if texts and (len(shape) != 2 or len(texts) != shape[1]):
                raise DataError(f"{self._path}: {len(texts)} {name} for samples of the shape {shape}", hint=HINT)
        if stated and len(shape) == 2:
            self._picked = find_columns(stated, self._wanted, str(self._path), units=units).channels
            return
        if len(shape) != 2 or shape[1] != size:
            raise DataError(f"{self._path}: samples have shape {shape}, the bundle expects (n, {size})", hint=HINT)
        for channel, unit in zip(self._wanted, units, strict=False):
            check_unit(unit, channel, f"{self._path}: a column of `samples`")

    def _texts(self, archive: zipfile.ZipFile, name: str) -> tuple[str, ...]:
        with _Member(archive, name) as member:
            if len(member.shape) != 1 or member.shape[0] > MAX_CHANNELS or member.dtype.kind not in "US":
                raise ValueError(f"the array {name!r} is no list of at most {MAX_CHANNELS} texts")
            return tuple(value.decode() if isinstance(value, bytes) else value for value in member.rows(None).tolist())


class _Member:
    """One array of an npz, read row by row."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        entry = archive.getinfo(f"{name}.npy")
        if entry.file_size > FREE_BYTES and entry.file_size > MAX_RATIO * max(1, entry.compress_size):
            raise ValueError(
                f"the array {name!r} unpacks to {entry.file_size} bytes from {entry.compress_size}, "
                f"more than {MAX_RATIO} times: no recording"
            )
        self._name, self._file = name, archive.open(entry)
        self._at = 0
        self._whole: AnyArray | None = None
        try:
            self._open(entry.file_size)
        except BaseException:
            self._file.close()
            raise

    def _open(self, size: int) -> None:
        self.shape, fortran, self.dtype = _read_header(self._file, self._name)
        self._row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        promised, there = self._row_bytes * (self.shape[0] if self.shape else 1), size - self._file.tell()
        if promised != there:
            raise ValueError(f"the array {self._name!r} has {there} bytes, its header says {promised}")
        if fortran and len(self.shape) > 1 and promised:
            self._whole = self._read_whole(promised)

    def __enter__(self) -> _Member:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def rows(self, count: int | None) -> AnyArray:
        """Return the next rows; None is all of them."""
        count = self.shape[0] - self._at if count is None else count
        self._at += count
        if self._whole is not None:
            return self._whole[self._at - count : self._at]
        data = _exactly(self._file, count * self._row_bytes, self._name)
        return np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])

    def _read_whole(self, size: int) -> AnyArray:
        if size > MAX_WHOLE_BYTES:
            raise ValueError(
                f"the array {self._name!r} is in Fortran order and larger than {MAX_WHOLE_BYTES} bytes; "
                "save np.ascontiguousarray(samples)"
            )
        data = _exactly(self._file, size, self._name)
        return np.frombuffer(data, self.dtype).reshape(self.shape, order="F")


def described_columns(path: Path) -> tuple[Wanted, ...]:
    """Return names and units of the columns of a recording in a dataset folder; empty where it is in none.

    The ``dataset.json`` beside the file, or in the folder above, must name the file.
    """
    path = path.resolve()
    for folder in path.parents[:2]:
        with suppress(FsqEdgeError, ValueError, TypeError, KeyError, RecursionError):  # another program's, or none
            described = json.loads(read_bounded(folder / "dataset.json", MAX_DESCRIPTION_BYTES))
            if path.relative_to(folder).as_posix() in [one["file"] for one in described["recordings"]]:
                return tuple(Wanted(str(one["name"]), str(one["unit"])) for one in described["channels"])
    return ()


def as_numbers(times: AnyArray) -> AnyArray:
    """Return stored times as numbers: numpy's dates as nanoseconds since 1970."""
    if times.dtype.kind == "M":
        since: npt.NDArray[np.int64] = times.astype("datetime64[ns]").astype(np.int64)
        return since
    return times


def _read_header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]  # numpy's stubs leave it open
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"the array {name!r} has npy version {version}")
    shape, fortran, dtype = read(file)  # type: ignore[no-untyped-call]  # as above
    allowed = "US" if name in ("channels", "units") else "fiub" + ("M" if name == "timestamps" else "")
    if dtype.hasobject or dtype.kind not in allowed or not dtype.itemsize:
        raise ValueError(f"the array {name!r} holds {dtype}, not {'texts' if allowed == 'US' else 'numbers'}")
    if any(size < 0 for size in shape) or (len(shape) > 1 and math.prod(shape[1:]) > MAX_CHANNELS):
        raise ValueError(f"the array {name!r} has the shape {shape}")
    return shape, fortran, dtype


def _exactly(file: IO[bytes], size: int, name: str) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError(f"the array {name!r} ends too early")
    return data


def _refused(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is not a recording: {first_line(error)}", hint=HINT)
