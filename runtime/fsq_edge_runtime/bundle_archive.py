"""The canonical container of a bundle: named byte strings in order, as one zip file or one folder.

The zip form is stored uncompressed with dates of 1980, no extra fields and no slack, and its archive comment is the
SHA-256 (hex) of every byte before the comment: that is checked before anything is parsed, and the archive must be
byte for byte what this module would write, so every flipped, added or moved byte is seen.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from fsq_edge_runtime.errors import BundleError, MissingInputError

MAX_BUNDLE_BYTES: Final = 512 * 1024 * 1024
MAX_FILES: Final = 256
COMMENT_BYTES: Final = 64
FOLDER_DIGEST: Final = "manifest.sha256"
MANIFEST: Final = "manifest.json"
CURRENT: Final = "current"  # the link of an install folder to the bundle in use

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}(/[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}){0,3}")
# Source: PKWARE's APPNOTE, sections 4.3.7, 4.3.12 and 4.3.16.
_LOCAL_MAGIC = b"PK\x03\x04"
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION, _UNIX, _MODE = 20, 3, 0o100644
_DATE = 0x21  # the first of January 1980, the earliest that a zip can say
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
    parts: list[bytes] = []
    entries: list[_Entry] = []
    offset = 0
    for name, data in files.items():
        entry = _Entry(name.encode("ascii"), zlib.crc32(data), len(data), offset)
        entries.append(entry)
        parts += [entry.local_header(), data]
        offset += entry.stored_bytes
    body = b"".join([*parts, _directory(entries, offset)])
    return body + hashlib.sha256(body).hexdigest().encode("ascii")


def decode_archive(data: bytes) -> dict[str, bytes]:
    """Return the files of a canonical zip in order.

    The zip is not searched but read from its start, and everything that is not file content must be what
    :func:`encode_archive` would write: there is no second way of reading it.

    Raises:
        BundleError: the comment does not match, the zip is damaged, not canonical, or over the limits.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise BundleError(f"the bundle has {len(data)} bytes, at most {MAX_BUNDLE_BYTES} are allowed")
    view = memoryview(data)
    body, comment = view[:-COMMENT_BYTES], view[-COMMENT_BYTES:]
    if not data.startswith(_LOCAL_MAGIC):
        raise BundleError("this is not a bundle (no zip signature at its start)", hint=_FETCH_AGAIN)
    if hashlib.sha256(body).hexdigest().encode("ascii") != comment:
        raise BundleError("the bundle is damaged: its bytes do not match the SHA-256 at its end", hint=_FETCH_AGAIN)
    files: dict[str, bytes] = {}
    entries: list[_Entry] = []
    offset = 0
    while data.startswith(_LOCAL_MAGIC, offset):
        entry, content = _read_entry(body, offset)
        name = entry.name.decode("ascii")
        if name in files or len(files) >= MAX_FILES:
            raise BundleError(f"the bundle is not in canonical form: {name!r} is one file too many", hint=_FETCH_AGAIN)
        files[name] = bytes(content)
        entries.append(entry)
        offset += entry.stored_bytes
    if body[offset:] != _directory(entries, offset) or FOLDER_DIGEST in files:
        raise BundleError("the bundle is not in canonical form: its directory is another", hint=_FETCH_AGAIN)
    _check_limits({name: len(content) for name, content in files.items()})
    return files


@dataclass(frozen=True, slots=True)
class _Entry:
    """One file of the zip: stored, dated 1980, no extra field, no comment.

    Attributes:
        name: ASCII.
        crc: CRC-32 of the content.
        size: of the content.
        offset: where the local header begins.
    """

    name: bytes
    crc: int
    size: int
    offset: int

    @property
    def stored_bytes(self) -> int:
        """Local header and content."""
        return _LOCAL.size + len(self.name) + self.size

    def local_header(self) -> bytes:
        """Return the header that stands before the content."""
        sizes = (self.crc, self.size, self.size, len(self.name), 0)
        return _LOCAL.pack(_LOCAL_MAGIC, _VERSION, 0, 0, 0, _DATE, *sizes) + self.name

    def directory_entry(self) -> bytes:
        """Return the entry of the central directory."""
        sizes = (self.crc, self.size, self.size, len(self.name), 0, 0, 0, 0)
        unix = _UNIX << 8 | _VERSION
        fixed = (b"PK\x01\x02", unix, _VERSION, 0, 0, 0, _DATE)
        return _CENTRAL.pack(*fixed, *sizes, _MODE << 16, self.offset) + self.name


