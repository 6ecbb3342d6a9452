"""One recording as a file that a stream replays: npz or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fsq_edge.data.recording import Dataset, Recording
from fsq_edge_runtime.files import whole_file

BLOCK_ROWS = 4096


def write_recording(dataset: Dataset, recording: Recording, path: Path) -> None:
    """Write a recording with its channels, units and, where it has them, times, as ``run`` reads them.

    Labels go along: ``labels`` (n,) with ``classes`` in an npz file, a column ``label`` of names in a CSV file.

    Args:
        dataset: what the recording belongs to.
        recording: one of it.
        path: a name that ends in ``.npz`` or ``.csv``; an older file is replaced, whole or not at all.

    Raises:
        UnavailableError: the file cannot be written.
    """
    if path.suffix.lower() == ".npz":
        arrays: dict[str, Any] = {
            "samples": recording.samples,
            "labels": recording.labels,
            "channels": np.array([channel.name for channel in dataset.channels]),
            "units": np.array([channel.unit for channel in dataset.channels]),
        }
        if recording.timestamps is not None:
            arrays["timestamps"] = recording.timestamps
        with whole_file(path) as file:
            np.savez_compressed(file, **arrays)
        return
    with whole_file(path) as file:
        for block in _csv_blocks(dataset, recording):
            file.write(block.encode())


def _csv_blocks(dataset: Dataset, recording: Recording) -> Iterator[str]:
    """Yield the header and the rows as text, so many at a time."""
    times_s = recording.timestamps
    if times_s is None:
        times_s = np.arange(len(recording)) / dataset.sample_rate_hz
    names = [*dataset.classes, ""]  # label -1 is the last, none
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["timestamp", *(channel.name for channel in dataset.channels), "label"])
    for start in range(0, len(recording), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        for time_s, sample, label in zip(times_s[part], recording.samples[part], recording.labels[part], strict=True):
            rows.writerow([f"{time_s:.6f}", *(f"{value:.9g}" for value in sample), names[label]])
        yield text.getvalue()
        text.seek(0)
        text.truncate()
