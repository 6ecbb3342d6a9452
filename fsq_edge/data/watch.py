"""`watch`: shoulder exercises recorded with a smartwatch, the real data that ships inside the seglearn wheel."""

from __future__ import annotations

from typing import Any

import numpy as np

from fsq_edge.data.recording import Channel, Dataset, Recording
from fsq_edge_runtime.extras import need

SAMPLE_RATE_HZ = 50.0

# The package abbreviates the seven exercises; its order is kept, since its labels are indices into it.
EXERCISES = {
    "PEN": "pendulum",
    "ABD": "abduction",
    "FEL": "forward_elevation",
    "IR": "internal_rotation",
    "ER": "external_rotation",
    "TRAP": "trapezius_extension",
    "ROW": "upright_row",
}

# Units are not written in the package, so they were found in the data: the accelerometer's median norm is 1.07 (g,
# gravity included), and gravity turns through its axes about as fast as the gyroscope read as rad/s says (a third to
# twice, by exercise); read as deg/s it would be 57 times off.
CHANNELS = tuple(
    Channel(f"{sensor}_{axis}", unit) for sensor, unit in (("acc", "g"), ("gyro", "rad/s")) for axis in "xyz"
)

# A watch on the other wrist: x runs along the forearm the other way, so the reflection flips acc x and, because a
# rotation is an axial vector, the two gyroscope axes that lie in the mirror plane.
MIRROR = (-1, 1, 1, 1, -1, -1)


def load_watch() -> Dataset:
    """Return the 140 recordings of 10 subjects, 7 exercises and 2 sides, 6 channels at 50 Hz.

    Each recording is one set of an exercise, so all its samples carry the same label. Subjects are ``"1"`` to
    ``"10"``; the session is the side that wore the watch.

    Raises:
        UnavailableError: seglearn is not installed.

    Source: Burns et al. 2018, arXiv 1802.01489; ``seglearn.datasets.load_watch``, seglearn 1.2.5, BSD licence.
    """
    package = need("seglearn.datasets", "train", "the data source 'watch'")
    raw: dict[str, Any] = package.load_watch()
    recordings = []
    for samples, label, subject, side in zip(raw["X"], raw["y"], raw["subject"], raw["side"], strict=True):
        where = "right" if side else "left"
        recordings.append(
            Recording(
                recording_id=f"s{int(subject):02d}-{raw['y_labels'][label].lower()}-{where}",
                samples=np.ascontiguousarray(samples, dtype=np.float32),
                labels=np.full(len(samples), label, np.int16),
                subject=str(int(subject)),
                session=where,
            )
        )
    return Dataset(
        name="watch",
        channels=CHANNELS,
        sample_rate_hz=SAMPLE_RATE_HZ,
        classes=tuple(EXERCISES[name] for name in raw["y_labels"]),
        recordings=tuple(recordings),
        mirror=MIRROR,
        licence="BSD-3-Clause",
        source="seglearn.datasets.load_watch; Burns et al. 2018, arXiv 1802.01489",
    )
