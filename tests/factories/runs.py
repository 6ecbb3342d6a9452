"""A small trained run over a small dataset folder: two seconds of real training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fsq_edge.cli.main import run
from fsq_edge.data import Channel, Dataset, Recording, write_folder

CHANNELS = (Channel("acc_x", "g"), Channel("acc_y", "g"), Channel("gyro_z", "rad/s"))
CLASSES = ("rest", "walk", "trot")
TEST, VALIDATION = ("5", "6"), ("4",)


def gait_dataset(
    name: str = "gait", subjects: int = 6, samples: int = 600, classes: tuple[str, ...] = CLASSES, seed: int = 0
) -> Dataset:
    """One recording a subject and class: a sine whose frequency tells the class, at the subject's own size."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / 50.0
    recordings = []
    for subject in range(1, subjects + 1):
        for label in range(len(classes)):
            phase = rng.uniform(0, 2 * np.pi, (1, 3))
            wave = np.sin(2 * np.pi * 1.7 * label * time[:, None] + phase) * (0.5 + 0.1 * subject)
            noise = 0.35 * rng.normal(size=(samples, 3))
            recordings.append(
                Recording(
                    recording_id=f"s{subject}-{classes[label]}",
                    samples=(wave + noise).astype(np.float32),
                    labels=np.full(samples, label, np.int16),
                    subject=str(subject),
                    session="a",
                )
            )
    return Dataset(name, CHANNELS, 50.0, classes, tuple(recordings), None, "CC0", "made for a test")


def train_small_run(folder: Path) -> Path:
    """Write ``folder/data``, train on it and return the run folder ``folder/run``."""
    write_folder(gait_dataset(), folder / "data")
    words = ["--data", f"folder:{folder / 'data'}", "--test-subjects", ",".join(TEST)]
    words += ["--val-subjects", ",".join(VALIDATION), "--epochs", "40", "--out", str(folder / "run"), "--quiet"]
    assert run(["train", *words]) == 0
    return folder / "run"
