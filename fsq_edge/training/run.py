"""A run folder: ``model.safetensors``, ``run.json`` and ``preprocess.json``, all that later stages need."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from fsq_edge.data.sources import open_dataset
from fsq_edge.model import Conv2dFSQ
from fsq_edge.training.checkpoint import MAX_MODEL_BYTES, load_weights
from fsq_edge.training.config import TrainConfig
from fsq_edge.training.record import EpochRecord, RunRecord, record_split, versions
from fsq_edge.training.split import WindowSides, cut_sides
from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.files import read_bounded
from fsq_edge_runtime.preprocess import PreprocessConfig, Preprocessor

__all__ = ["MODEL_FILE", "PREPROCESS_FILE", "RUN_FILE", "Run", "RunRecord", "build_model", "load_run", "versions"]

MODEL_FILE, VALIDATED_FILE = "model.safetensors", "validated.safetensors"
RUN_FILE, PREPROCESS_FILE = "run.json", "preprocess.json"


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A loaded run.

    Attributes:
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
        """Validation metrics of the best epoch's weights, and ``best_epoch``."""
        return self.record.metrics

    @property
    def history(self) -> tuple[EpochRecord, ...]:
        """One record an epoch."""
        return self.record.history

    @property
    def preprocessor(self) -> Preprocessor:
        """The run's preprocessing."""
        return Preprocessor(self.preprocess)

    def validated(self) -> Run:
        """Return the run with the weights of its best epoch, which never saw a validation window.

        Whatever is fitted or reported on validation windows (temperature, thresholds) has to use these.

        Raises:
            MissingInputError: ``validated.safetensors`` is not there.
            DataError: it is not the file that ``run.json`` describes.
        """
        path = self.folder / VALIDATED_FILE
        model = _load_model(path, self.record.validated_sha256, self.record, self.preprocess)
        return replace(self, model=model)

    def windows(self) -> WindowSides:
        """Open the run's data again and return the three sides of its split.

        Raises:
            FsqEdgeError: the data set is gone, has other channels or classes, or splits differently than it did.
        """
        source = self.record.data.source
        dataset = open_dataset(source)
        dataset.require_channels(self.preprocess.channels, "the run")
        if dataset.classes != self.classes:
            raise DataError(
                f"{source} is not the data of this run: its classes are {', '.join(dataset.classes)}, "
                f"the model knows {', '.join(self.classes)}",
                hint="train again on it, or name the data set that the run was trained on",
            )
        sides = cut_sides(dataset, self.config)
        if record_split(sides) != self.record.split:
            raise DataError(f"{source} is not the data of this run: its sides differ from run.json", hint="train again")
        return sides


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
        blocks=config.model.blocks,
        span_rows=config.model.span_rows,
        dropout=config.model.dropout,
    )


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
    if preprocess.digest() != record.preprocess_sha256:
        raise DataError(f"{folder / PREPROCESS_FILE} is not the file that {RUN_FILE} describes", hint="train again")
    model = _load_model(folder / MODEL_FILE, record.model_sha256, record, preprocess)
    return Run(folder=folder, record=record, preprocess=preprocess, model=model)


def _load_model(path: Path, sha256: str, record: RunRecord, preprocess: PreprocessConfig) -> Conv2dFSQ:
    content = read_bounded(path, MAX_MODEL_BYTES)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{path} is not the file that {RUN_FILE} describes", hint="train again")
    model = build_model(record.config, len(preprocess.channels), len(record.classes), preprocess)
    load_weights(model, content, path)
    return model.eval()
