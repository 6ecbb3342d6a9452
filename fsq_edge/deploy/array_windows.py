"""Windows of an npy or npz file as ``fsq-edge calibrate`` takes them: with a preprocess file, without a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fsq_edge.deploy.plain_windows import read_windows, require_numbers
from fsq_edge.deploy.training_windows import TrainingWindows
from fsq_edge_compile.foreign.network_input import NetworkInput
from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.preprocess import PreprocessConfig


def windows_of_file(path: Path, place: Path, build: Path | None) -> TrainingWindows:
    """Read windows that nobody says the recordings of.

    Args:
        path: npy, or npz with ``windows`` and, where known, ``labels`` and ``subjects``.
        place: ``preprocess.json`` of a model, or the preprocess file of ``preprocess fit``.
        build: BUILD folder, whose ``labels.json`` names the classes.

    Raises:
        MissingInputError: a file cannot be read.
        DataError: damaged, or windows of another shape.
    """
    plain = read_windows(path)
    config = read_preprocess(place, plain.windows)
    require_numbers(plain, len(config.channels), config.window_samples)
    count = len(plain.windows)
    labels: Int64Array = np.full(count, -1, dtype=np.int64)
    if plain.labels is not None and plain.labels.ndim == 1:
        labels = plain.labels.astype(np.int64)
    nobody = np.full(count, "", dtype=np.str_)
    return TrainingWindows(
        windows=np.ascontiguousarray(plain.windows, dtype=np.float32),
        labels=labels,
        subjects=nobody if plain.subjects is None else plain.subjects.astype(np.str_),
        recording_ids=nobody,
        starts=np.full(count, -1, dtype=np.int64),
        codes=None,
        classes=_classes(labels, build),
        preprocess=config,
    )


def read_preprocess(place: Path, windows: Float32Array) -> PreprocessConfig:
    """Return the preprocessing of a model's ``preprocess.json``, or of a preprocess file for a foreign network.

    Raises:
        MissingInputError: it cannot be read.
        DataError: it is neither.
    """
    try:
        return PreprocessConfig.load(place)
    except DataError as error:
        try:
            given = NetworkInput.read(place)
        except DataError as other:
            raise (
                other if b'"layout"' in place.read_bytes() or place.suffix in (".yaml", ".yml") else error
            ) from other
    if windows.ndim != 3:
        raise DataError(f"the windows have shape {windows.shape}, expected (N, C, T) numbers in raw units")
    return given.config(np.ascontiguousarray(windows, dtype=np.float32))


def _classes(labels: Int64Array, build: Path | None) -> tuple[str, ...]:
    highest = int(labels.max(initial=-1))
    if highest < 0:
        return ()
    if build is not None and (build / "labels.json").is_file():
        from fsq_edge_compile.build_folder import BuildFolder

        names = BuildFolder(build).classes
        if highest < len(names):
            return names
        if (build / "head.npz").is_file():
            raise UsageError(f"labels reach {highest}, BUILD has the classes 0 to {len(names) - 1}")
    return tuple(str(index) for index in range(highest + 1))
