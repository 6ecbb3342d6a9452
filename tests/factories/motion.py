"""Synthetic motion windows and the preprocessing fitted on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Int64Array, TextArray
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig, fit_preprocess

UNITS = {"acc": "g", "gyro": "rad/s"}


@dataclass(frozen=True, slots=True)
class MotionWindows:
    """Windows (N, C, T) float32 raw units with class, subject, recording and start of each, and their preprocessing."""

    windows: Float32Array
    labels: Int64Array
    subjects: TextArray
    recording_ids: TextArray
    starts: Int64Array
    preprocess: PreprocessConfig


def make_motion(
    n: int = 600, *, classes: int = 4, subjects: int = 5, seed: int = 0, samples: int = 100
) -> MotionWindows:
    """Return smooth oscillations of six channels whose frequency and posture depend on the class; classes unequal."""
    rng = np.random.default_rng(seed)
    share = np.linspace(1.0, 2.0, classes)
    labels = rng.choice(classes, size=n, p=share / share.sum())
    who = rng.integers(0, subjects, size=n)
    time = np.arange(samples) / 50.0
    frequency = (1.0 + 0.8 * labels + 0.1 * who)[:, None, None] * rng.uniform(0.9, 1.1, (n, 1, 1))
    phase = rng.uniform(0, 2 * np.pi, (n, 6, 1))
    size = rng.uniform(0.3, 1.0, (n, 6, 1)) * np.array([0.4, 0.5, 0.3, 2.0, 1.5, 1.0])[:, None]
    x = size * np.sin(2 * np.pi * frequency * time + phase) + 0.02 * rng.normal(size=(n, 6, samples))
    x[:, 2] += 1.0
    x[:, 0] += 0.2 * labels[:, None]
    windows = x.astype(np.float32)
    channels = tuple(ChannelSpec(name=f"{kind}_{axis}", unit=UNITS[kind]) for kind in UNITS for axis in "xyz")
    draft = PreprocessConfig(
        channels=channels, sample_rate_hz=50.0, window_samples=samples, mean=(0.0,) * 12, std=(1.0,) * 12
    )
    names = np.char.add("s", who.astype(str))
    return MotionWindows(
        windows=windows,
        labels=labels.astype(np.int64),
        subjects=names,
        recording_ids=np.char.add(names, np.char.add("-", labels.astype(str))),
        starts=np.arange(n, dtype=np.int64) * 50,
        preprocess=fit_preprocess(windows, draft),
    )
