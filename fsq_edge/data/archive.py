"""One recording's npz file: written aligned and whole, read as a memory map wherever the layout admits it."""

from __future__ import annotations

import errno
import io
import math
import mmap
import os
import shutil
import struct
import sys
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.files import first_line, whole_file

MAX_ARRAY_BYTES = 8 << 30  # one array of one recording: 130 hours of 9 float32 channels at 500 Hz
MAX_ENTRIES = 64
_ALIGNMENT = 64
_COPY_BYTES = 1 << 20
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_PADDING_FIELD = 0xD935  # the identifier that Android's zipalign gives to its padding field
_MAX_NPY_HEADER = 16 << 10
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say: equal content gives equal bytes

_FORMAT: Any = np.lib.format  # numpy ships these functions without type information

Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array whose values lie in a file of their own, in C order and without a header; it is copied, never loaded.

    Args:
        path: of the values.
        dtype: such as ``<f4``.
        shape: of the array.
    """

    path: Path
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def write_npz(path: Path, arrays: Mapping[str, AnyArray | StoredArray]) -> None:
    """Write arrays as an uncompressed npz whose data start on 64-byte boundaries, whole or not at all.

    Args:
        path: target; replaced if it exists.
        arrays: by name, no objects.

    Raises:
        UnavailableError: no permission or no space.
    """
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            _write_entry(archive, file.tell(), f"{name}.npy", array)


def _write_entry(archive: zipfile.ZipFile, offset: int, name: str, array: AnyArray | StoredArray) -> None:
    content = array if isinstance(array, StoredArray) else np.ascontiguousarray(array)
    entry = zipfile.ZipInfo(name, date_time=_DATE)
    entry.external_attr = 0o644 << 16
    large = content.nbytes > (1 << 31)
    # The data begin after the local header, the name, a zip64 field of 20 bytes (large files) and the padding field.
    begin = offset + _LOCAL_HEADER.size + len(name) + (20 if large else 0) + 4
    entry.extra = struct.pack("<HH", _PADDING_FIELD, -begin % _ALIGNMENT) + bytes(-begin % _ALIGNMENT)
    with archive.open(entry, "w", force_zip64=large) as target:
        if isinstance(content, StoredArray):
            header = {"descr": np.dtype(content.dtype).str, "fortran_order": False, "shape": content.shape}
            _FORMAT.write_array_header_1_0(target, header)
            with content.path.open("rb") as values:
                shutil.copyfileobj(values, target, _COPY_BYTES)
        else:
            _FORMAT.write_array(target, content, allow_pickle=False)


def read_npz(path: Path, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, AnyArray]:
    """Read named arrays of an npz file; other names in the file are left alone.

    Stored (uncompressed) arrays are returned as read-only views of one memory map of the file, so nothing is loaded
    until it is touched; compressed ones are read into memory. Views of files that numpy wrote itself may be
    unaligned, which numpy handles and which copies undo.

    Raises:
        MissingInputError: there is no such file, or it cannot be opened.
        DataError: empty, damaged, holds objects, lacks a required array, or an array is larger than
            ``MAX_ARRAY_BYTES``.
    """
    return _opened(path, "npz", lambda file: _read_entries(path, file, required, optional))


def read_npy(path: Path) -> AnyArray:
    """Return the array of an npy file as a read-only view of a memory map.

    Raises:
        MissingInputError: there is no such file, or it cannot be opened.
        DataError: empty, damaged, or holds objects.
    """

    def view(file: io.BufferedReader) -> AnyArray:
        whole = _map(file)
        return _array(whole, 0, len(whole), path.name)

    return _opened(path, "npy", view)


def _opened(path: Path, kind: str, read: Callable[[io.BufferedReader], Content]) -> Content:
    """Open a file, read it, and turn what can go wrong into the project's errors."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise DataError(f"{path} is empty", hint=f"write it again with numpy.save{'z' * (kind == 'npz')}")
            return read(file)
    except OSError as error:
        # Before Python 3.13 a memory map keeps a file descriptor of its own, so many recordings meet the soft limit
        # of open files (often 1024); it is raised towards the hard limit, as far as the data need it.
        if error.errno == errno.EMFILE and _raise_open_file_limit():
            return _opened(path, kind, read)
        hint = "raise the limit of open files (ulimit -n)" if error.errno == errno.EMFILE else ""
        raise MissingInputError(f"cannot read {path}: {error.strerror or error}", hint=hint) from error
    except (zipfile.BadZipFile, EOFError, ValueError, struct.error, NotImplementedError, zlib.error) as error:
        hint = f"write it again with numpy.save{'z' * (kind == 'npz')}"
        raise DataError(f"{path} is not a readable {kind} file: {first_line(error)}", hint=hint) from error


