"""What a Python block of a page takes for granted: names that the text above it has explained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fsq_edge.data import Channel, cut_windows
from fsq_edge_runtime.backends.selection import open_backend
from fsq_edge_runtime.bundle.bundle import Bundle
from tests.blocks.shelf import stand_in_for_watch


def names_for(bundle_file: Path) -> dict[str, Any]:
    """Return them; every block gets its own copy of the namespace of its page."""
    bundle = Bundle.open(bundle_file)
    dataset = stand_in_for_watch()
    config = bundle.preprocess
    windows = np.concatenate([r.samples[:800].reshape(8, config.window_samples, -1) for r in dataset.recordings])
    windows = windows.transpose(0, 2, 1).astype(np.float32)
    labels = np.concatenate([r.labels[:800:100] for r in dataset.recordings]).astype(np.int64)
    subjects = np.repeat(np.array([r.subject for r in dataset.recordings]), 8)
    classes = tuple(bundle.classes)
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet(np.ones(len(classes)), len(labels)).astype(np.float32)
    return {
        "Path": Path,
        "bundle": bundle,
        "channels": tuple(Channel(channel.name, channel.unit) for channel in config.channels),
        "classes": classes,
        "codes": draw.integers(0, 240, len(labels)),
        "cut_windows": cut_windows,
        "dataset": dataset,
        "frames": torch.zeros(4, 12, 2, 50),
        "labels": labels,
        "n_codes": 240,
        "open_backend": open_backend,
        "preprocess": config,
        "probabilities": probabilities,
        "recordings": tuple(replace(r, labels=r.labels % 2) for r in dataset.recordings[:1]),
        "samples": dataset.recordings[0].samples[:300],
        "subjects": subjects,
        "svg": "<svg></svg>",
        "timestamps": np.arange(300) / config.sample_rate_hz,
        "windows": windows,
    }
