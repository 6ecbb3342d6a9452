"""Training from windows in three parts to a run folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from fsq_edge.data.recording import Dataset
from fsq_edge.data.windows import cut_windows
from fsq_edge.model import Conv2dFSQ
from fsq_edge.training.augmentation import Augmenter
from fsq_edge.training.checkpoint import read_checkpoint, tensor_bytes, write_whole
from fsq_edge.training.config import TrainConfig, TrainingSection
from fsq_edge.training.feed import PackedWindows, TrainingFeed, pack
from fsq_edge.training.journal import Journal
from fsq_edge.training.loop import Loop, Stage
from fsq_edge.training.metrics import Pass
from fsq_edge.training.record import EpochRecord, RunRecord, git_revision, record_data, record_split, versions
from fsq_edge.training.run import MODEL_FILE, PREPROCESS_FILE, RUN_FILE, VALIDATED_FILE, build_model
from fsq_edge.training.schedule import default_epochs, default_refit_epochs
from fsq_edge.training.sides import WindowSides, gap_seconds, open_sides, source_of
from fsq_edge.training.validation import WindowFrames
from fsq_edge.training.world import World, join_world
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig, Preprocessor, fit_preprocess

CHECKPOINT_FILE = "checkpoint.safetensors"
FIT_WINDOWS = 20_000  # enough for means and deviations; more would only cost memory

# Called after each epoch with its record and the number of epochs.
ProgressListener = Callable[[EpochRecord, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class TrainResult:
    """What ``train`` leaves behind.

    Args:
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


def train(
    config: TrainConfig,
    out: Path,
    *,
    sides: WindowSides | None = None,
    progress: ProgressListener | None = None,
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

    Raises:
        FsqEdgeError: the data cannot be opened or split.
        DataError: no usable window, one class only, or the loss stopped being a number.
    """
    sides = sides or open_sides(config)
    sides.split.refuse()
    if len(np.unique(sides.train.label)) < 2:
        raise DataError("the training windows are all of one class", hint="train on more recordings")
    with ExitStack() as stack:
        stack.enter_context(_torch_settings(config.training))
        world = stack.enter_context(join_world(config.training.device))
        return _Training(config, out, sides, world).run(progress)


def draft_preprocess(dataset: Dataset, config: TrainConfig, window_samples: int, hop_samples: int) -> PreprocessConfig:
    """Return the preprocessing of a configuration before its statistics are fitted."""
    section = config.preprocessing
    count = len(dataset.channels) * (2 if section.window_zscore else 1)
    return PreprocessConfig(
        channels=tuple(ChannelSpec(name=channel.name, unit=channel.unit) for channel in dataset.channels),
        sample_rate_hz=dataset.sample_rate_hz,
        window_samples=window_samples,
        hop_samples=hop_samples,
        fold=section.rows,
        window_zscore=section.window_zscore,
        max_gap_ms=section.max_gap_ms,
        mean=(0.0,) * count,
        std=(1.0,) * count,
        clip_sigma=section.clip_sigma,
    )


def fit_on_training(sides: WindowSides, config: TrainConfig) -> PreprocessConfig:
    """Fit the preprocessing statistics on the training windows alone, on at most 20,000 of them evenly spread."""
    index = sides.train
    draft = draft_preprocess(index.dataset, config, index.window_samples, index.hop_samples)
    rows = np.unique(np.linspace(0, len(index) - 1, min(len(index), FIT_WINDOWS)).round().astype(np.int64))
    return fit_preprocess(index.gather(rows), draft)


class _Training:
    """One call of ``train`` in one process."""

    def __init__(self, config: TrainConfig, out: Path, sides: WindowSides, world: World) -> None:
        self._config, self._out, self._sides, self._world = config, out, sides, world
        self._dataset = sides.train.dataset
        self._preprocess = fit_on_training(sides, config)
        out.mkdir(parents=True, exist_ok=True)
        self._spill = out / f"samples.{os.environ.get('GROUP_RANK', '0')}.tmp"  # one a machine
        self._loop = self._make_loop()

    def run(self, progress: ProgressListener | None) -> TrainResult:
        file = self._out / CHECKPOINT_FILE
        self._world.wait()
        found = read_checkpoint(file)
        resumed = found is not None and found.progress.digest == self._digest()
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

            self._loop.run(checkpoint, listen)

    def _make_loop(self) -> Loop:
        config, section, world = self._config, self._config.training, self._world
        torch.manual_seed(section.seed)
        model = build_model(config, len(self._dataset.channels), len(self._dataset.classes), self._preprocess)
        # Pooling and convolution of these narrow frames take half the time in this layout.
        model = model.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
        packed = self._pack()
        preprocessor, memory = Preprocessor(self._preprocess), config.data.memory_mb << 20
        held = WindowFrames(self._sides.val, preprocessor, memory, world)
        feed = self._feed(packed.take(packed.row < len(self._sides.train)))
        epochs = section.max_epochs or default_epochs(len(feed.windows), feed.steps)
        validated = Stage(feed, held, epochs, section.schedule_used, section.learning_rate)
        again = default_refit_epochs(epochs) if section.refit_epochs is None else section.refit_epochs
        refit = Stage(self._feed(packed), None, again, "one-cycle", section.learning_rate) if again else None
        return Loop(model, validated, refit, section, world, self._digest())

    def _pack(self) -> PackedWindows:
        """Pack training windows and, behind them, validation windows for the refit."""
        train, val = self._sides.split.train, self._sides.split.val
        index = self._sides.train
        joined = cut_windows(
            replace(train, recordings=train.recordings + val.recordings),
            index.window_samples,
            index.hop_samples,
            max_gap_s=gap_seconds(self._config),
        )
        return pack(
            joined,
            self._preprocess.max_gap_ms,
            memory_bytes=self._config.data.memory_mb << 20,
            spill=self._spill,
            world=self._world,
        )

    def _feed(self, windows: PackedWindows) -> TrainingFeed:
        section = self._config.training
        return TrainingFeed(
            windows,
            Preprocessor(self._preprocess),
            Augmenter(self._dataset.channels, self._dataset.mirror),
            self._config.augmentation,
            batch_size=section.batch_size,
            seed=section.seed,
            world=self._world,
        )

    def _digest(self) -> str:
        """Hash of all that decides the outcome, so that a checkpoint is resumed by the training that wrote it only."""
        parts = {
            "config": self._config.to_dict(),
            "split": record_split(self._sides).model_dump(mode="json"),
            "preprocess": self._preprocess.digest(),
            "processes": self._world.size,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _finish(self, resumed_after: int) -> TrainResult:
        model = self._loop.model.cpu().eval()
        content, validated = tensor_bytes(model.state_dict()), tensor_bytes(self._loop.best)
        record = self._record(content, validated)
        if self._world.leads:
            write_whole(self._out / VALIDATED_FILE, validated)
            write_whole(self._out / MODEL_FILE, content)
            write_whole(self._out / PREPROCESS_FILE, self._preprocess.to_json().encode())
            write_whole(self._out / RUN_FILE, record.to_json().encode())
            (self._out / CHECKPOINT_FILE).unlink(missing_ok=True)
        return TrainResult(self._out, record, self._preprocess, model, resumed_after)

    def _record(self, content: bytes, validated: bytes) -> RunRecord:
        loop = self._loop
        kept = loop.history[loop.best_epoch - 1].model_dump()
        metrics = {name: float(kept[name]) for name in ("val_loss", "val_accuracy", "val_macro_f1")}
        return RunRecord(
            config=self._config,
            data=record_data(self._sides, source_of(self._config.data)),
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
