"""The canonical container of a bundle: named byte strings in order, as one zip file or one folder.

The zip form is stored uncompressed with dates of 1980, no extra fields and no slack, and its archive comment is the
SHA-256 (hex) of every byte before the comment: that is checked before anything is parsed, and the archive must be
byte for byte what this module would write, so every flipped, added or moved byte is seen.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from fsq_edge_runtime.bundle.zip_form import (
    COMMENT_BYTES,
    FETCH_AGAIN,
    LOCAL_MAGIC,
    StoredEntry,
    directory,
    is_safe_name,
    read_entry,
)
from fsq_edge_runtime.errors import BundleError, MissingInputError
from fsq_edge_runtime.files import new_folder, read_bounded, sync_folder, write_errors, write_synced

MAX_BUNDLE_BYTES: Final = 128 * 1024 * 1024  # its self-test then takes at most 560 MB
MAX_FILES: Final = 256
FOLDER_DIGEST: Final = "manifest.sha256"
MANIFEST: Final = "manifest.json"
CURRENT: Final = "current"  # the link of an install folder to the bundle in use


def encode_archive(files: Mapping[str, bytes]) -> bytes:
    """Return the canonical zip of ``files`` in their order; equal content gives equal bytes.

    Raises:
        BundleError: a name is unsafe, or there are too many files or bytes.
    """
    _check_limits({name: len(data) for name, data in files.items()})
    parts: list[bytes] = []
    entries: list[StoredEntry] = []
    offset = 0
    for name, data in files.items():
        entry = StoredEntry(name.encode("ascii"), zlib.crc32(data), len(data), offset)
        entries.append(entry)
        parts += [entry.local_header(), data]
        offset += entry.stored_bytes
    body = b"".join([*parts, directory(entries, offset)])
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
    if not data.startswith(LOCAL_MAGIC):
        raise BundleError("this is not a bundle (no zip signature at its start)", hint=FETCH_AGAIN)
    if hashlib.sha256(body).hexdigest().encode("ascii") != comment:
        raise BundleError("the bundle is damaged: its bytes do not match the SHA-256 at its end", hint=FETCH_AGAIN)
    files: dict[str, bytes] = {}
    entries: list[StoredEntry] = []
    offset = 0
    while data.startswith(LOCAL_MAGIC, offset):
        entry, content = read_entry(body, offset)
        name = entry.name.decode("ascii")
        if name in files or len(files) >= MAX_FILES:
            raise BundleError(f"the bundle is not in canonical form: {name!r} is one file too many", hint=FETCH_AGAIN)
        files[name] = bytes(content)
        entries.append(entry)
        offset += entry.stored_bytes
    if body[offset:] != directory(entries, offset) or FOLDER_DIGEST in files:
        raise BundleError("the bundle is not in canonical form: its directory is another", hint=FETCH_AGAIN)
    _check_limits({name: len(content) for name, content in files.items()})
    return files


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
    except OSError as error:
        raise MissingInputError(f"cannot read the bundle {path}: {error.strerror}") from error
    data = read_bounded(path, MAX_BUNDLE_BYTES, what="the bundle")
    if not data.startswith(LOCAL_MAGIC):
        raise BundleError(f"{path} is not a bundle (no zip signature at its start)", hint=FETCH_AGAIN)
    return decode_archive(data)


def _read_folder(path: Path) -> dict[str, bytes]:
    found = sorted(entry for entry in path.rglob("*") if not entry.is_dir() or entry.is_symlink())
    if any(entry.is_symlink() or not entry.is_file() for entry in found):
        raise BundleError(f"the bundle folder {path} holds a link or a special file", hint=FETCH_AGAIN)
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
        UnavailableError: no permission or no space.
    """
    if path.is_symlink() or (path.exists() and not (replace and (path / MANIFEST).is_file())):
        raise BundleError(f"{path} exists already", hint="choose another name or remove it first")
    _check_limits({name: len(data) for name, data in files.items()})
    with write_errors(path):
        with new_folder(path, MANIFEST if replace else None) as target:
            write_tree(files, target)
        sync_folder(path.parent)


def write_tree(files: Mapping[str, bytes], target: Path, *, public: bool = False) -> None:
    """Write the folder form's files and its digest into an empty folder and wait until all of it is on the disk.

    Args:
        files: name to content; the names are safe.
        target: an existing empty folder.
        public: everybody may read it, whatever the umask: who installs a bundle is seldom who runs it.
    """
    digest = hashlib.sha256(files[MANIFEST]).hexdigest() + "\n"
    folders = {target}
    for name, data in {**files, FOLDER_DIGEST: digest.encode("ascii")}.items():
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        folders.update(folder for folder in file.parents if folder.is_relative_to(target))
        write_synced(file, data)
        if public:
            file.chmod(0o644)
    for folder in sorted(folders, reverse=True):
        if public:
            folder.chmod(0o755)
        sync_folder(folder)


def _check_limits(sizes: Mapping[str, int]) -> None:
    if len(sizes) > MAX_FILES or sum(sizes.values()) > MAX_BUNDLE_BYTES:
        raise BundleError(f"a bundle may hold {MAX_FILES} files and {MAX_BUNDLE_BYTES} bytes, this has more")
    folders = {str(folder) for name in sizes for folder in PurePosixPath(name).parents}
    unsafe = [name for name in sizes if not is_safe_name(name) or name in folders]
    if unsafe:
        raise BundleError(f"the bundle holds a file with an unsafe name: {unsafe[0]!r}", hint=FETCH_AGAIN)
