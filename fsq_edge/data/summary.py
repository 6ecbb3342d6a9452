"""What a data set holds, as plain JSON values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from fsq_edge.data.recording import Dataset
from fsq_edge.data.windows import WindowIndex


def dataset_summary(dataset: Dataset, index: WindowIndex) -> dict[str, Any]:
    """Return the JSON of ``data inspect``: what a data set holds and how many windows can be cut from it.

    Args:
        dataset: what to describe; its labels are read, its samples are not.
        index: windows of it.
    """
    n_classes = len(dataset.classes)
    samples = np.zeros(n_classes + 1, np.int64)
    for recording in dataset.recordings:
        samples += np.bincount(recording.labels.astype(np.int64) + 1, minlength=n_classes + 1)
    per_class = np.bincount(index.label, minlength=n_classes)
    classes = [
        {"name": name, "seconds": float(samples[i + 1] / dataset.true_rate_hz), "windows": int(per_class[i])}
        for i, name in enumerate(dataset.classes)
    ]
    return {
        "schema_version": 1,
        "name": dataset.name,
        "source": dataset.source,
        "licence": dataset.licence,
        "channels": [{"name": channel.name, "unit": channel.unit} for channel in dataset.channels],
        "sample_rate_hz": dataset.sample_rate_hz,
        "measured_rate_hz": dataset.measured_rate_hz,
        "sensors": {name: asdict(sensor) for name, sensor in dataset.sensors.items()},
        "mirror": dataset.mirror,
        "subjects": list(dataset.subjects),
        "recordings": len(dataset.recordings),
        "samples": dataset.n_samples,
        "seconds": dataset.n_samples / dataset.true_rate_hz,
        "unlabelled_seconds": float(samples[0] / dataset.true_rate_hz),
        "timestamps": sum(recording.timestamps is not None for recording in dataset.recordings),
        "classes": classes,
        "windows": {
            "window_samples": index.window_samples,
            "hop_samples": index.hop_samples,
            "pure": len(index),
            "mixed": index.n_mixed,
            "unlabelled": index.n_unlabelled,
        },
    }
