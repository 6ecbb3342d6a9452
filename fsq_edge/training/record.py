"""``run.json``: what a run was made from, how it went, and what its files hash to."""

from __future__ import annotations

import json
import math
import platform
import subprocess
from typing import ClassVar, Self

from pydantic import Field

from fsq_edge.data.quality import QualityReport
from fsq_edge.training.config import TrainConfig
from fsq_edge.training.split import WindowSides
from fsq_edge_runtime.artefact import Artefact, StrictModel, read_json
from fsq_edge_runtime.made import installed_version

_PACKAGES = ("fsq-edge", "torch", "numpy", "safetensors", "scikit-learn")


class DataRecord(StrictModel):
    """Where a run's windows came from; windows of mixed or no label are counted over all three sides.

    Attributes:
        quality_score: 0 to 100, of the training and validation recordings; None without quality control.
        quality_findings: what is wrong with them, one line each, failures first.
    """

    source: str
    name: str
    licence: str
    n_recordings: int
    n_mixed: int
    n_unlabelled: int
    quality_score: float | None
    quality_findings: tuple[str, ...]


class SplitRecord(StrictModel):
    """Who was on which side, and how many windows each had."""

    kind: str
    description: str
    notes: tuple[str, ...]
    train_subjects: tuple[str, ...]
    val_subjects: tuple[str, ...]
    test_subjects: tuple[str, ...]
    n_train: int
    n_val: int
    n_test: int


class EpochRecord(StrictModel):
    """One epoch of the history.

    Attributes:
        epoch: from 1.
        learning_rate: of the last step.
        grad_norm_mean: mean over the steps of the gradient norm before clipping.
        grad_norm_max: largest.
        train_loss: mean over the augmented windows, while the weights moved.
        train_accuracy: share of the augmented windows that was right, while the weights moved.
        code_usage: share of the code book that the training windows used, 0 to 1.
        perplexity: how many codes they used evenly.
        val_loss: cross-entropy of the validation windows, mean; None in the refit, which learns from them too.
        val_accuracy: share of them that is right.
        val_macro_f1: mean F1 of the classes.
        seconds: wall clock, validation included.
    """

    epoch: int = Field(ge=1)
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

    def watched(self, monitor: str) -> tuple[float, float]:
        """Return what epochs are compared by, larger is better: the monitored value, then the negative loss.

        A few validation windows are soon all right; among such epochs the surer one is better, not the first.
        """
        values = {"loss": self.val_loss, "accuracy": self.val_accuracy, "macro_f1": self.val_macro_f1}
        value, loss = values[monitor], self.val_loss
        if value is None or loss is None:
            return -math.inf, -math.inf
        return (-loss if monitor == "loss" else value), -loss


class RunRecord(Artefact):
    """``run.json``: everything about a run but the weights and the preprocessing.

    Attributes:
        config: the whole configuration, defaults written out.
        data: the data set.
        classes: names in label order.
        split: the three sides.
        metrics: ``best_epoch``, and ``val_loss``, ``val_accuracy``, ``val_macro_f1`` of that epoch's weights.
        history: one record an epoch.
        parameters: trained numbers of the network.
        device: where it was trained.
        processes: how many trained together.
        versions: of Python, the platform and the packages that matter.
        git_revision: commit of the working folder, ``+changes`` behind it where files differed; None outside one.
        model_sha256: of ``model.safetensors``, the final weights.
        validated_sha256: of ``validated.safetensors``, the weights of the best epoch: they never saw validation
            windows. Without a refit both files are equal.
        preprocess_sha256: digest of ``preprocess.json``.
    """

    KIND: ClassVar[str] = "run.json"

    @classmethod
    def from_json(cls, text: str | bytes, *, origin: str = "") -> Self:
        """Read one; a run of an earlier release has no section ``windows`` and was trained on windows of one label."""
        value = read_json(text, origin or cls.KIND, what=cls.KIND)
        config = value.get("config") if isinstance(value, dict) else None
        if isinstance(config, dict) and "windows" not in config:
            text = json.dumps({**value, "config": {**config, "windows": {"labels": "pure"}}})
        return super().from_json(text, origin=origin)

    config: TrainConfig
    data: DataRecord
    classes: tuple[str, ...]
    split: SplitRecord
    metrics: dict[str, float]
    history: tuple[EpochRecord, ...]
    parameters: int
    device: str
    processes: int
    versions: dict[str, str]
    git_revision: str | None
    model_sha256: str
    validated_sha256: str
    preprocess_sha256: str


def record_data(sides: WindowSides, source: str, quality: QualityReport | None) -> DataRecord:
    """Describe where windows came from."""
    indices = (sides.train, sides.val, sides.test)
    dataset = sides.train.dataset
    return DataRecord(
        source=source,
        name=dataset.name,
        licence=dataset.licence,
        n_recordings=sum(len(index.dataset.recordings) for index in indices),
        n_mixed=sum(index.n_mixed for index in indices),
        n_unlabelled=sum(index.n_unlabelled for index in indices),
        quality_score=quality.quality_score if quality else None,
        quality_findings=quality.lines if quality else (),
    )


def record_split(sides: WindowSides) -> SplitRecord:
    """Describe a split."""
    split = sides.split
    return SplitRecord(
        kind=split.kind,
        description=split.description,
        notes=split.notes,
        train_subjects=split.train.subjects,
        val_subjects=split.val.subjects,
        test_subjects=split.test.subjects,
        n_train=len(sides.train),
        n_val=len(sides.val),
        n_test=len(sides.test),
    )


def versions() -> dict[str, str]:
    """Return the versions that a run depends on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    return {**found, **{package: installed_version(package) or "unknown" for package in _PACKAGES}}


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
