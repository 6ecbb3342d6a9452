"""Files to import: found in folders, opened inside zip archives and gzip files, hashed, never changed."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from fsq_edge_runtime.errors import DataError, MissingInputError, UsageError
from fsq_edge_runtime.files import first_line

MAX_FILES = 100_000
MAX_UNPACKED_BYTES = 64 << 30
MAX_RATIO = 400  # deflate reaches about 1,000 on zeros; a table of numbers packs 3 to 20 times
SMALL_BYTES = 64 << 20  # below this no ratio is asked for
HASH_BLOCK = 1 << 20
ZIP_SUFFIXES = (".zip",)
# What zipfile, gzip and zlib raise when an archive is damaged, encrypted or packed in a way they do not know.
ARCHIVE_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,
    NotImplementedError,
    struct.error,
)
HIDDEN = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True, slots=True, order=True)
class InputFile:
    """One file to import: on the disk, or inside a zip archive.

    Args:
        name: how patterns and reports call it: the path below the folder or archive that was named, with ``/``.
        path: the file on the disk, for a member that of its archive.
        member: the name inside the archive; empty for a file of its own.
    """

    name: str
    path: Path
    member: str = ""

    @property
    def suffix(self) -> str:
        """The last suffix in lower case, with its dot, without ``.gz``."""
        pure = PurePosixPath(self.name)
        return (PurePosixPath(pure.stem) if pure.suffix.lower() == ".gz" else pure).suffix.lower()

    @property
    def stem(self) -> str:
        """The file's name without folders and suffixes."""
        name = PurePosixPath(self.name).name
        return name.removesuffix(".gz").rpartition(".")[0] or name

    def open(self) -> IO[bytes]:
        """Open for reading; packed files are unpacked while they are read, within bounds.

        Raises:
            MissingInputError: it is not there or cannot be read.
            DataError: the archive is damaged, or packs more than the bounds allow.
        """
        try:
            if self.member:
                return _open_member(self)
            if self.name.lower().endswith(".gz"):
                packed = self.path.stat().st_size
                return cast(IO[bytes], _Bounded(cast(IO[bytes], gzip.open(self.path, "rb")), packed, self.name))
            return self.path.open("rb")
        except OSError as error:
            raise MissingInputError(f"cannot read {self.path}: {error.strerror or error}") from error
        except ARCHIVE_ERRORS as error:
            raise DataError(f"{self.path} is not a readable archive: {first_line(error)}") from error

    def head(self, size: int) -> bytes:
        """Return the first bytes; errors as :meth:`open`."""
        with self.open() as file:
            return file.read(size)

    def size(self) -> int:
        """Return the bytes of the file as it lies, for a member unpacked; errors as :meth:`open`."""
        if not self.member:
            return self.path.stat().st_size
        with zipfile.ZipFile(self.path) as archive:
            return archive.getinfo(self.member).file_size

    def sha256(self) -> str:
        """Return the SHA-256 of the content (of a gzip file as it lies), hex."""
        digest = hashlib.sha256()
        with self.open() if self.member else self.path.open("rb") as file:
            while block := file.read(HASH_BLOCK):
                digest.update(block)
        return digest.hexdigest()


def find_inputs(paths: Iterable[Path]) -> tuple[InputFile, ...]:
    """Return every file under the paths, in the order of their names.

    Args:
        paths: files, folders and zip archives. Hidden files and what operating systems leave behind are passed over.

    Raises:
        MissingInputError: a path is not there, or nothing was found.
        UsageError: two files have one name.
        DataError: an archive is damaged.
    """
    found: dict[str, InputFile] = {}
    for path in paths:
        for item in _files_of(path):
            if item.name in found and found[item.name] != item:
                raise UsageError(
                    f"two inputs are called {item.name}: {found[item.name].path} and {item.path}",
                    hint="name the folder above them instead",
                )
            found[item.name] = item
            if len(found) > MAX_FILES:
                raise UsageError(f"more than {MAX_FILES} files", hint="name a smaller folder")
    if not found:
        raise MissingInputError("there are no files to import", hint="name files, folders or zip archives")
    return tuple(found[name] for name in sorted(found))


def _files_of(path: Path) -> Iterator[InputFile]:
    if not path.exists():
        raise MissingInputError(f"{path} does not exist")
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            relative = file.relative_to(path)
            if file.is_file() and not any(part.startswith(".") or part in HIDDEN for part in relative.parts):
                yield from _one(file, relative.as_posix())
    else:
        yield from _one(path, path.name)


def _one(file: Path, name: str) -> Iterator[InputFile]:
    if file.suffix.lower() not in ZIP_SUFFIXES:
        yield InputFile(name, file)
        return
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except ARCHIVE_ERRORS as error:
        raise DataError(f"{file} is not a readable zip archive: {first_line(error)}") from error
    inside = name[: -len(file.suffix)]
    for entry in entries[:MAX_FILES]:
        parts = PurePosixPath(entry.filename).parts
        if entry.is_dir() or any(part.startswith(".") or part in HIDDEN for part in parts):
            continue
        yield InputFile(f"{inside}/{entry.filename}", file, entry.filename)


def _open_member(item: InputFile) -> IO[bytes]:
    archive = zipfile.ZipFile(item.path)
    try:
        entry = archive.getinfo(item.member)
        return cast(IO[bytes], _Bounded(archive.open(entry), entry.compress_size, item.name, archive))
    except BaseException:
        archive.close()
        raise


class _Bounded(io.RawIOBase):
    """A stream that unpacks, and refuses once it gives more than its packed size can explain."""

    def __init__(self, inner: IO[bytes], packed: int, name: str, owner: zipfile.ZipFile | None = None) -> None:
        super().__init__()
        self._inner, self._name, self._owner = inner, name, owner
        self._limit = min(MAX_UNPACKED_BYTES, max(SMALL_BYTES, packed * MAX_RATIO))
        self._given = 0

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._inner.read(size if size >= 0 else self._limit - self._given + 1)
        except ARCHIVE_ERRORS as error:
            raise DataError(f"{self._name} is damaged: {first_line(error)}", hint="fetch or pack it again") from error
        self._given += len(data)
        if self._given > self._limit:
            raise DataError(f"{self._name} unpacks to more than {self._limit} bytes", hint="unpack it yourself first")
        return data

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            if self._owner is not None:
                self._owner.close()
        super().close()
