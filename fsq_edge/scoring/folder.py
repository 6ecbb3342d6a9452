"""The output folder of ``score``: where things lie, who may write, and what is in it.

DIR/score.json                     what all decisions were made with
DIR/decisions/NAME.jsonl           the decisions of the recording NAME (.parquet with --format parquet)
DIR/recordings/NAME.json           its entry in the manifest, written last
DIR/.lock, DIR/.lock-I-of-N        held while a run, or a shard, writes
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fsq_edge.scoring.archive import Shard
from fsq_edge.scoring.entry import HEADER, Entry, ScoreHeader
from fsq_edge_runtime.errors import DataError, FsqEdgeError, MissingInputError, UnavailableError, UsageError
from fsq_edge_runtime.files import write_errors, write_file

DECISIONS, RECORDINGS, LOCK = "decisions", "recordings", ".lock"
HINT = "fsq-edge score BUNDLE ARCHIVE --out DIR writes one"


def output_name(name: str, format: str) -> str:
    """Return the path of a recording's decisions, relative to the folder."""
    return f"{DECISIONS}/{name}.{format}"


def entry_path(root: Path, name: str) -> Path:
    """Return the path of a recording's entry."""
    return root / RECORDINGS / f"{name}.json"


def read_entry(root: Path, name: str) -> Entry | None:
    """Return a recording's entry, or None where there is none that can be used."""
    try:
        return Entry.load(entry_path(root, name))
    except FsqEdgeError:
        return None


def write_entry(root: Path, entry: Entry) -> None:
    """Write an entry whole or not at all; a recording that failed keeps no older decisions."""
    if entry.output is None:
        with write_errors(root):
            for format in ("jsonl", "parquet"):
                (root / output_name(entry.file, format)).unlink(missing_ok=True)
    write_file(entry_path(root, entry.file), entry.to_json().encode())


def read_header(root: Path) -> ScoreHeader:
    """Return what the folder was scored with.

    Raises:
        MissingInputError: it is not a folder of ``score``.
    """
    if not (root / HEADER).is_file():
        raise MissingInputError(f"{root} holds no {HEADER}, so it is no output of score", hint=HINT)
    return ScoreHeader.load(root / HEADER)


def read_entries(root: Path) -> Iterator[Entry]:
    """Give every entry in the order of the recordings' names.

    Raises:
        DataError: an entry is damaged.
    """
    paths = sorted((root / RECORDINGS).rglob("*.json"), key=lambda path: path.relative_to(root).as_posix())
    for path in paths:
        if not path.name.startswith("."):
            try:
                yield Entry.load(path)
            except DataError as error:
                raise DataError(f"{path}: {error.message}", hint="remove it and run fsq-edge score again") from error


@contextmanager
def open_folder(root: Path, header: ScoreHeader, shard: Shard) -> Iterator[None]:
    """Hold the folder for one run, or for one shard beside the others, and write its header.

    Raises:
        UsageError: the folder holds other things, or decisions of another bundle or of other settings.
        UnavailableError: another run writes there, or nothing can be written.
    """
    with write_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        known = {LOCK, HEADER}
        foreign = [path.name for path in root.iterdir() if path.name not in known and not path.name.startswith(LOCK)]
    if foreign and not (root / HEADER).is_file():
        raise UsageError(f"{root} holds other things, such as {foreign[0]}", hint="name a new or empty folder")
    shared = shard.count > 1
    names = [(LOCK, shared), *([(f"{LOCK}-{shard.index}-of-{shard.count}", False)] if shared else [])]
    locks: list[int] = []
    try:
        for name, together in names:
            locks.append(_lock(root, name, together))
        _settle_header(root, header)
        yield
    finally:
        for lock in locks:
            os.close(lock)


def _lock(root: Path, name: str, shared: bool) -> int:
    with write_errors(root):
        lock = os.open(root / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise UnavailableError(
            f"another run is scoring into {root}", hint="wait for it, or give --out another folder"
        ) from error
    return lock


def _settle_header(root: Path, header: ScoreHeader) -> None:
    if not (root / HEADER).is_file():
        write_file(root / HEADER, header.to_json().encode())
        return
    there = read_header(root)
    for field in type(header).model_fields:
        old, new = getattr(there, field), getattr(header, field)
        if old != new:
            raise UsageError(
                f"{root} holds decisions with another {field}: {str(old)[:40]}, now {str(new)[:40]}",
                hint="give --out another folder, or remove this one",
            )
