"""Continuous recordings whose labels a random bundle tells with flicker, so that there is something to tune."""

from __future__ import annotations

from typing import Any

import numpy as np

from fsq_edge.data import Channel, Dataset, Recording
from fsq_edge_runtime.bundle.archive import MANIFEST
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.manifest import Manifest
from fsq_edge_runtime.decision import DecisionSettings
from tests.factories.bundles import random_bundle

BLOCK = 400  # samples of one activity
KINDS = 8
NOISE = 0.2


def flickering_bundle() -> Bundle:
    """A random bundle that is sure of what it tells, and often wrong for a window or two."""
    return random_bundle(decision=DecisionSettings(temperature=0.25))


def labelled_dataset(bundle: Bundle, subjects: int = 4, blocks: int = 20, name: str = "made-up") -> Dataset:
    """One recording a subject: blocks of noisy waves of eight kinds, each labelled as the bundle mostly tells it."""
    config, draw = bundle.preprocess, np.random.default_rng(0)
    channels = len(config.channels)
    time = np.arange(BLOCK) / config.sample_rate_hz
    pace, size = draw.uniform(0.5, 5.0, (KINDS, 1)), draw.uniform(0.3, 2.0, (KINDS, channels))
    waves = np.sin(2 * np.pi * pace[:, :, None] * time[:, None] + draw.uniform(0, 6, (KINDS, 1, channels)))
    waves = waves * size[:, None]
    label_of = [_mostly(bundle, wave + draw.normal(0, NOISE, wave.shape)) for wave in waves]
    recordings = []
    for subject in range(1, subjects + 1):
        order = draw.integers(0, KINDS, blocks)
        samples = np.concatenate([waves[kind] for kind in order])
        samples = samples + draw.normal(0, NOISE, samples.shape)
        labels = np.repeat([label_of[kind] for kind in order], BLOCK).astype(np.int16)
        recordings.append(Recording(f"r{subject}", samples.astype(np.float32), labels, str(subject), ""))
    named = tuple(Channel(channel.name, channel.unit) for channel in config.channels)
    return Dataset(name, named, config.sample_rate_hz, bundle.classes, tuple(recordings))


def _mostly(bundle: Bundle, samples: np.ndarray) -> int:
    size = bundle.preprocess.window_samples
    windows = np.stack([samples[start : start + size].T for start in range(0, BLOCK - size + 1, 10)])
    with bundle.open_session(backend="onnx") as session:
        return int(np.bincount(session.predict(windows.astype(np.float32)).raw_labels).argmax())


def with_provenance(bundle: Bundle, dataset: Dataset, test_subjects: list[str]) -> Bundle:
    """The same bundle, as if a run split by subject had made it."""
    train = [subject for subject in dataset.subjects if subject not in test_subjects]
    values: dict[str, Any] = bundle.manifest.model_dump()
    values["provenance"] = {
        "data": {"name": dataset.name},
        "split": {"kind": "by subject", "train_subjects": train, "val_subjects": [], "test_subjects": test_subjects},
    }
    manifest = Manifest.model_validate(values)
    return Bundle.from_files({**bundle.files, MANIFEST: manifest.to_json().encode()})
