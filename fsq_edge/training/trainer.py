"""Training from windows in three parts to a run folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fsq_edge.data.quality import QualityReport
from fsq_edge.model import Conv2dFSQ
from fsq_edge.training.assembly import fit_on_training, make_loop
from fsq_edge.training.checkpoint import read_checkpoint, tensor_bytes
from fsq_edge.training.config import TrainConfig, TrainingSection
from fsq_edge.training.gate import check_quality, code_warnings
from fsq_edge.training.journal import Journal
from fsq_edge.training.metrics import Pass
from fsq_edge.training.record import EpochRecord, RunRecord, git_revision, record_data, record_split, versions
from fsq_edge.training.run import MODEL_FILE, PREPROCESS_FILE, RUN_FILE, VALIDATED_FILE
from fsq_edge.training.split import WindowSides, open_sides, source_of
from fsq_edge.training.world import World, join_world
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import write_errors, write_file
from fsq_edge_runtime.preprocess import PreprocessConfig

CHECKPOINT_FILE = "checkpoint.safetensors"

# Called with each line that is known before the first epoch.
Say = Callable[[str], None]
# Called after each epoch with its record and the number of epochs.
ProgressListener = Callable[[EpochRecord, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class TrainResult:
    """What ``train`` leaves behind.

    Attributes:
        folder: the run folder.
        record: content of its ``run.json``.
        preprocess: the fitted preprocessing.
        model: the final weights, on the CPU, in evaluation mode.
        resumed_after: epochs that an interrupted training had done already.
    """

    folder: Path
    record: RunRecord
    preprocess: PreprocessConfig
    model: Conv2dFSQ
    resumed_after: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of ``train``."""
        record = self.record
        return {
            "schema_version": 1,
            "run": str(self.folder),
            "dataset": record.data.name,
            "split": record.split.model_dump(mode="json"),
            "parameters": record.parameters,
            "device": record.device,
            "processes": record.processes,
            "epochs": len(record.history),
            "resumed_after": self.resumed_after,
            "seconds": sum(epoch.seconds for epoch in record.history),
            **record.metrics,
        }


def train(
    config: TrainConfig,
    out: Path,
    *,
    sides: WindowSides | None = None,
    progress: ProgressListener | None = None,
    say: Say = lambda line: None,
) -> TrainResult:
    """Train and write the run folder: ``model.safetensors``, ``run.json``, ``preprocess.json``.

    While it runs the folder also holds ``training.log``, TensorBoard events and, after each epoch, a checkpoint. The
    same call in the same folder continues an interrupted training to the same bits. Under ``torchrun`` every process
    calls this, trains on its share of each batch, and the first one writes.

    Args:
        config: everything; ``config.data`` names the source and the split.
        out: run folder, made if it is not there; files of an earlier run are replaced.
        sides: the windows, where they are open already; None opens ``config.data``.
        progress: called by the leading process after each epoch.
        say: called by the leading process with each finding of the quality control, before the first epoch.

    Raises:
        FsqEdgeError: the data cannot be opened or split.
        DataError: no usable window, one class only, or the loss stopped being a number.
        UnavailableError: the folder cannot be made.
    """
    sides = sides or open_sides(config)
    sides.split.refuse()
    if len(np.unique(sides.train.label)) < 2:
        raise DataError("the training windows are all of one class", hint="train on more recordings")
    with ExitStack() as stack:
        stack.enter_context(_torch_settings(config.training))
        world = stack.enter_context(join_world(config.training.device))
        quality = check_quality(sides, config.preprocessing, world)
        for line in quality.lines if quality else ():
            say(line)
        return _Training(config, out, sides, world, quality).run(progress)


class _Training:
    """One call of ``train`` in one process."""

    def __init__(
        self, config: TrainConfig, out: Path, sides: WindowSides, world: World, quality: QualityReport | None
    ) -> None:
        self._quality = quality
        self._config, self._out, self._sides, self._world = config, out, sides, world
        self._dataset = sides.train.dataset
        preprocess = fit_on_training(sides, config)
        with write_errors(out):
            out.mkdir(parents=True, exist_ok=True)
        self._spill = out / f"samples.{os.environ.get('GROUP_RANK', '0')}.tmp"  # one a machine
        self._loop = make_loop(config, sides, preprocess, world, self._spill)
        self._preprocess = preprocess

    def run(self, progress: ProgressListener | None) -> TrainResult:
        file = self._out / CHECKPOINT_FILE
        self._world.wait()
        found = read_checkpoint(file)
        resumed = found is not None and found.progress.digest == self._loop.digest
        if found is not None and resumed:
            self._loop.resume(found)
        done = len(self._loop.history)
        try:
            if self._world.leads:
                self._lead(file, done, progress)
            else:
                self._loop.run(None)
            self._world.wait()
        finally:
            if self._world.leads_machine:
                self._spill.unlink(missing_ok=True)
        return self._finish(done)

    def _lead(self, checkpoint: Path, done: int, progress: ProgressListener | None) -> None:
        with Journal(self._out, done) as journal:
            journal.note(
                f"{self._dataset.name}: {len(self._sides.train)} training windows, {self._loop.epochs} epochs, "
                f"device {self._world.device}, {self._world.size} processes, resumed after epoch {done}"
            )

            def listen(record: EpochRecord, checked: Pass | None, epochs: int) -> None:
                journal.epoch(record, checked, epochs)
                if progress is not None:
                    progress(record, epochs)

            for line in self._quality.lines if self._quality else ():
                journal.note(f"data quality: {line}")
            self._loop.run(checkpoint, listen)
            for line in code_warnings(self._loop.history[-1]):
                journal.note(f"warning: {line}")

    def _finish(self, resumed_after: int) -> TrainResult:
        model = self._loop.model.cpu().eval()
        content, validated = tensor_bytes(model.state_dict()), tensor_bytes(self._loop.best)
        record = self._record(content, validated)
        if self._world.leads:
            write_file(self._out / VALIDATED_FILE, validated)
            write_file(self._out / MODEL_FILE, content)
            write_file(self._out / PREPROCESS_FILE, self._preprocess.to_json().encode())
            write_file(self._out / RUN_FILE, record.to_json().encode())
            (self._out / CHECKPOINT_FILE).unlink(missing_ok=True)
        return TrainResult(self._out, record, self._preprocess, model, resumed_after)

    def _record(self, content: bytes, validated: bytes) -> RunRecord:
        loop = self._loop
        kept = loop.history[loop.best_epoch - 1].model_dump()
        metrics = {name: float(kept[name]) for name in ("val_loss", "val_accuracy", "val_macro_f1")}
        return RunRecord(
            config=self._config,
            data=record_data(self._sides, source_of(self._config.data), self._quality),
            classes=self._dataset.classes,
            split=record_split(self._sides),
            metrics={"best_epoch": float(loop.best_epoch), **metrics},
            history=tuple(loop.history),
            parameters=sum(parameter.numel() for parameter in loop.model.parameters()),
            device=str(self._world.device),
            processes=self._world.size,
            versions=versions(),
            git_revision=git_revision(),
            model_sha256=hashlib.sha256(content).hexdigest(),
            validated_sha256=hashlib.sha256(validated).hexdigest(),
            preprocess_sha256=self._preprocess.digest(),
        )


@contextmanager
def _torch_settings(section: TrainingSection) -> Iterator[None]:
    """Set torch's threads and determinism for one training and put them back."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_num_threads(section.threads)
    if section.deterministic:
        # cuBLAS repeats its sums only with a fixed workspace; it reads this when it is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
