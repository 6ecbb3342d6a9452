"""One recording of an archive opened as chunks of samples: as ``run`` reads it, or through the readers of ``data``."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fsq_edge.data.folder import DESCRIPTION, DatasetDescription
from fsq_edge.data.importing.import_map import ImportMap, map_from
from fsq_edge.data.importing.importer import import_files
from fsq_edge.data.importing.inputs import InputFile
from fsq_edge.data.importing.presets import self_explaining_map
from fsq_edge.data.importing.reader import choose_reader, known_readers
from fsq_edge.scoring.archive import ArchiveFile
from fsq_edge.scoring.settings import ScoreSettings
from fsq_edge_runtime.errors import FsqEdgeError, MissingInputError, UnavailableError
from fsq_edge_runtime.files import WRITE_HINT, read_errors
from fsq_edge_runtime.preprocess import PreprocessConfig
from fsq_edge_runtime.sources.base import Chunk
from fsq_edge_runtime.sources.columns import Wanted
from fsq_edge_runtime.sources.notices import Notices
from fsq_edge_runtime.sources.parsing import DEFAULT_STREAM
from fsq_edge_runtime.sources.replay import Replay, ReplaySource

AS_RUN = {".npz": "npz", ".csv": "csv", ".tsv": "csv", ".txt": "csv"}
CHUNK = 4096  # samples handed over at a time; part of what makes equal bytes
BLOCK = 1 << 20
TIME_COLUMNS = ("timestamp", "timestamps", "time", "t")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class ScratchError(UnavailableError):
    """A local copy cannot be written: no other recording can be scored either."""


@dataclass(frozen=True, slots=True)
class OpenRecording:
    """A recording that can be read.

    Attributes:
        reader: ``run``, or the name of the reader that imported it.
        rate_hz: nominal rate that it states; None where it states none.
        sources: the streams it holds: name -> source. The one of ``run`` is called ``0``.
    """

    reader: str
    rate_hz: float | None
    sources: dict[str, ReplaySource]

    def chunks(self) -> Iterator[Chunk]:
        """Give the samples in order.

        Raises:
            DataError: the file is damaged.
            MissingInputError: it can no longer be read.
        """
        never = threading.Event()
        try:
            for name, source in self.sources.items():
                for chunk in source.chunks(never):
                    yield chunk if chunk.stream != DEFAULT_STREAM else chunk._replace(stream=name)
        except OSError as error:
            raise MissingInputError(f"it cannot be read to its end: {error.strerror or error}") from error


@contextmanager
def local_file(file: ArchiveFile, workplace: Path, copy: bool) -> Iterator[tuple[Path, str]]:
    """Give the path of a recording's content and its SHA-256 (hex).

    Args:
        file: what to read; what lies packed in an archive is always unpacked.
        workplace: an empty folder of one's own on a local disk.
        copy: read from a copy in ``workplace``.

    Raises:
        MissingInputError: it cannot be read, or it changed before the block ended.
        DataError: the archive is damaged.
        ScratchError: the copy cannot be written.
    """
    item = file.file
    packed = bool(item.member) or item.name.lower().endswith(".gz")
    target = workplace / PurePosixPath(item.name.removesuffix(".gz")).name if packed or copy else None
    before = _state(item.path)
    digest = hashlib.sha256()
    if target is None:
        for block in _blocks(item):
            digest.update(block)
    else:
        try:
            with target.open("wb") as copied:
                for block in _blocks(item):
                    digest.update(block)
                    copied.write(block)
        except OSError as error:
            raise ScratchError(f"cannot write {workplace}: {error.strerror or error}", hint=WRITE_HINT) from error
    yield target or item.path, digest.hexdigest()
    if _state(item.path) != before:
        raise MissingInputError(f"{item.path} changed while it was read", hint="score it again when it is complete")


def _blocks(item: InputFile) -> Iterator[bytes]:
    with read_errors(item.path), item.open() as source:
        while block := source.read(BLOCK):
            yield block


def _state(path: Path) -> tuple[int, int]:
    with read_errors(path):
        found = path.stat()
    return found.st_size, found.st_mtime_ns


def open_recording(
    file: ArchiveFile,
    path: Path,
    workplace: Path,
    config: PreprocessConfig,
    settings: ScoreSettings,
    notices: Notices,
) -> OpenRecording:
    """Open a recording.

    Args:
        file: the recording.
        path: of its content.
        workplace: a folder of one's own on a local disk; must outlive what is returned.
        config: channels and rate of the model.
        settings: with the map, where there is one.
        notices: hears how the file was read where that is not the plain way.

    Raises:
        DataError, MissingInputError: it cannot be read, or does not hold the model's channels in its units.
        UnavailableError: a package that reads the format is not installed.
        ScratchError: no space to import it.
    """
    wanted = tuple(Wanted(channel.name, channel.unit) for channel in config.channels)
    suffix = PurePosixPath(path.name).suffix.lower()
    if settings.map is None and suffix in AS_RUN:
        description = _description_of(file)
        stated = None if description is None else description.true_rate_hz
        rate = settings.source_rate_hz or stated or config.sample_rate_hz
        replay = Replay(wanted, rate, chunk=CHUNK, max_gap_s=config.max_gap_ms / 1000.0, notices=notices)
        if AS_RUN[suffix] == "csv":
            return OpenRecording("run", stated, {DEFAULT_STREAM: replay.csv(path)})
        columns = () if description is None else tuple(Wanted(one.name, one.unit) for one in description.channels)
        return OpenRecording("run", stated, {DEFAULT_STREAM: replay.npz(path, columns)})
    return _imported(file, path, workplace, config, settings, notices)


def _description_of(file: ArchiveFile) -> DatasetDescription | None:
    if file.description is None:
        return None
    description = DatasetDescription.load(file.description)
    inside = file.file.path.relative_to(file.description.parent).as_posix()
    return description if any(entry.file == inside for entry in description.recordings) else None


def _imported(
    file: ArchiveFile,
    path: Path,
    workplace: Path,
    config: PreprocessConfig,
    settings: ScoreSettings,
    notices: Notices,
) -> OpenRecording:
    # Patterns of a map look at the path below the archive's folder, so the file gets that path here.
    inputs, data = workplace / "in", workplace / "data"
    link = inputs / file.file.name.removesuffix(".gz")
    try:
        link.parent.mkdir(parents=True)
        link.symlink_to(path.resolve())
        item = InputFile(link.relative_to(inputs).as_posix(), link)
        record = import_files([inputs], settings.map or _automatic_map(item, config, settings), data)
    except OSError as error:
        if error.errno in _FULL:
            raise ScratchError(f"cannot write {workplace}: {error.strerror}", hint=WRITE_HINT) from error
        raise MissingInputError(f"it cannot be imported: {error.strerror or error}") from error
    for note in record.inputs[0].notes:
        notices.say(note, note)
    description = DatasetDescription.load(data / DESCRIPTION)
    columns = tuple(Wanted(channel.name, channel.unit) for channel in description.channels)
    wanted = tuple(Wanted(channel.name, channel.unit) for channel in config.channels)
    rate = settings.source_rate_hz or description.true_rate_hz
    replay = Replay(wanted, rate, chunk=CHUNK, max_gap_s=config.max_gap_ms / 1000.0, notices=notices)
    names = [entry.file for entry in description.recordings]
    streams = [DEFAULT_STREAM] if len(names) == 1 else [name.removesuffix(".npz") for name in names]
    sources = {stream: replay.npz(data / name, columns) for stream, name in zip(streams, names, strict=True)}
    return OpenRecording(record.inputs[0].reader, description.true_rate_hz, sources)


def _automatic_map(item: InputFile, config: PreprocessConfig, settings: ScoreSettings) -> ImportMap:
    """Return the map of a file without one: what the format says, else columns that are named as the channels."""
    reader = choose_reader(item, "", known_readers())
    described = reader.describe(item, None)
    if described.time:
        return self_explaining_map([item.path])
    units = {column.name: column.unit for column in described.columns}
    times = [name for name in TIME_COLUMNS if name in units]
    rate = settings.source_rate_hz or described.rate_hz or config.sample_rate_hz
    channels = {
        channel.name: {"column": channel.name, "unit": units.get(channel.name) or channel.unit}
        for channel in config.channels
    }
    section = {"pattern": "*", "channels": channels, "time": {"column": times[0]} if times else {"rate_hz": rate}}
    return map_from({"files": [section]}, f"the map of {item.name}")


def without_paths(error: FsqEdgeError, file: ArchiveFile, *places: Path) -> str:
    """Return an error's message with the archive's name of the file in the place of every local path."""
    message = error.message
    for place in sorted({str(file.file.path), *map(str, places)}, key=len, reverse=True):
        message = message.replace(place, file.name)
    return message
