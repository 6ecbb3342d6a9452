"""Small data sets for tests, made to measure."""

from __future__ import annotations

import numpy as np

from fsq_edge.data import Channel, Dataset, Recording

CHANNELS = (Channel("acc_x", "g"), Channel("acc_y", "g"), Channel("gyro_x", "rad/s"))


def make_recording(
    name="r0", n=300, channels=3, subject="1", label=0, session="a", seed=0, timestamps=None, labels=None
):
    """Noise with one label, unless ``labels`` says otherwise."""
    rng = np.random.default_rng(seed)
    return Recording(
        recording_id=name,
        samples=rng.normal(size=(n, channels)).astype(np.float32),
        labels=np.full(n, label, np.int16) if labels is None else np.asarray(labels, np.int16),
        subject=subject,
        session=session,
        timestamps=timestamps,
    )


def make_dataset(recordings=None, classes=("rest", "walk"), channels=CHANNELS, rate=50.0, mirror=None):
    """Six subjects with two recordings each, unless ``recordings`` says otherwise."""
    if recordings is None:
        recordings = [
            make_recording(f"s{subject}-{label}", subject=str(subject), label=label, seed=10 * subject + label)
            for subject in range(1, 7)
            for label in range(2)
        ]
    return Dataset("toy", channels, rate, classes, tuple(recordings), mirror, "CC0", "made for a test")
