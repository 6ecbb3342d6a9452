"""A run folder: ``model.safetensors``, ``run.json`` and ``preprocess.json``, all that later stages need."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load, save

from fsq_edge.data.sources import open_dataset
from fsq_edge.data.windows import WindowIndex, cut_windows
from fsq_edge.model import Conv2dFSQ
from fsq_edge.training.config import TrainConfig
from fsq_edge.training.partition import WindowSplit
from fsq_edge_runtime.artefact import Artefact, StrictModel
from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.preprocess import PreprocessConfig, Preprocessor

MODEL_FILE, RUN_FILE, PREPROCESS_FILE = "model.safetensors", "run.json", "preprocess.json"
MAX_MODEL_BYTES = 1 << 30
_PACKAGES = ("fsq-edge", "torch", "numpy", "safetensors", "scikit-learn")


class DataRecord(StrictModel):
    """Where a run's windows came from."""

    source: str
    name: str
    licence: str
    n_recordings: int
    n_mixed: int
    n_unlabelled: int


class SplitRecord(StrictModel):
    """Who was in which part, and how many windows each had."""

    kind: str
    train_subjects: tuple[str, ...]
    val_subjects: tuple[str, ...]
    test_subjects: tuple[str, ...]
    n_train: int
    n_val: int
    n_test: int


class EpochRecord(StrictModel):
    """One line of the history; validation values are None where nothing was validated."""

    epoch: int
    learning_rate: float
    grad_norm_mean: float
    grad_norm_max: float
    train_loss: float
    train_accuracy: float
    code_usage: float
    perplexity: float
    val_loss: float | None = None
    val_accuracy: float | None = None
    val_macro_f1: float | None = None
    seconds: float = Field(ge=0)


class RunRecord(Artefact):
    """``run.json``: everything about a run but the weights and the preprocessing."""

    KIND: ClassVar[str] = "run.json"

    config: TrainConfig
    data: DataRecord
    classes: tuple[str, ...]
    split: SplitRecord
    metrics: dict[str, float]
    history: tuple[EpochRecord, ...]
    parameters: int
    device: str
    versions: dict[str, str]
    git_revision: str | None
    model_sha256: str
    preprocess_sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A loaded run.

    Args:
        folder: where it lies.
        record: content of ``run.json``.
        preprocess: content of ``preprocess.json``.
        model: the trained network on the CPU, in evaluation mode.
    """

    folder: Path
    record: RunRecord
    preprocess: PreprocessConfig
    model: Conv2dFSQ

    @property
    def config(self) -> TrainConfig:
        """The training configuration."""
        return self.record.config

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in label order."""
        return self.record.classes

    @property
    def metrics(self) -> dict[str, float]:
        """Validation metrics of the kept weights, and ``best_epoch``."""
        return self.record.metrics

    @property
    def history(self) -> tuple[EpochRecord, ...]:
        """One record an epoch."""
        return self.record.history

    @property
    def preprocessor(self) -> Preprocessor:
        """The run's preprocessing."""
        return Preprocessor(self.preprocess)

    def windows(self) -> WindowSplit:
        """Open the run's data again and return the same three parts.

        Raises:
            FsqEdgeError: the data set is gone, or has other channels, classes or subjects than the run saw.
        """
        dataset = open_dataset(self.record.data.source)
        channels = tuple((channel.name, channel.unit) for channel in dataset.channels)
        expected = tuple((channel.name, channel.unit) for channel in self.preprocess.channels)
        if channels != expected or dataset.classes != self.classes:
            raise DataError(
                f"data set {dataset.name!r} is not the one of this run: its channels or classes differ",
                hint=f"the run was trained on {self.record.data.source}",
            )
        index = cut_windows(dataset, self.preprocess.window_samples, self.preprocess.hop_samples)
        split = self.record.split

        def part(subjects: tuple[str, ...]) -> WindowIndex:
            return index.take(np.flatnonzero(np.isin(index.subject, list(subjects))))

        return WindowSplit(
            train=part(split.train_subjects),
            val=part(split.val_subjects),
            test=part(split.test_subjects),
            kind=split.kind,
        )


def build_model(config: TrainConfig, channels: int, classes: int, preprocess: PreprocessConfig) -> Conv2dFSQ:
    """Build the network that a configuration describes, untrained.

    Raises:
        DataError: the configuration names another channel or class count than the data have.
    """
    for name, wanted, got in (
        ("model.input_channels", config.model.input_channels, channels),
        ("model.num_classes", config.model.num_classes, classes),
    ):
        if wanted is not None and wanted != got:
            raise DataError(f"{name} is {wanted}, the data set has {got}", hint=f"set {name} to {got}, or leave it out")
    return Conv2dFSQ(
        input_channels=channels,
        hidden_dim=config.model.hidden_dim,
        num_classes=classes,
        fsq_levels=config.model.fsq_levels,
        fold=preprocess.fold,
        window_samples=preprocess.window_samples,
        window_zscore=preprocess.window_zscore,
        kernel=config.model.kernel,
        span_rows=config.model.span_rows,
        dropout=config.model.dropout,
    )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a power cut."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def model_bytes(model: Conv2dFSQ) -> bytes:
    """Return the weights and BatchNorm statistics as safetensors."""
    content: bytes = save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})
    return content


def versions() -> dict[str, str]:
    """Return the versions that a run depends on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found


def git_revision() -> str | None:
    """Return the commit of the working folder, with ``+changes`` if it has any; None outside a repository."""
    try:
        commit = _git("rev-parse", "HEAD")
        return f"{commit}+changes" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    return done.stdout.strip()


def load_run(path: Path | str) -> Run:
    """Open a run folder and check that its files belong together.

    Raises:
        MissingInputError: the folder or one of its files is not there.
        DataError: a file is damaged, or its hash is not the one in ``run.json``.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise MissingInputError(f"{folder} is not a run folder", hint="fsq-edge train --out RUN makes one")
    record = RunRecord.load(folder / RUN_FILE)
    preprocess = PreprocessConfig.load(folder / PREPROCESS_FILE)
    content = _read_model(folder / MODEL_FILE)
    for name, expected, got in (
        (PREPROCESS_FILE, record.preprocess_sha256, preprocess.digest()),
        (MODEL_FILE, record.model_sha256, hashlib.sha256(content).hexdigest()),
    ):
        if expected != got:
            raise DataError(f"{folder / name} is not the file that {RUN_FILE} describes", hint="train again")
    model = build_model(record.config, len(preprocess.channels), len(record.classes), preprocess)
    try:
        model.load_state_dict(load(content))
    except (SafetensorError, RuntimeError) as error:
        raise DataError(f"{folder / MODEL_FILE} does not fit the network of {RUN_FILE}") from error
    return Run(folder=folder, record=record, preprocess=preprocess, model=model.eval())


def _read_model(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MODEL_BYTES + 1)
    except OSError as error:
        raise MissingInputError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > MAX_MODEL_BYTES:
        raise DataError(f"{path} is larger than {MAX_MODEL_BYTES} bytes")
    return content


def choose_device(wanted: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``; without a GPU it is the CPU."""
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")
