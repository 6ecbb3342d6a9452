"""Installing a bundle on a device so that a kill or a power cut at any moment leaves the old or the new one, whole.

    DEST/current  -> versions/dog-1a2b3c4d5e6f        what runs; swapped by one rename
    DEST/previous -> versions/dog-0f9e8d7c6b5a        what ran before; `rollback` swaps back
    DEST/versions/NAME-HASH/                          the folder form of a bundle, never changed once it is linked
    DEST/.fsq-edge-install                            the mark of an install folder: without it nothing here is ours
    DEST/.lock                                        held while installing

The new version is written under a temporary name, waited for (fsync of every file and folder), read back and verified,
renamed, and only then linked. `Bundle.open(DEST)` follows ``current``.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fsq_edge_runtime.backends.graph_size import check_size
from fsq_edge_runtime.bundle.agreement import check_evidence
from fsq_edge_runtime.bundle.archive import CURRENT, FOLDER_DIGEST, MANIFEST, read_files, write_tree
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.limited_selftest import run_limited_selftest
from fsq_edge_runtime.bundle.selftest import SelfTestResult
from fsq_edge_runtime.bundle.signature import check_signature
from fsq_edge_runtime.errors import BundleError, DataError, MissingInputError, UnavailableError, UsageError
from fsq_edge_runtime.files import sync_folder, write_file
from fsq_edge_runtime.hef import inspect_hef

PREVIOUS: Final = "previous"
VERSIONS: Final = "versions"
LOCK: Final = ".lock"
MARK: Final = ".fsq-edge-install"
_MARK_TEXT: Final = b"This folder was made by fsq-edge bundle install, which removes old bundles from versions/.\n"
_LINK_PREFIX = ".link-"
# The names that this module gives; whatever is called otherwise is not ours and is never removed.
_STAGING = re.compile(r"\.staging-[0-9a-f]{16}")
_VERSION = re.compile(r"[A-Za-z0-9_\-]{1,64}-[0-9a-f]{12}(\.[0-9]{1,4})?")
_NOT_CONTENT = frozenset({LOCK, MARK, "lost+found"})  # what an empty folder may hold; the last is a file system's own


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation did.

    Attributes:
        destination: the install folder.
        version: folder name of the bundle now in use.
        previous: folder name of the one before; empty when there was none.
        selftest: the self-test's outcome; None for a rollback.
        already: this very bundle was in use and whole; nothing was written.
    """

    destination: Path
    version: str
    previous: str
    selftest: SelfTestResult | None
    already: bool = False


def install(
    source: str | Path | Bundle,
    destination: str | Path,
    *,
    backend: str = "auto",
    public_key: bytes | None = None,
    selftest: Callable[[Bundle, str], SelfTestResult] = run_limited_selftest,
) -> Installed:
    """Verify a bundle, run its self-test on the backend that will run it, and make it the current one.

    Args:
        source: the bundle: file or folder, or opened already.
        destination: the install folder; made when it does not exist.
        backend: what will run it: ``auto``, ``onnx``, ``onnx-int8`` or ``hailo``.
        public_key: PEM; the bundle must be signed with its private half.
        selftest: runs the self-test, in a child process with limits; another one only in tests.

    Raises:
        MissingInputError: no such bundle.
        BundleError: damaged, not signed as asked, the self-test failed, or the folder is not an install folder.
        BackendError: the backend cannot be opened.
        UnavailableError: no space or no permission, or another installation is running.
    """
    bundle = source if isinstance(source, Bundle) else Bundle.open(source)
    verify_parts(bundle, public_key)
    outcome = selftest(bundle, backend)
    if not outcome.passed:
        raise BundleError(
            f"the bundle was not installed: its self-test failed on {outcome.backend}: {outcome.reason}",
            hint="the bundle in use was left as it is; compile or build the bundle again",
        )
    root = Path(destination)
    with _storage_errors(root), _locked(root):
        _remove_leftovers(root)
        old = _target(root, CURRENT)
        if old and _is_same(root / VERSIONS / old, bundle):
            return Installed(root, old, _target(root, PREVIOUS), outcome, already=True)
        version = _write_version(root, bundle)
        if old:
            _link(root, PREVIOUS, old)
        _link(root, CURRENT, version)
        _remove_unlinked(root)
        return Installed(root, version, old, outcome)


