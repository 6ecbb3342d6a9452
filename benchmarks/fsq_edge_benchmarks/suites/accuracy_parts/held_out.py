"""What the accuracy benchmark holds out, pairs of subjects or the official test of BasicMotions, and runs without."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import fsq_edge
from fsq_edge.data import Channel, Dataset, Recording
from fsq_edge.data.sources import open_dataset
from fsq_edge.deploy.build import export_run
from fsq_edge.training import Run, TrainConfig, load_config, load_run, train
from fsq_edge.training.record import record_split, versions
from fsq_edge.training.split import WindowSides, cut_sides
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.packing.bundle import build_bundle
from fsq_edge_runtime import preprocess
from fsq_edge_runtime.arrays import Int64Array
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import UnavailableError

WATCH_FOLDS = (("1", "2"), ("3", "4"), ("5", "6"), ("7", "8"), ("9", "10"))
DEMO_FOLD = WATCH_FOLDS[2]
# Choices of the recipe were made on the first and the third fold of watch only; these are reported apart.
UNSEEN_WATCH_FOLDS = (("3", "4"), ("7", "8"), ("9", "10"))

BASIC_MOTIONS = "basic-motions"
OFFICIAL_TEST = ("official test",)
VALIDATION_SHARE = 0.2


def open_source(source: str, seed: int = 0) -> Dataset:
    """Open a data source of ``fsq-edge``, or ``basic-motions`` with validation cases drawn by ``seed``."""
    return _basic_motions(seed) if source == BASIC_MOTIONS else open_dataset(source)


def folds_of(source: str) -> Sequence[Sequence[str]]:
    """Return the subjects of each fold: watch's five pairs, the official test, or pairs in order."""
    if source == "watch":
        return WATCH_FOLDS
    if source == BASIC_MOTIONS:
        return (OFFICIAL_TEST,)
    names = open_source(source).subjects
    return [names[at : at + 2] for at in range(0, len(names), 2)]


def fold_config(
    source: str, fold: Sequence[str], seed: int = 0, *, epochs: int | None = None, path: Path | None = None
) -> TrainConfig:
    """Return the training configuration with one fold held out.

    Args:
        source: named in the run.
        fold: held-out subjects.
        seed: of the generator.
        epochs: of both stages; None is the default.
        path: a configuration instead of the default one; its data section is not used.
    """
    data = {"source": source, "test_subjects": tuple(fold)}
    return load_config(path, {"data": data, "training": {"seed": seed, "max_epochs": epochs}})


def sides_of(source: str, fold: Sequence[str], seed: int) -> WindowSides:
    """Cut a source into windows with ``fold`` held out; validation is drawn by ``seed`` from the others."""
    declared = source == BASIC_MOTIONS
    data = {"split": "declared"} if declared else {"test_subjects": list(fold)}
    return cut_sides(open_source(source, seed), load_config(None, {"data": data, "training": {"seed": seed}}))


def _basic_motions(seed: int) -> Dataset:
    """Return BasicMotions: 80 cases of 6 channels and 100 samples at 10 Hz, four activities, real.

    Every case is a recording, and a subject of its own, since the set does not name its people. A fifth of the
    official training cases of each class becomes the validation.

    Raises:
        UnavailableError: aeon is not installed.

    Source: Clements 2018, timeseriesclassification.com; in the wheel of aeon.
    """
    try:
        from aeon.datasets import load_basic_motions
    except ModuleNotFoundError as error:
        message = f"{BASIC_MOTIONS} needs the package {error.name!r}, which is not installed"
        raise UnavailableError(message, hint="pip install 'fsq-edge[bench]'") from error

    recordings = []
    for official in ("train", "test"):
        cases, names = load_basic_motions(split=official)
        classes, label = np.unique(names, return_inverse=True)
        session = np.full(len(label), official, dtype="<U5")
        if official == "train":
            session[_validation_cases(label, seed)] = "val"
        for at, case in enumerate(cases):
            samples, labels = case.T.astype(np.float32), np.full(case.shape[1], label[at], np.int16)
            name = f"{official}-{at}"
            recordings.append(Recording(name, np.ascontiguousarray(samples), labels, name, str(session[at])))
    channels = tuple(Channel(f"{sensor}_{axis}", unit) for sensor, unit in (("acc", "m/s2"), ("gyro", "rad/s"))
                     for axis in "xyz")  # fmt: skip
    return Dataset(BASIC_MOTIONS, channels, 10.0, tuple(map(str, classes)), tuple(recordings), source="aeon")


def _validation_cases(label: Int64Array, seed: int) -> Int64Array:
    """Draw a fifth of the cases of each class."""
    rng = np.random.default_rng(seed)
    drawn = []
    for one in np.unique(label):
        cases = rng.permutation(np.flatnonzero(label == one))
        drawn.append(cases[: max(1, round(VALIDATION_SHARE * len(cases)))])
    return np.concatenate(drawn)


def trained_run(config: TrainConfig, sides: WindowSides, runs: Path | None = None, *, anew: bool = False) -> Run:
    """Train, or load the run that the same configuration, split and training code left behind.

    Args:
        config: the training configuration.
        sides: the three sides of the split.
        runs: folder that keeps runs, made when it does not exist; None keeps nothing.
        anew: train although a run was kept, because the time it takes is measured; it replaces the kept one.

    Raises:
        FsqEdgeError: a kept run is damaged, or the training cannot be done.
    """
    if runs is None:
        with tempfile.TemporaryDirectory() as folder:
            train(config, Path(folder), sides=sides)
            return load_run(Path(folder))
    place = runs / _key(config, sides)
    if anew:
        shutil.rmtree(place, ignore_errors=True)
    if not (place / "run.json").is_file():
        train(config, place, sides=sides)
    return load_run(place)


def trained_bundle(config: TrainConfig, sides: WindowSides, folder: Path) -> tuple[Run, Bundle]:
    """Train, export and build, as ``train``, ``export`` and ``bundle build`` do.

    Args:
        config: of the training; its source must give ``sides`` again.
        sides: windows in three parts.
        folder: gets ``run``, ``build`` and ``bundle.fsqb``.
    """
    train(config, folder / "run", sides=sides)
    run = load_run(folder / "run")
    export_run(run, folder / "build")
    build_bundle(BuildFolder(folder / "build")).save(folder / "bundle.fsqb")
    return run, Bundle.open(folder / "bundle.fsqb")


def _key(config: TrainConfig, sides: WindowSides) -> str:
    """Return a folder name that says seed and test subjects, and stands for all that decides the weights."""
    # Whoever cut the sides may have named the subjects in the configuration or not: the split says them.
    data = config.data.model_copy(update={"test_subjects": (), "val_subjects": ()})
    digest = hashlib.sha256(config.model_copy(update={"data": data}).to_json().encode())
    digest.update(record_split(sides).model_dump_json().encode())
    digest.update(repr(sorted(versions().items())).encode())
    for path in _training_code():
        digest.update(path.read_bytes())
    subjects = "-".join(sides.split.test.subjects)
    return f"{sides.train.dataset.name}-{subjects}-seed{config.training.seed}-{digest.hexdigest()[:12]}"


def _training_code() -> list[Path]:
    """Return the files whose change may change the weights."""
    core = Path(fsq_edge.__file__).parent
    folders = [path for part in ("data", "training") for path in sorted((core / part).rglob("*.py"))]
    return [*folders, core / "model.py", core / "fsq.py", Path(preprocess.__file__)]
