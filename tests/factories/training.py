"""A motion data set that a tiny network learns in seconds, and the configuration for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fsq_edge.data import Channel, Dataset, Recording, write_folder
from fsq_edge.data.windows import WindowIndex
from fsq_edge.model import Conv2dFSQ
from fsq_edge.training import TrainConfig, load_config
from fsq_edge.training.metrics import Pass
from fsq_edge.training.validation import WindowFrames, validate
from fsq_edge.training.world import ALONE
from fsq_edge_runtime.preprocess import Preprocessor

CHANNELS = tuple(Channel(f"{kind}_{axis}", unit) for kind, unit in (("acc", "g"), ("gyro", "rad/s")) for axis in "xyz")
CLASSES = ("slow", "quick", "still")
HERTZ = (1.0, 3.0, 0.0)
RATE_HZ = 50.0

SETTINGS: dict[str, dict[str, Any]] = {
    "data": {"test_subjects": ["5", "6"]},
    "model": {"hidden_dim": 16, "kernel": 5, "fsq_levels": [8, 6, 5], "dropout": 0.1},
    "preprocessing": {"window_samples": 40},
    "training": {"batch_size": 16, "max_epochs": 4, "learning_rate": 0.01},
}


def make_exercises(subjects: int = 6, samples: int = 400, seed: int = 0) -> Dataset:
    """One recording a subject and class: the class's frequency and posture, noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE_HZ
    recordings = []
    for subject in range(1, subjects + 1):
        for label, hertz in enumerate(HERTZ):
            phase, size = rng.uniform(0, 2 * np.pi, 6), rng.uniform(0.3, 0.6, 6)
            wave = np.sin(2 * np.pi * hertz * rng.uniform(0.9, 1.1) * time[:, None] + phase) * size
            x = wave * (hertz > 0) + 0.05 * rng.normal(size=(samples, 6))
            x[:, label] += 1.0
            recordings.append(
                Recording(
                    recording_id=f"s{subject}-{CLASSES[label]}",
                    samples=x.astype(np.float32),
                    labels=np.full(samples, label, np.int16),
                    subject=str(subject),
                    session="a",
                )
            )
    return Dataset("exercises", CHANNELS, RATE_HZ, CLASSES, tuple(recordings), (-1, 1, 1, 1, -1, -1), "CC0", "a test")


def settings(**sections: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``SETTINGS`` with some fields replaced."""
    return {name: {**SETTINGS.get(name, {}), **sections.get(name, {})} for name in {**SETTINGS, **sections}}


def make_config(**sections: Mapping[str, Any]) -> TrainConfig:
    """The configuration of ``settings``; its source is a name only, for windows that are open already."""
    return load_config(None, settings(**{**sections, "data": {"source": "folder:none", **sections.get("data", {})}}))


def write_exercises(folder: Path, **sections: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write the data set and a configuration file; return the paths (data folder, YAML)."""
    write_folder(make_exercises(), folder / "data")
    path = folder / "config.yaml"
    source = {"source": f"folder:{folder / 'data'}"}
    path.write_text(yaml.safe_dump(settings(**{**sections, "data": {**source, **sections.get("data", {})}})))
    return folder / "data", path


def classify(model: Conv2dFSQ, index: WindowIndex, preprocessor: Preprocessor) -> Pass:
    """Classify the usable windows of an index."""
    return validate(model, WindowFrames(index, preprocessor, memory_bytes=0), ALONE)
