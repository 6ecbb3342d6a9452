"""The training configuration: what a person edits in YAML, checked on loading, written out whole with every run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import yaml
from pydantic import Field, model_validator

from fsq_edge_runtime.artefact import Artefact, StrictModel
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.faults import shown, yaml_problem
from fsq_edge_runtime.files import read_bounded

MAX_CONFIG_BYTES = 1024 * 1024


class DataSection(StrictModel):
    """Where the windows come from and how they are split.

    Attributes:
        source: ``watch``, ``quadruped`` or ``folder:PATH``; None where the paths below are used.
        train_path: stored windows X_train_NAME.npy (N, C, T), labels and metadata beside them in the same folder.
        val_path: windows that choose the best epoch, in that folder.
        test_path: windows that are kept for ``evaluate``, in that folder.
        split: what the parts have apart; ``declared`` takes the parts that the data name themselves. None is
            ``declared`` for stored windows, else ``subject``.
        test_subjects: subjects nobody trains on or chooses by; empty takes ``test_fraction``, fixed for a data set.
        val_subjects: subjects for validation; empty takes ``val_fraction`` of the others, chosen by the seed.
        test_fraction: share of subjects, recordings or time for the test; 0 (by subject only) keeps nobody for the test
            and trains on all.
        val_fraction: share of what is left for validation.
        memory_mb: samples beyond this are kept in a memory-mapped file instead of in memory.
    """

    source: str | None = None
    train_path: str | None = None
    val_path: str | None = None
    test_path: str | None = None
    split: Literal["subject", "recording", "temporal", "declared"] | None = None
    test_subjects: tuple[str | int, ...] = ()
    val_subjects: tuple[str | int, ...] = ()
    test_fraction: float = Field(default=0.2, ge=0, lt=1)
    val_fraction: float = Field(default=0.2, gt=0, lt=1)
    memory_mb: int = Field(default=1024, ge=0)


class ModelSection(StrictModel):
    """The network; see ``fsq_edge.model.Conv2dFSQ``.

    ``input_channels`` and ``num_classes`` of None take the number from the data set; ``blocks`` of None follows from
    the row and the kernel.
    """

    architecture: Literal["Conv2dFSQ"] = "Conv2dFSQ"
    input_channels: int | None = Field(default=None, ge=1, le=256)
    hidden_dim: int = Field(default=64, ge=1, le=4096)
    num_classes: int | None = Field(default=None, ge=2, le=4096)
    fsq_levels: tuple[int, ...] = (8, 6, 5)
    kernel: int = Field(default=9, ge=1, le=255)
    blocks: int | None = Field(default=None, ge=1, le=12)
    span_rows: bool = False
    dropout: float = Field(default=0.1, ge=0, lt=1)


class TrainingSection(StrictModel):
    """Optimiser, schedule and stopping.

    Attributes:
        batch_size: windows of one optimiser step, over all processes.
        learning_rate: the peak rate of one-cycle, the first rate of plateau.
        weight_decay: AdamW's, on weights only; 0 is Adam.
        max_epochs: passes over the training windows in the validated stage; None follows from the number of windows
            (see ``default_epochs``).
        refit_epochs: passes that follow from the best weights over training and validation windows together, in a
            one-cycle of their own, so that no subject is lost to the final network; 0 keeps the best weights as they
            are, None follows from the number of windows and is at most ``max_epochs``.
        schedule: ``one-cycle`` or ``plateau``; None is plateau where ``scheduler_patience`` is given, else one-cycle.
        warmup_fraction: share of the steps in which one-cycle rises.
        scheduler_patience: epochs without a better ``monitor`` before plateau lowers the rate.
        scheduler_factor: what plateau multiplies the rate with.
        early_stopping_patience: epochs without a better ``monitor`` before training ends; None never stops early.
        monitor: the validation metric that chooses the best epoch and drives plateau and early stopping.
        gradient_clip: largest gradient norm; None does not clip.
        label_smoothing: share of the target spread over all classes.
        device: ``auto``, ``cpu`` or ``cuda``; cuda without a GPU falls back to the CPU and says so.
        seed: of weights, order, augmentation and the validation share.
        deterministic: refuse operations that torch cannot repeat bit by bit (the CPU path always repeats).
        mixed_precision: half precision where a GPU exists.
        threads: torch threads on the CPU. More than one is slower for networks this small.
    """

    batch_size: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    max_epochs: int | None = Field(default=None, ge=1, le=100_000)
    refit_epochs: int | None = Field(default=None, ge=0, le=100_000)
    schedule: Literal["one-cycle", "plateau"] | None = None
    warmup_fraction: float = Field(default=0.25, gt=0, lt=1)
    scheduler_patience: int | None = Field(default=None, ge=0)
    scheduler_factor: float = Field(default=0.5, gt=0, lt=1)
    early_stopping_patience: int | None = Field(default=None, ge=1)
    monitor: Literal["macro_f1", "accuracy", "loss"] = "macro_f1"
    gradient_clip: float | None = Field(default=1.0, gt=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = Field(default=0, ge=0, lt=2**31)
    deterministic: bool = False
    mixed_precision: bool = True
    threads: int = Field(default=1, ge=1, le=256)

    @property
    def schedule_used(self) -> Literal["one-cycle", "plateau"]:
        """The schedule after the rule for None."""
        if self.schedule is not None:
            return self.schedule
        return "one-cycle" if self.scheduler_patience is None else "plateau"


class PreprocessingSection(StrictModel):
    """What ``preprocess.json`` is drafted from, and the quality gate before training.

    Attributes:
        use_qa: look at the data before training and report what is wrong.
        strict_mode: refuse to train on data with a finding of error severity.
        normalize: standardisation with the training split's statistics, one mean and std a channel.
        reshape_conv2d: fold the window into ``fold`` rows; False keeps one row.
        window_samples: T; None is 100, or the length of the stored windows.
        hop_samples: distance of training windows; None is half a window.
        fold: rows.
        window_zscore: add a z-scored copy of each channel and window.
        clip_sigma: standardised values are clipped here.
        max_gap_ms: the longest run of missing samples that is interpolated.
    """

    use_qa: bool = True
    strict_mode: bool = False
    normalize: Literal["per_channel"] = "per_channel"
    reshape_conv2d: bool = True
    window_samples: int | None = Field(default=None, ge=8, le=65536)
    hop_samples: int | None = Field(default=None, ge=1, le=65536)
    fold: int = Field(default=2, ge=1, le=64)
    window_zscore: bool = True
    clip_sigma: float = Field(default=5.0, gt=0)
    max_gap_ms: float = Field(default=100.0, ge=0)

    @property
    def rows(self) -> int:
        """The fold after ``reshape_conv2d``."""
        return self.fold if self.reshape_conv2d else 1

    @model_validator(mode="after")
    def _rows_divide_the_window(self) -> Self:
        if self.window_samples is not None and self.window_samples % self.rows:
            raise ValueError(f"window_samples {self.window_samples} is not a multiple of the fold, {self.rows}")
        return self


class WindowsSection(StrictModel):
    """What training does with windows that hold two labels; validation and test always take windows of one label.

    Attributes:
        labels: ``pure`` leaves them out. ``majority`` takes those of which at least ``share`` has one label, with that
            label. ``soft`` takes those of which at least ``share`` is labelled and aims at the shares of their labels.
            With recordings of one label each there are none, and all three are alike.
        share: of a window's samples.
    """

    labels: Literal["pure", "majority", "soft"] = "soft"
    share: float = Field(default=0.5, gt=0, le=1)


class AugmentationSection(StrictModel):
    """Random changes of raw training windows, drawn afresh each epoch; every one keeps the label.

    Attributes:
        shift: largest shift of a window's start, as a share of the window.
        warp: time runs faster or slower by up to this factor; 1 is off. Angular rates are scaled alike.
        rotation_degrees: standard deviation of the rotation about a random axis, one for all triads of a window.
        amplitude: standard deviation of the log factor on motion (acceleration less its mean, angular rate).
        mirror: probability of the left-right reflection, where the data set declares its signs.
    """

    shift: float = Field(default=0.25, ge=0, le=1)
    warp: float = Field(default=1.2, ge=1, le=2)
    rotation_degrees: float = Field(default=12.0, ge=0, le=180)
    amplitude: float = Field(default=0.15, ge=0, le=1)
    mirror: float = Field(default=0.5, ge=0, le=1)


class EvaluationSection(StrictModel):
    """What ``evaluate`` writes for this run; ``summary.json`` is always whole.

    Attributes:
        metrics: parts of the report that can be left out: ``accuracy`` (accuracy and what it is compared with),
            ``per_class_accuracy`` (the section on classes), ``confusion_matrix`` (the figure).
        save_predictions: write ``predictions.npz``.
        generate_report: write the report as Markdown and HTML, and its figures.
    """

    metrics: tuple[Literal["accuracy", "per_class_accuracy", "confusion_matrix"], ...] = (
        "accuracy",
        "per_class_accuracy",
        "confusion_matrix",
    )
    save_predictions: bool = True
    generate_report: bool = True


class TrainConfig(Artefact):
    """The whole training configuration; every value has a default, so an empty file is the measured recipe."""

    KIND: ClassVar[str] = "training configuration"

    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    preprocessing: PreprocessingSection = PreprocessingSection()
    windows: WindowsSection = WindowsSection()
    augmentation: AugmentationSection = AugmentationSection()
    evaluation: EvaluationSection = EvaluationSection()


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 3e-3 as the number everyone means (YAML 1.1 wants a dot and takes it for text)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load_config(path: Path | None, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> TrainConfig:
    """Read a YAML configuration and lay flags over it.

    Args:
        path: YAML file, at most 1 MiB; None starts from the defaults.
        overrides: section -> field -> value; a value of None is no override.

    Raises:
        MissingInputError: the file cannot be read.
        DataError: not YAML, an unknown section or key, a value of the wrong type or out of range.
    """
    document = {} if path is None else _read_yaml(path)
    for section, fields in (overrides or {}).items():
        given = {name: value for name, value in fields.items() if value is not None}
        if given:
            document[section] = {**(document.get(section) or {}), **given}
    where = "configuration" if path is None else path.name
    try:
        # By way of JSON: lists become tuples there although the models are strict.
        text = json.dumps({"schema_version": TrainConfig.VERSION, **document})
    except TypeError as error:
        raise DataError(f"{where}: {error}", hint="quote dates and other special values") from error
    return TrainConfig.from_json(text, origin=where)


def _read_yaml(path: Path) -> dict[str, Any]:
    hint = "give the path of a YAML file, or leave it out for the measured recipe"
    text = read_bounded(path, MAX_CONFIG_BYTES, what="the training configuration", hint=hint)
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.YAMLError as error:
        raise DataError(yaml_problem(error, path.name), hint="a tab or a missing space is the usual cause") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise DataError(f"{path.name}: expected sections such as `training:`, found {shown(document)}")
    return document
