"""Arrays as npz, and read from bytes that may be hostile: no pickles, no compression, no array beyond its bytes.

An npz is a zip: a member may be compressed (100 kB that unpack to 100 GB) and its header may promise any shape. What
this project writes is stored, so everything is bounded by the bytes that are there.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.files import first_line

MAX_MEMBERS = 64


def npz_bytes(**arrays: npt.ArrayLike) -> bytes:
    """Return an uncompressed npz, the same bytes for the same content."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stubs take the names for its own options
    return buffer.getvalue()


def npy_bytes(array: npt.ArrayLike) -> bytes:
    """Return one array as npy."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_arrays(data: bytes, names: Sequence[str]) -> list[AnyArray]:
    """Return the named arrays of an uncompressed npz.

    Args:
        data: the file.
        names: keys, in the order wanted.

    Raises:
        ValueError: not a sound npz, compressed, objects inside, or a key is missing.
    """
    try:
        return _read_members(data, names)
    except ValueError:
        raise
    except Exception as error:
        # zipfile and numpy's reader of headers, which evaluates a Python literal, raise whatever they come upon.
        raise ValueError(f"not a sound npz: {first_line(error)}") from error


def _read_members(data: bytes, names: Sequence[str]) -> list[AnyArray]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {entry.filename: entry for entry in archive.infolist()}
        if len(members) > MAX_MEMBERS:
            raise ValueError(f"{len(members)} arrays, at most {MAX_MEMBERS} are allowed")
        found = []
        for name in names:
            entry = members.get(f"{name}.npy")
            if entry is None:
                raise ValueError(f"the array {name!r} is missing")
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > len(data):
                raise ValueError(f"the array {name!r} is compressed")
            found.append(_read_array(archive.read(entry), name))
        return found


def array_names(data: bytes) -> tuple[str, ...]:
    """Return the keys of an npz.

    Raises:
        ValueError: not a sound npz.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except Exception as error:
        raise ValueError(f"not a sound npz: {first_line(error)}") from error
    return tuple(name.removesuffix(".npy") for name in names if name.endswith(".npy"))


def _read_array(data: bytes, name: str) -> AnyArray:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]  # numpy's stubs leave it open
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(
        version
    )
    if read_header is None:
        raise ValueError(f"the array {name!r} has npy version {version}")
    shape, fortran, dtype = read_header(file)  # type: ignore[no-untyped-call]  # as above
    count = 1
    for size in shape:
        count *= size
    if dtype.hasobject or count * dtype.itemsize != len(data) - file.tell():
        raise ValueError(f"the array {name!r} does not have the bytes that its header says")
    flat = np.frombuffer(data, dtype=dtype, count=count, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran else "C").copy()