def _read_entries(
    path: Path, file: io.BufferedReader, required: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, AnyArray]:
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()[:MAX_ENTRIES]}
        missing = [name for name in required if name not in entries]
        if missing:
            raise DataError(
                f"{path} has no array {missing[0]!r}; it has {', '.join(map(repr, sorted(entries))) or 'none'}",
                hint="an npz of a dataset folder holds samples (n, C), labels (n,) and, optionally, timestamps (n,)",
            )
        whole: mmap.mmap | None = None
        arrays = {}
        for name in (*required, *optional):
            if name not in entries:
                continue
            entry = entries[name]
            if entry.file_size > MAX_ARRAY_BYTES:
                raise DataError(
                    f"{path}: array {name!r} unpacks to {entry.file_size} bytes, the limit is {MAX_ARRAY_BYTES}",
                    hint="cut the recording into parts",
                )
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & 1:
                raise ValueError(f"entry {name!r} is encrypted, or packed in a way that npz files never are")
            if entry.compress_type == zipfile.ZIP_STORED:
                whole = whole if whole is not None else _map(file)
                arrays[name] = _array(whole, _content_offset(whole, entry), entry.file_size, name)
            else:
                with archive.open(entry) as source:
                    arrays[name] = _array(source.read(), 0, entry.file_size, name)
        return arrays


def _content_offset(whole: mmap.mmap, entry: zipfile.ZipInfo) -> int:
    """Where the content of a stored entry begins in the mapped file."""
    header = _LOCAL_HEADER.unpack_from(whole, entry.header_offset)
    if header[0] != b"PK\x03\x04":
        raise ValueError(f"entry {entry.filename!r} has no local header")
    return int(entry.header_offset + _LOCAL_HEADER.size + header[-2] + header[-1])


def _array(buffer: mmap.mmap | bytes, begin: int, size: int, name: str) -> AnyArray:
    """View npy content of ``size`` bytes; its header is held to that size before anything is made."""
    end = begin + size
    if end > len(buffer):
        raise ValueError(f"array {name!r} is cut short")
    head = io.BytesIO(buffer[begin : min(end, begin + _MAX_NPY_HEADER)])
    shape, fortran, dtype = _read_header(head, name)
    if dtype.hasobject:
        raise ValueError(f"array {name!r} holds Python objects")
    count = math.prod(shape)
    if begin + head.tell() + count * dtype.itemsize != end:
        raise ValueError(f"array {name!r} has {size} bytes, its header says otherwise")
    flat = np.frombuffer(buffer, dtype, count, begin + head.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def _read_header(head: io.BytesIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read an npy header; numpy lets its parser's errors through when the text is damaged."""
    version = _FORMAT.read_magic(head)
    readers = {(1, 0): _FORMAT.read_array_header_1_0, (2, 0): _FORMAT.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"array {name!r} has npy version {version}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers of Python 2, which numpy then reads well
            shape, fortran, dtype = readers[version](head)
    except (SyntaxError, tokenize.TokenError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise ValueError(f"array {name!r} has a damaged header") from error
    if any(length < 0 for length in shape):
        raise ValueError(f"array {name!r} has the shape {shape}")
    return shape, fortran, dtype


def _map(file: io.BufferedReader) -> mmap.mmap:
    """Map a whole file read-only; on Python 3.13 and later without keeping a file descriptor."""
    if sys.version_info >= (3, 13):
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ, trackfd=False)
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _raise_open_file_limit() -> bool:
    import resource  # POSIX only, like the limit

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= hard:
        return False
    wanted = min(4 * soft, hard) if hard != resource.RLIM_INFINITY else 4 * soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return True