def rollback(destination: str | Path, *, public_key: bytes | None = None) -> Installed:
    """Make the previous bundle the current one again; a second call returns to the newer one.

    Args:
        destination: the install folder.
        public_key: PEM; the previous bundle must be signed with its private half.

    Raises:
        MissingInputError: there is no installation or no previous bundle.
        BundleError: the previous bundle is damaged, or not signed as asked; the current one stays.
        UnavailableError: another installation is running.
    """
    root = Path(destination)
    if not _is_ours(root):
        raise MissingInputError(f"there is no installation in {root}", hint=f"fsq-edge bundle install BUNDLE {root}")
    with _storage_errors(root), _locked(root):
        old, new = _target(root, CURRENT), _target(root, PREVIOUS)
        if not new or new == old:
            raise MissingInputError(
                f"there is no previous bundle in {root} to return to: one bundle was installed there so far",
                hint=f"fsq-edge bundle install OTHER.fsqb {root}",
            )
        verify_parts(Bundle.from_files(read_files(root / VERSIONS / new), origin=new), public_key)
        _link(root, CURRENT, new)
        if old:
            _link(root, PREVIOUS, old)
        return Installed(root, new, old, None)


def verify_parts(bundle: Bundle, public_key: bytes | None = None) -> None:
    """Check what opening a bundle does not: its signature against a key, its evidence, each HEF and its architecture.

    Raises:
        DataError: the self-test, the fingerprint, the calibration audit or the event score is damaged.
        BundleError: not signed with this key, or a HEF is damaged or filed under an architecture it is not for.
    """
    if public_key is not None:
        check_signature(bundle, public_key)
    check_evidence(bundle)
    for entry in bundle.manifest.files:
        if entry.role in ("encoder", "encoder-int8", "host"):
            check_size(bundle.files[entry.path], entry.path)
    for entry in bundle.manifest.files:
        if entry.role != "hef":
            continue
        arch = entry.arch or ""
        try:
            report = inspect_hef(bundle.files[entry.path], sha256=entry.sha256)
        except DataError as error:
            raise BundleError(f"the bundle's HEF for {arch} is refused: {error.message}", hint=error.hint) from error
        wrong = "" if arch in report.architecture.targets else f"it was compiled for {report.architecture.name}"
        if report.fault or wrong:
            raise BundleError(f"the bundle's HEF for {arch} is refused: {report.fault or wrong}")


def _write_version(root: Path, bundle: Bundle) -> str:
    versions = root / VERSIONS
    staging = versions / f".staging-{secrets.token_hex(8)}"
    staging.mkdir()
    try:
        write_tree(bundle.files, staging, public=True)
        _read_back(staging, bundle)
        name = _free_name(versions, bundle)
        staging.rename(versions / name)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_folder(versions)
    return name


def _read_back(staging: Path, bundle: Bundle) -> None:
    if read_files(staging) != bundle.files:
        raise BundleError(f"what was written to {staging} reads back differently", hint="check the storage")


def _free_name(versions: Path, bundle: Bundle) -> str:
    """Return a folder name that says which bundle it is; a damaged version of the same name may be in use."""
    base = f"{bundle.manifest.name}-{hashlib.sha256(bundle.files[MANIFEST]).hexdigest()[:12]}"
    names = itertools.chain([base], (f"{base}.{number}" for number in itertools.count(1)))
    return next(name for name in names if not os.path.lexists(versions / name))


def _link(root: Path, name: str, version: str) -> None:
    """Point a link at a version by one rename, and wait until that is on the disk."""
    temporary = root / f"{_LINK_PREFIX}{name}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(Path(VERSIONS) / version)
    temporary.replace(root / name)
    sync_folder(root)


