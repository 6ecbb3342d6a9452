"""Logger files looked at without keeping a dataset folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fsq_edge.data.folder import DESCRIPTION, read_folder
from fsq_edge.data.importing.import_map import ImportMap, read_map
from fsq_edge.data.importing.importer import import_files
from fsq_edge.data.importing.presets import load_preset, self_explaining_map
from fsq_edge.data.labels import LabelSettings, read_label_file
from fsq_edge.data.labels.labelling import apply_labels
from fsq_edge.data.recording import Dataset
from fsq_edge.data.sources import SOURCES, open_dataset
from fsq_edge_runtime.errors import UsageError


@contextmanager
def open_any(
    sources: Sequence[str], map_file: Path | None, preset: str | None, labels: Sequence[Path] = ()
) -> Iterator[Dataset]:
    """Give the data set that the words of a command line mean, for as long as the block lasts.

    Args:
        sources: one name of a data source, or paths: a dataset folder, or logger files and folders of them, which are
            imported into a temporary folder.
        map_file: of logger files.
        preset: in its place.
        labels: label files to lay over the recordings in memory; nothing is written.

    Raises:
        UsageError: neither a source nor a path, or files that need a map.
        MissingInputError: a path is not there.
        DataError: the data or the labels cannot be used.
    """
    with _open(sources, map_file, preset) as dataset:
        files = [read_label_file(path, "") for path in labels]
        yield apply_labels(dataset, files, LabelSettings())[0] if files else dataset


@contextmanager
def _open(sources: Sequence[str], map_file: Path | None, preset: str | None) -> Iterator[Dataset]:
    paths = [Path(source) for source in sources]
    named = len(sources) == 1 and (sources[0] in SOURCES or sources[0].startswith("folder:"))
    if not (named or map_file or preset) and len(paths) == 1 and (paths[0] / DESCRIPTION).is_file():
        yield read_folder(paths[0])
    elif named or not any(path.exists() for path in paths):
        if len(sources) > 1:
            raise UsageError(f"{sources[0]} does not exist", hint="give one data source, or paths of logger files")
        yield open_dataset(sources[0], check_finite=False)
    else:
        wanted = files_map(paths, map_file, preset)
        with tempfile.TemporaryDirectory(prefix="fsq-edge-") as folder:
            import_files(paths, wanted, Path(folder) / "data")
            yield read_folder(Path(folder) / "data")


def files_map(paths: Sequence[Path], map_file: Path | None, preset: str | None) -> ImportMap:
    """Return the map of logger files: the one given, the preset, or what the files say themselves.

    Raises:
        UsageError: both are given, or neither and a file does not say what its columns are.
    """
    if map_file is not None and preset is not None:
        raise UsageError("--map and --preset exclude each other")
    if map_file is not None:
        return read_map(map_file)
    return load_preset(preset) if preset is not None else self_explaining_map(paths)
