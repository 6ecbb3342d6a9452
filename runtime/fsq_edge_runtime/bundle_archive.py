"""The canonical container of a bundle: named byte strings in order, as one zip file or one folder.

The zip form is stored uncompressed with dates of 1980, no extra fields and no slack, and its archive comment is the
SHA-256 (hex) of every byte before the comment: that is checked before anything is parsed, and the archive must be
byte for byte what this module would write, so every flipped, added or moved byte is seen.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fsq_edge_runtime.errors import BundleError, MissingInputError

MAX_BUNDLE_BYTES: Final = 512 * 1024 * 1024
MAX_FILES: Final = 256
COMMENT_BYTES: Final = 64
FOLDER_DIGEST: Final = "manifest.sha256"
MANIFEST: Final = "manifest.json"

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}(/[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}){0,3}")
_FETCH_AGAIN = "fetch or build the bundle again"


def is_safe_name(name: str) -> bool:
    """Return whether ``name`` is a plain relative path: ASCII, no ``..``, no leading dot or slash, at most 4 levels."""
    return _SAFE_NAME.fullmatch(name) is not None


def encode_archive(files: Mapping[str, bytes]) -> bytes:
    """Return the canonical zip of ``files`` in their order; equal content gives equal bytes.

    Raises:
        BundleError: a name is unsafe, or there are too many files or bytes.
    """
    _check_limits({name: len(data) for name, data in files.items()})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)
    body = buffer.getvalue()[:-2] + COMMENT_BYTES.to_bytes(2, "little")
    return body + hashlib.sha256(body).hexdigest().encode("ascii")


def decode_archive(data: bytes) -> dict[str, bytes]:
    """Return the files of a canonical zip in order.

    Raises:
        BundleError: the comment does not match, the zip is damaged, not canonical, or over the limits.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise BundleError(f"the bundle has {len(data)} bytes, at most {MAX_BUNDLE_BYTES} are allowed")
    body, comment = data[:-COMMENT_BYTES], data[-COMMENT_BYTES:]
    if not body.startswith(b"PK\x03\x04"):
        raise BundleError("this is not a bundle (no zip signature at its start)", hint=_FETCH_AGAIN)
    if hashlib.sha256(body).hexdigest().encode("ascii") != comment:
        raise BundleError("the bundle is damaged: its bytes do not match the SHA-256 at its end", hint=_FETCH_AGAIN)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise BundleError("the bundle is not canonical: an entry is compressed", hint=_FETCH_AGAIN)
            _check_limits({entry.filename: entry.file_size for entry in entries})
            files = {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError) as error:
        raise BundleError(f"the bundle's zip structure is damaged: {error}", hint=_FETCH_AGAIN) from error
    if len(files) != len(entries) or encode_archive(files) != data:
        raise BundleError("the bundle is not in canonical form", hint=_FETCH_AGAIN)
    return files


def read_files(path: Path) -> dict[str, bytes]:
    """Return the files of a bundle, from its zip or its folder form, after the container's own checks.

    Raises:
        MissingInputError: no such file or folder.
        BundleError: as :func:`decode_archive`; for a folder: no digest, a wrong one, or a link in it.
    """
    try:
        if path.is_dir():
            return _read_folder(path)
        with path.open("rb") as file:
            data = file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as error:
        raise MissingInputError(f"cannot read the bundle {path}: {error.strerror}") from error
    return decode_archive(data)


def _read_folder(path: Path) -> dict[str, bytes]:
    found = sorted(entry for entry in path.rglob("*") if not entry.is_dir() or entry.is_symlink())
    if any(entry.is_symlink() or not entry.is_file() for entry in found):
        raise BundleError(f"the bundle folder {path} holds a link or a special file", hint=_FETCH_AGAIN)
    sizes = {entry.relative_to(path).as_posix(): entry.stat().st_size for entry in found}
    if FOLDER_DIGEST not in sizes or MANIFEST not in sizes:
        raise BundleError(f"{path} is not a bundle folder: {MANIFEST} or {FOLDER_DIGEST} is missing")
    _check_limits(sizes)
    files = {name: (path / name).read_bytes() for name in sizes}
    digest = files.pop(FOLDER_DIGEST)
    if digest.decode("ascii", "replace").strip() != hashlib.sha256(files[MANIFEST]).hexdigest():
        raise BundleError(f"the bundle folder {path} is damaged: {MANIFEST} does not match {FOLDER_DIGEST}")
    return {MANIFEST: files.pop(MANIFEST), **files}


def write_folder(files: Mapping[str, bytes], path: Path) -> None:
    """Write the folder form into ``path``, which must not exist yet; complete or not at all.

    Raises:
        BundleError: the folder exists, or as :func:`encode_archive`.
    """
    if path.exists():
        raise BundleError(f"{path} exists already", hint="choose another name or remove it first")
    _check_limits({name: len(data) for name, data in files.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as temporary:
        target = Path(temporary) / "bundle"
        digest = hashlib.sha256(files[MANIFEST]).hexdigest() + "\n"
        for name, data in {**files, FOLDER_DIGEST: digest.encode("ascii")}.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            write_synced(target / name, data)
        target.rename(path)
    sync_folder(path.parent)


def write_file(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` whole or not at all: temporary name, fsync, rename, fsync of the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    temporary = Path(name)
    try:
        write_synced(temporary, data)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_synced(path: Path, data: bytes) -> None:
    """Write ``data`` and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the folder's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_limits(sizes: Mapping[str, int]) -> None:
    if len(sizes) > MAX_FILES or sum(sizes.values()) > MAX_BUNDLE_BYTES:
        raise BundleError(f"a bundle may hold {MAX_FILES} files and {MAX_BUNDLE_BYTES} bytes, this has more")
    unsafe = [name for name in sizes if not is_safe_name(name)]
    if unsafe:
        raise BundleError(f"the bundle holds a file with an unsafe name: {unsafe[0]!r}", hint=_FETCH_AGAIN)
