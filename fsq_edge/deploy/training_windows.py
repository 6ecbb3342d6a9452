"""Training windows for ``fsq-edge calibrate``: of a run, of a data source with its preprocessing, or of a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fsq_edge.data import cut_windows, open_dataset
from fsq_edge.deploy.plain_windows import read_windows, require_numbers
from fsq_edge_calibration import CalibrationAudit, CalibrationSet, Distribution, build_calibration_set, describe_windows
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.foreign.network_input import NetworkInput
from fsq_edge_runtime.arrays import BoolArray, Float32Array, Int64Array, TextArray
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.files import write_file
from fsq_edge_runtime.preprocess import PreprocessConfig, Preprocessor
from fsq_edge_runtime.tail import FsqTail

if TYPE_CHECKING:
    from collections.abc import Callable

    from fsq_edge.data.windows import WindowIndex
    from fsq_edge_calibration.selection import Method

    Forward = Callable[[Float32Array], Float32Array]


CHUNK_WINDOWS = 2048


@dataclass(frozen=True, slots=True)
class TrainingWindows:
    """N windows of the training split.

    Attributes:
        windows: (N, C, T) float32 raw units.
        labels: (N,) int64.
        subjects: (N,) text.
        recording_ids: (N,) text.
        starts: (N,) int64 first sample in the recording.
        codes: (N,) int64 FSQ code, -1 where the window is not usable; None where no network is at hand.
        classes: names in label order.
        preprocess: fitted on these windows.
        offered: (N,) bool which of them may be chosen; None is all.
    """

    windows: Float32Array
    labels: Int64Array
    subjects: TextArray
    recording_ids: TextArray
    starts: Int64Array
    codes: Int64Array | None
    classes: tuple[str, ...]
    preprocess: PreprocessConfig
    offered: BoolArray | None = None

    def describe(self) -> Distribution:
        """Describe the split as the device graph sees it."""
        return describe_windows(
            self.windows, self.preprocess, self.labels, self.subjects, self.codes, classes=self.classes
        )

    def choose(self, size: int, method: Method, seed: int) -> CalibrationSet:
        """Choose a calibration set with everything that is known of each window."""
        rows = slice(None) if self.offered is None else np.flatnonzero(self.offered)
        return build_calibration_set(
            self.windows[rows],
            self.labels[rows],
            self.subjects[rows],
            self.preprocess,
            size=size,
            method=method,
            seed=seed,
            recording_ids=self.recording_ids[rows],
            starts=self.starts[rows],
            codes=None if self.codes is None else self.codes[rows],
            classes=self.classes,
        )


def write_set(chosen: CalibrationSet, audit: CalibrationAudit, path: Path) -> None:
    """Write the set, and its audit beside it as JSON."""
    chosen.save(path)
    write_file(path.with_suffix(".json"), audit.to_json().encode())


def windows_of_run(folder: Path) -> TrainingWindows:
    """Open the training split of a run again, with the codes that its network gives.

    Raises:
        UnavailableError: torch is not installed.
        FsqEdgeError: the run or its data are gone or damaged.
    """
    torch = need("torch", "train")
    torch.set_num_threads(1)
    from fsq_edge.deploy.build import device_outputs
    from fsq_edge.training import load_run

    run = load_run(folder)
    index = run.windows().train
    tail = FsqTail(run.model.fsq.levels, run.model.head_table())
    return _gather(index, run.preprocess, lambda frames: device_outputs(run, frames), tail)


def windows_of_source(
    source: str, subjects: tuple[str, ...], preprocess: PreprocessConfig, build: Path | None
) -> TrainingWindows:
    """Cut the windows of a data source.

    Args:
        source: ``watch``, ``quadruped`` or ``folder:PATH``.
        subjects: whose windows to choose; empty takes the training subjects.
        preprocess: the model's.
        build: BUILD folder, where there is one: its encoder and head give the codes, and its export names the
            training subjects. Without one ``subjects`` are they, or all.

    Raises:
        UsageError: an unknown source or subject.
        FsqEdgeError: the data are gone or damaged.
    """
    dataset = open_dataset(source)
    unknown = sorted(set(subjects) - set(dataset.subjects))
    if unknown:
        raise UsageError(f"unknown subject {unknown[0]!r}", hint="the subjects are " + ", ".join(dataset.subjects))
    trained = [name for name in _training_subjects(build, dataset.name) if name in dataset.subjects]
    if trained or subjects:
        dataset = dataset.select(subjects=trained or list(subjects))
    held_out = sorted(set(subjects) - set(dataset.subjects))
    if held_out:
        raise UsageError(
            f"subject {held_out[0]!r} was not trained on: its windows are for judging, not for calibration",
            hint="the training subjects are " + ", ".join(dataset.subjects),
        )
    index = cut_windows(dataset, preprocess.window_samples, preprocess.hop_samples)
    offered = np.isin(index.subject, subjects) if subjects else None
    if build is None or not (build / "encoder.onnx").is_file() or not (build / "head.npz").is_file():
        return replace(_gather(index, preprocess, None, None), offered=offered)
    backend = OnnxBackend((build / "encoder.onnx").read_bytes())
    tail = FsqTail.from_bytes((build / "head.npz").read_bytes())
    return replace(_gather(index, preprocess, backend.infer_batch, tail), offered=offered)


def _training_subjects(build: Path | None, dataset: str) -> tuple[str, ...]:
    """Return the subjects that a BUILD folder was trained on, empty where it does not say or is of other data."""
    if build is None or not (build / "export.json").is_file():
        return ()
    said = BuildFolder(build).record.provenance
    if said.get("data", {}).get("name") != dataset:
        return ()
    return tuple(str(name) for name in said.get("split", {}).get("train_subjects", ()))


def _gather(
    index: WindowIndex, preprocess: PreprocessConfig, forward: Forward | None, tail: FsqTail | None
) -> TrainingWindows:
    windows = index.gather()
    names = np.asarray([recording.recording_id for recording in index.dataset.recordings])
    codes = None
    if forward is not None and tail is not None:
        preprocessor = Preprocessor(preprocess)
        codes = np.full(len(windows), -1, dtype=np.int64)
        for first in range(0, len(windows), CHUNK_WINDOWS):
            frames, valid = preprocessor.usable_frames(windows[first : first + CHUNK_WINDOWS])
            codes[first + np.flatnonzero(valid)] = tail.index(forward(frames))
    return TrainingWindows(
        windows=windows,
        labels=index.label,
        subjects=index.subject,
        recording_ids=names[index.recording].astype(np.str_),
        starts=index.start,
        codes=codes,
        classes=tuple(index.dataset.classes),
        preprocess=preprocess,
    )


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
