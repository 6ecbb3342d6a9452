"""From a configuration and its windows to a loop that is ready to run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from fsq_edge.data.recording import Dataset
from fsq_edge.data.windows import cut_windows
from fsq_edge.training.augmentation import Augmenter
from fsq_edge.training.config import TrainConfig, TrainingSection
from fsq_edge.training.feed import PackedWindows, TrainingFeed, pack
from fsq_edge.training.loop import Loop, Stage
from fsq_edge.training.record import record_split
from fsq_edge.training.run import build_model
from fsq_edge.training.schedule import MOST_REFIT_PASSES, MOST_VALIDATED_PASSES, default_epochs
from fsq_edge.training.shared_layers import share_layers
from fsq_edge.training.split import WindowSides, gap_seconds, window_labels
from fsq_edge.training.validation import WindowFrames
from fsq_edge.training.world import World
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.faults import first_fault
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig, Preprocessor, fit_preprocess

FIT_WINDOWS = 20_000  # enough for means and deviations; more would only cost memory


def draft_preprocess(dataset: Dataset, config: TrainConfig, window_samples: int, hop_samples: int) -> PreprocessConfig:
    """Return the preprocessing of a configuration before its statistics are fitted.

    Raises:
        DataError: the data set's channels do not fit ``preprocess.json``, or the window is no multiple of the fold.
    """
    section = config.preprocessing
    count = len(dataset.channels) * (2 if section.window_zscore else 1)
    try:
        return PreprocessConfig(
            channels=tuple(ChannelSpec(name=channel.name, unit=channel.unit) for channel in dataset.channels),
            sample_rate_hz=dataset.true_rate_hz,
            window_samples=window_samples,
            hop_samples=hop_samples,
            fold=section.rows,
            window_zscore=section.window_zscore,
            max_gap_ms=section.max_gap_ms,
            mean=(0.0,) * count,
            std=(1.0,) * count,
            clip_sigma=section.clip_sigma,
        )
    except ValidationError as error:
        field, words, hint = first_fault(error)
        raise DataError(
            f"{dataset.name}: {field or 'preprocessing'}: {words}", hint=hint or "correct the data set's description"
        ) from error


def fit_on_training(sides: WindowSides, config: TrainConfig) -> PreprocessConfig:
    """Fit the preprocessing statistics on the training windows alone, on at most 20,000 of them evenly spread."""
    index = sides.train
    draft = draft_preprocess(index.dataset, config, index.window_samples, index.hop_samples)
    rows = np.unique(np.linspace(0, len(index) - 1, min(len(index), FIT_WINDOWS)).round().astype(np.int64))
    return fit_preprocess(index.gather(rows), draft)


def make_loop(config: TrainConfig, sides: WindowSides, preprocess: PreprocessConfig, world: World, spill: Path) -> Loop:
    """Build the network, its feeds and the two stages of a training; all processes call this together.

    Args:
        config: everything but the data.
        sides: windows in three parts; the test part is not touched.
        preprocess: fitted on ``sides.train``.
        world: the processes.
        spill: file for samples that do not stay in memory.

    Raises:
        DataError: no usable training window, or the configuration names other channels or classes.
    """
    section, dataset = config.training, sides.train.dataset
    torch.manual_seed(section.seed)
    model = build_model(config, len(dataset.channels), len(dataset.classes), preprocess)
    share_layers(model, world)
    # Pooling and convolution of frames this narrow take half the time in this layout.
    model = model.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    packed = _pack(config, sides, world, spill)
    feed = _feed(config, dataset, preprocess, packed.take(packed.row < len(sides.train)), world)
    held = WindowFrames(sides.val, Preprocessor(preprocess), config.data.memory_mb << 20, world)
    epochs = section.max_epochs or default_epochs(len(feed.windows), feed.steps, MOST_VALIDATED_PASSES)
    validated = Stage(feed, held, epochs, section.schedule_used, section.learning_rate)
    refit = None
    if section.refit_epochs != 0:
        both = _feed(config, dataset, preprocess, packed, world)
        refit = Stage(both, None, _refit_epochs(section, both), "one-cycle", section.learning_rate)
    return Loop(model, validated, refit, section, world, _digest(config, sides, preprocess, world))


def _refit_epochs(section: TrainingSection, feed: TrainingFeed) -> int:
    if section.refit_epochs is not None:
        return section.refit_epochs
    epochs = default_epochs(len(feed.windows), feed.steps, MOST_REFIT_PASSES)
    return epochs if section.max_epochs is None else min(epochs, section.max_epochs)


def _pack(config: TrainConfig, sides: WindowSides, world: World, spill: Path) -> PackedWindows:
    """Pack training windows and, behind them, validation windows for the refit."""
    train, val = sides.split.train, sides.split.val
    labels = window_labels(config)
    joined = cut_windows(
        replace(train, recordings=train.recordings + val.recordings),
        sides.train.window_samples,
        sides.train.hop_samples,
        max_gap_s=gap_seconds(config),
        labels=labels,
    )
    memory = config.data.memory_mb << 20
    return pack(joined, config.preprocessing.max_gap_ms, labels, memory_bytes=memory, spill=spill, world=world)


def _feed(
    config: TrainConfig, dataset: Dataset, preprocess: PreprocessConfig, windows: PackedWindows, world: World
) -> TrainingFeed:
    return TrainingFeed(
        windows,
        Preprocessor(preprocess),
        Augmenter(dataset.channels, dataset.mirror),
        config.augmentation,
        batch_size=config.training.batch_size,
        seed=config.training.seed,
        world=world,
    )


def _digest(config: TrainConfig, sides: WindowSides, preprocess: PreprocessConfig, world: World) -> str:
    """Hash of all that decides the outcome, so that a checkpoint is resumed by the training that wrote it only."""
    parts = {
        "config": config.to_dict(),
        "split": record_split(sides).model_dump(mode="json"),
        "preprocess": preprocess.digest(),
        "processes": world.size,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
