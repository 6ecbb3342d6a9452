"""The recordings of an archive: which files there are, what each is called, and which shard it belongs to."""

from __future__ import annotations

import glob
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fsq_edge.data.folder import DESCRIPTION
from fsq_edge.data.importing.import_map import ImportMap
from fsq_edge.data.importing.inputs import InputFile, find_inputs
from fsq_edge.data.importing.patterns import match_name
from fsq_edge_runtime.errors import MissingInputError, UsageError

# What is taken from a folder without a map; a file that is named itself is always taken.
SUFFIXES = frozenset({".npz", ".csv", ".tsv", ".parquet", ".cwa", ".gt3x", ".mat", ".cbor"})


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One recording to score.

    Attributes:
        name: how outputs call it: the path below the folder that was named, with ``/``; different for every file.
        file: where it lies, on the disk or inside a zip archive.
        description: the ``dataset.json`` that the file belongs to; None where it belongs to none.
        bytes: as it lies, for showing progress.
    """

    name: str
    file: InputFile
    description: Path | None = None
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of an archive.

    A file belongs to a shard by its name alone, so shards that start while files are still added neither lose nor
    repeat one.

    Attributes:
        index: from 1.
        count: of all shards.
    """

    index: int = 1
    count: int = 1

    def holds(self, name: str) -> bool:
        """Whether a file of this name belongs to the shard."""
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % self.count == self.index - 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``I/N``.

        Raises:
            UsageError: not two whole numbers with 1 <= I <= N.

        Example:
            >>> Shard.parse("3/8")
            Shard(index=3, count=8)
        """
        index, slash, count = text.partition("/")
        if slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count) <= 1_000_000:
            return cls(int(index), int(count))
        raise UsageError(f"{text!r} is no shard", hint="--shard I/N with I from 1 to N, such as --shard 3/8")


def find_recordings(places: Sequence[str], wanted: ImportMap | None = None) -> tuple[list[ArchiveFile], int]:
    """Find the recordings of files, folders, zip archives and globs.

    Args:
        places: as they were typed; a pattern such as ``data/**/*.npz`` is resolved here.
        wanted: with a map, the files that one of its patterns fits; without one, files whose suffix says that they
            are recordings, and every file that was named itself. Of a dataset folder, the recordings that its
            ``dataset.json`` names.

    Returns:
        The recordings in the order of their names, and how many other files were passed over.

    Raises:
        MissingInputError: a place does not exist, or holds no file.
        UsageError: no recording is among the files.
        DataError: a zip archive is damaged.
    """
    found: dict[tuple[Path, str], tuple[str, InputFile, Path]] = {}
    passed_over = 0
    for root, place in _expand(places):
        for item in find_inputs([place]):
            named = place.is_file() and not item.member
            if not (named or _is_recording(item, wanted)):
                passed_over += 1
                continue
            inside = item.name if place.is_dir() or not root else _below(item, place, root)
            found.setdefault((item.path.resolve(), item.member), (inside, item, place))
    if not found:
        fitting = "fits a pattern of the map" if wanted else f"ends in {', '.join(sorted(SUFFIXES))}"
        raise UsageError(
            f"no recording in {', '.join(places)}: none of {passed_over} files {fitting}",
            hint="give --map, which fsq-edge data import PATH --guess writes",
        )
    names = _unique([inside for inside, _, _ in found.values()], [item for _, item, _ in found.values()])
    files = [
        ArchiveFile(name, item, _description(item, place), item.size())
        for name, (_, item, place) in zip(names, found.values(), strict=True)
    ]
    return sorted(files, key=lambda file: file.name), passed_over


def _expand(places: Iterable[str]) -> Iterator[tuple[Path | None, Path]]:
    """Give each place, for the matches of a pattern with the folder before its first wildcard."""
    for place in places:
        path = Path(place)
        if path.exists() or not glob.has_magic(place):
            yield None, path
            continue
        fixed = list(path.parts)
        while glob.has_magic("/".join(fixed)):
            fixed.pop()
        root = Path(*fixed)
        matches = sorted(match for match in root.glob("/".join(path.parts[len(fixed) :])) if match.is_file())
        if not matches:
            raise MissingInputError(f"nothing fits {place}", hint="check the pattern, and quote it for the shell")
        for match in matches:
            yield root, match


def _below(item: InputFile, place: Path, root: Path) -> str:
    folder = place.relative_to(root).parent.as_posix()
    return item.name if folder == "." else f"{folder}/{item.name}"


def _is_recording(item: InputFile, wanted: ImportMap | None) -> bool:
    if wanted is not None:
        return any(match_name(section.pattern, item.name) is not None for section in wanted.files)
    return item.suffix in SUFFIXES


def _unique(names: Sequence[str], items: Sequence[InputFile]) -> list[str]:
    """Put as many folders before names that occur twice as it takes to tell them apart."""
    unique = list(names)
    for depth in range(1, 64):
        twice = {name for name, count in Counter(unique).items() if count > 1}
        if not twice:
            return unique
        for at, item in enumerate(items):
            if unique[at] in twice:
                folders = item.path.resolve().parts[1:-1][-depth:]
                unique[at] = "/".join((*folders, names[at]))
    raise UsageError("two files cannot be told apart by their paths", hint="name the folder above them instead")


def _description(item: InputFile, place: Path) -> Path | None:
    """Return the nearest ``dataset.json`` around an npz file, inside the place that was named."""
    if item.member or item.suffix != ".npz":
        return None
    parts = PurePosixPath(item.name).parent.parts if place.is_dir() else ()
    folders = [item.path.parents[up] for up in range(len(parts) + 1)]
    return next((folder / DESCRIPTION for folder in folders if (folder / DESCRIPTION).is_file()), None)
