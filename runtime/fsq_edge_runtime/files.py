"""Files read within a bound and written whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fsq_edge_runtime.errors import DataError, MissingInputError, UnavailableError, UsageError

LOCK_TIMEOUT_S = 5.0  # held for two system calls; whoever holds it longer is not one of ours
_BUILDING = re.compile(r"\..+\.[0-9a-f]{8}")  # the name of a folder while new_folder builds it
WRITE_HINT = "check the folder, its owner and the free space"


def read_bounded(path: Path, limit: int, *, what: str = "", hint: str = "") -> bytes:
    """Return the bytes of a regular file.

    Args:
        path: the file; a link to a regular file is followed, a pipe or a device is refused, since it may never end.
        limit: most bytes that it may have.
        what: what the file is, for the message; empty says its path alone.
        hint: what to do when it cannot be read; empty takes the usual hint.

    Raises:
        MissingInputError: it does not exist, cannot be read, or is no regular file.
        DataError: it is larger than ``limit``.

    Example:
        >>> read_bounded(Path("/proc/self/exe"), 4)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        fsq_edge_runtime.errors.DataError: /proc/self/exe is larger than 4 bytes
    """
    named = f"{what} {path}".strip()
    with read_errors(named, hint):
        if path.exists() and not path.is_file():
            raise MissingInputError(f"{named} is not a regular file", hint=hint)
        with path.open("rb") as file:
            data = file.read(limit + 1)
    if len(data) > limit:
        raise DataError(f"{named} is larger than {limit} bytes")
    return data


@contextmanager
def read_errors(named: object, hint: str = "") -> Iterator[None]:
    """Let what the system says of reading be a MissingInputError that names the file."""
    try:
        yield
    except OSError as error:
        raise MissingInputError(f"cannot read {named}: {error.strerror or error}", hint=hint) from error


def write_file(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` whole or not at all, as :func:`whole_file` does.

    Raises:
        UnavailableError: no permission or no space; an older file of this name is untouched.
    """
    with whole_file(path) as file:
        file.write(data)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a binary file to write to; ``path`` holds all of it when the block ends well, and is untouched otherwise.

    The content goes to a file without a name in the same folder (which is made if needed), is waited for (fsync),
    named, renamed, and the folder is waited for. A kill leaves nothing behind; where the file system knows no files
    without a name, it may leave a temporary one, which the next writer of ``path`` removes. The mode follows the umask,
    or is that of the file replaced.

    Raises:
        UnavailableError: no permission or no space.
    """
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = _temporary_file(path)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                yield file
                file.flush()
                with contextlib.suppress(FileNotFoundError):
                    os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode))
                os.fsync(descriptor)
                if temporary is None:
                    _name_and_rename(descriptor, path)
                else:
                    temporary.replace(path)
        except BaseException:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def _temporary_file(path: Path) -> tuple[int, Path | None]:
    """Return a descriptor to write to, and its name where the file system insists on one."""
    if Path("/proc/self/fd").is_dir():
        with contextlib.suppress(OSError):
            return os.open(path.parent, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o666), None
    _sweep(path)
    while True:
        name = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        if _held(descriptor):
            return descriptor, name
        os.close(descriptor)


def _held(descriptor: int) -> bool:
    """Lock a new temporary file or folder for its life; False where another writer's sweep has just removed it."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return os.fstat(descriptor).st_nlink > 0


def _sweep(path: Path) -> None:
    """Remove the temporary files and folders of ``path`` whose writers are gone: nobody holds their lock any more.

    A folder's former content is kept for as long as the folder itself is missing.
    """
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}" + (r"(\.former)?" if path.exists() else ""))
    for found in [entry for entry in path.parent.iterdir() if pattern.fullmatch(entry.name)]:
        with contextlib.suppress(OSError):  # still being written, removed by another, or not ours to remove
            descriptor = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if found.is_dir():
                    shutil.rmtree(found)
                else:
                    found.unlink()
            finally:
                os.close(descriptor)


def _new_temporary_folder(folder: Path) -> tuple[int, Path]:
    """Return a new empty folder beside ``folder`` and the descriptor that holds its lock."""
    while True:
        building = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        building.mkdir()
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(building, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if _held(descriptor):
                return descriptor, building
            os.close(descriptor)


def _name_and_rename(descriptor: int, path: Path) -> None:
    """Put a file without a name in the place of ``path``.

    The name in between is always the same, so that the next writer removes what a kill left there; a lock on the
    folder keeps two writers from removing each other's.
    """
    between = path.with_name(f".{path.name}.new")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _BUILDING.fullmatch(path.parent.name):  # its maker holds that lock as long as it builds
            _lock_folder(folder)
        between.unlink(missing_ok=True)
        # With a folder's descriptor Python calls linkat(), which follows the link in /proc; link() would not.
        os.link(f"/proc/self/fd/{descriptor}", between.name, dst_dir_fd=folder)
        between.replace(path)
    finally:
        os.close(folder)


def _lock_folder(descriptor: int) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.001)


@contextmanager
def new_folder(folder: Path, replaceable: str | None = None) -> Iterator[Path]:
    """Give a folder to build in, and put it in place whole when the block ends well, or not at all.

    What a kill leaves beside it is removed by the next writer. A folder is replaced by two renames: between them the
    old one stands under a temporary name that ends in ``.former``.

    Args:
        folder: target; must not exist, or be empty.
        replaceable: a file name: an existing target that holds such a file may be replaced.

    Raises:
        UsageError: the target holds something already.
        UnavailableError: a write in the block failed.
    """
    occupied = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if occupied and not (replaceable and (folder / replaceable).is_file()):
        raise UsageError(f"{folder} exists and is not an empty folder", hint="choose another, or remove it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    descriptor, building = _new_temporary_folder(folder)
    try:
        yield building
        if occupied:
            former = building.with_name(building.name + ".former")
            folder.replace(former)
            try:
                building.replace(folder)
            except OSError:
                former.replace(folder)
                raise
            shutil.rmtree(former)
        else:
            building.replace(folder)
    except BaseException as error:
        shutil.rmtree(building, ignore_errors=True)
        if isinstance(error, OSError) and error.filename is None:  # of an open file, which does not say its name
            raise UnavailableError(f"cannot write {folder}: {error.strerror or error}", hint=WRITE_HINT) from error
        raise
    finally:
        os.close(descriptor)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn an operating system's error into one line that names ``path``.

    Raises:
        UnavailableError: the block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise UnavailableError(f"cannot write {path}: {error.strerror or error}", hint=WRITE_HINT) from error


def write_synced(path: Path, data: bytes) -> None:
    """Write ``data`` in place and wait until it is on the disk."""
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


def first_line(error: BaseException, limit: int = 300) -> str:
    """Return the first line of an error's message, shortened; its type's name where it says nothing.

    Example:
        >>> first_line(ValueError())
        'ValueError'
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:limit]