def _target(root: Path, name: str) -> str:
    """Return the folder name that a link points at, empty when there is none.

    Raises:
        BundleError: it is not a link that this module made.
    """
    link = root / name
    if not os.path.lexists(link):
        return ""
    target = link.readlink() if link.is_symlink() else Path()
    if len(target.parts) != 2 or target.parts[0] != VERSIONS or target.parts[1] in ("..", "."):
        raise BundleError(f"{link} is not a link to an installed bundle", hint="choose another folder")
    return target.parts[1]


def _is_same(folder: Path, bundle: Bundle) -> bool:
    try:
        return read_files(folder) == bundle.files
    except (BundleError, MissingInputError):
        return False  # damaged on the disk: write it again


def _remove_leftovers(root: Path) -> None:
    """Remove what a killed installation left behind."""
    for path in (root / VERSIONS).iterdir():
        if _STAGING.fullmatch(path.name):
            _remove_folder(path)
    for name in (CURRENT, PREVIOUS):
        path = root / f"{_LINK_PREFIX}{name}"
        if path.is_symlink():
            path.unlink()


def _remove_unlinked(root: Path) -> None:
    """Remove versions that are neither current nor previous."""
    keep = {_target(root, CURRENT), _target(root, PREVIOUS)}
    for path in (root / VERSIONS).iterdir():
        if path.name not in keep and _VERSION.fullmatch(path.name) and (path / MANIFEST).is_file():
            _remove_folder(path)


def _remove_folder(path: Path) -> None:
    # What cannot be removed takes space and does no other harm: the installation is good all the same.
    if not path.is_symlink() and path.is_dir():
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def locked_install(root: Path) -> Iterator[None]:
    """Hold an install folder's lock, with storage errors as one line; errors as :func:`install`."""
    with _storage_errors(root), _locked(root):
        yield


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold the install folder's lock; the kernel drops it when the process dies.

    Raises:
        UsageError: the folder holds other things and is not an install folder.
        BundleError: a part of it is not what this module makes.
        UnavailableError: another installation is running.
    """
    if not _is_ours(root) and any(entry.name not in _NOT_CONTENT for entry in _entries(root)):
        raise UsageError(f"{root} holds other things and is not an install folder", hint="name a new or empty folder")
    if (root / VERSIONS).is_symlink():
        raise BundleError(f"{root / VERSIONS} is a link, not an install folder's own", hint="choose another folder")
    _make_public(root)
    lock = _open_lock(root / LOCK)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UnavailableError(f"another installation into {root} is running", hint="wait for it") from error
        if not os.path.lexists(root / MARK):
            write_file(root / MARK, _MARK_TEXT)
        _make_public(root / VERSIONS)
        yield
    finally:
        os.close(lock)


def _is_ours(root: Path) -> bool:
    """Return whether the folder is an install folder: marked, or made before there was a mark."""
    mark = root / MARK
    if not mark.is_symlink() and mark.is_file():
        return True
    current = root / CURRENT
    target = current.readlink().parts if current.is_symlink() else ()
    return (
        len(target) == 2
        and target[0] == VERSIONS
        and _VERSION.fullmatch(target[1]) is not None
        and (current / FOLDER_DIGEST).is_file()
    )


def _entries(root: Path) -> list[Path]:
    return list(root.iterdir()) if os.path.lexists(root) else []


def _make_public(folder: Path) -> None:
    """Make a folder, and those above it, that everybody may read, whatever the umask; wait for them."""
    missing = list(itertools.takewhile(lambda path: not path.is_dir(), (folder, *folder.parents)))
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
        sync_folder(path.parent)


def _open_lock(path: Path) -> int:
    """Open the lock without following a link, emptying a file or waiting for a pipe's other end.

    Raises:
        BundleError: it is a link or a special file.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        lock = os.open(path, flags, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise BundleError(f"{path} is not a regular file", hint="remove it, or choose another folder") from error
        raise
    if stat.S_ISREG(os.fstat(lock).st_mode):
        return lock
    os.close(lock)
    raise BundleError(f"{path} is not a regular file", hint="remove it, or choose another folder")


@contextmanager
def _storage_errors(root: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one line; what was in use is untouched."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise UnavailableError(
            f"cannot install into {root}: {error.strerror or error}",
            hint="free some space; the bundle in use was left as it is" if full else "check the folder and its owner",
        ) from error