def _read_entry(body: memoryview, offset: int) -> tuple[_Entry, memoryview]:
    """Return the entry at an offset and its content, which lies wholly inside ``body``."""
    header = bytes(body[offset : offset + _LOCAL.size])
    if len(header) < _LOCAL.size:
        raise BundleError("the bundle's zip structure is damaged: a header is cut off", hint=_FETCH_AGAIN)
    method, crc, size, name_bytes = (_LOCAL.unpack(header)[place] for place in (3, 6, 8, 9))
    start = offset + _LOCAL.size
    name = bytes(body[start : start + name_bytes])
    content = body[start + name_bytes : start + name_bytes + size]
    if method != 0:
        raise BundleError("the bundle is not canonical: an entry is compressed", hint=_FETCH_AGAIN)
    shown = name.decode("ascii", "backslashreplace")
    if not is_safe_name(shown):
        raise BundleError(f"the bundle holds a file with an unsafe name: {shown[:80]!r}", hint=_FETCH_AGAIN)
    entry = _Entry(name, crc, size, offset)
    if len(content) != size or header + name != entry.local_header() or zlib.crc32(content) != crc:
        raise BundleError(f"the bundle is not in canonical form at {shown!r}", hint=_FETCH_AGAIN)
    return entry, content


def _directory(entries: Sequence[_Entry], offset: int) -> bytes:
    """Return the central directory and the end record, which announces the comment."""
    directory = b"".join(entry.directory_entry() for entry in entries)
    counts = (0, 0, len(entries), len(entries))
    return directory + _END.pack(b"PK\x05\x06", *counts, len(directory), offset, COMMENT_BYTES)


def read_files(path: Path) -> dict[str, bytes]:
    """Return the files of a bundle, from its zip or its folder form, after the container's own checks.

    Args:
        path: the file, the folder, or a folder that ``bundle install`` made (its current bundle is read).

    Raises:
        MissingInputError: no such file or folder.
        BundleError: as :func:`decode_archive`; for a folder: no digest, a wrong one, or a link in it.
    """
    try:
        if (path / CURRENT).is_symlink():
            path = Path(os.path.realpath(path / CURRENT, strict=True))  # a loop is an OSError here
        if path.is_dir():
            return _read_folder(path)
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise MissingInputError(f"the bundle {path} is not a regular file")
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


def write_folder(files: Mapping[str, bytes], path: Path, *, replace: bool = False) -> None:
    """Write the folder form into ``path``; complete or not at all.

    Args:
        files: name to content.
        path: must not exist yet, unless ``replace``.
        replace: put it in the place of an existing bundle folder. Two renames: between them the old folder stands
            under a temporary name beside it (``bundle install`` has no such gap).

    Raises:
        BundleError: the folder exists, or is no bundle folder, or as :func:`encode_archive`.
    """
    if path.exists() and not (replace and (path / MANIFEST).is_file()):
        raise BundleError(f"{path} exists already", hint="choose another name or remove it first")
    _check_limits({name: len(data) for name, data in files.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as temporary:
        target = Path(temporary) / "bundle"
        target.mkdir()
        write_tree(files, target)
        if path.exists():
            path.rename(Path(temporary) / "old")
        target.rename(path)
    sync_folder(path.parent)


def write_tree(files: Mapping[str, bytes], target: Path) -> None:
    """Write the folder form's files and its digest into an empty folder and wait until all of it is on the disk.

    Args:
        files: name to content; the names are safe.
        target: an existing empty folder.
    """
    digest = hashlib.sha256(files[MANIFEST]).hexdigest() + "\n"
    folders = {target}
    for name, data in {**files, FOLDER_DIGEST: digest.encode("ascii")}.items():
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        folders.update(folder for folder in file.parents if folder.is_relative_to(target))
        write_synced(file, data)
    for folder in sorted(folders, reverse=True):
        sync_folder(folder)


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
    folders = {str(folder) for name in sizes for folder in PurePosixPath(name).parents}
    unsafe = [name for name in sizes if not is_safe_name(name) or name in folders]
    if unsafe:
        raise BundleError(f"the bundle holds a file with an unsafe name: {unsafe[0]!r}", hint=_FETCH_AGAIN)
