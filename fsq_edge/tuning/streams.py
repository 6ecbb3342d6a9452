"""From recordings to continuous labelled streams, in the classes of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fsq_edge.data import UNLABELLED, Channel, Dataset, Recording, open_dataset
from fsq_edge.data.archive import read_npz
from fsq_edge.data.folder import narrow_labels
from fsq_edge_runtime.arrays import Float32Array, Float64Array, Int16Array
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import DataError

LEAST_WINDOWS = 3  # a recording this short is a window that was cut already: nothing in it is continuous


@dataclass(frozen=True, slots=True, eq=False)
class LabelledStream:
    """A continuous series to be streamed as one.

    Attributes:
        name: for messages.
        samples: (n, C) float32, raw units.
        labels: (n,) int16, a class of the bundle, K for an activity that is none of them, below 0 for no label.
        timestamps: (n,) float64 seconds, ascending; None counts at the rate.
    """

    name: str
    samples: Float32Array
    labels: Int16Array
    timestamps: Float64Array | None


def open_recordings(text: str, bundle: Bundle) -> Dataset:
    """Open continuous labelled recordings.

    Args:
        text: ``watch``, ``quadruped``, ``folder:PATH``, or ``npz:FILE`` with ``samples``, ``labels`` (indices into the
            bundle's classes) and, optionally, ``timestamps``.
        bundle: whose channels they must have.

    Raises:
        UsageError: an unknown source.
        MissingInputError: it is not there.
        DataError: damaged, or other channels than the bundle's.
        UnavailableError: a package that brings the data is not installed.
    """
    kind, _, rest = text.partition(":")
    dataset = _open_npz(Path(rest), bundle) if kind == "npz" and rest else open_dataset(text)
    dataset.require_channels(bundle.preprocess.channels, "the bundle")
    if not set(dataset.classes) & set(bundle.classes):
        raise DataError(
            f"the recordings of {dataset.name!r} have none of the bundle's classes: {', '.join(dataset.classes[:8])}",
            hint=f"the bundle knows {', '.join(bundle.classes[:8])}",
        )
    return dataset


def make_streams(
    recordings: Sequence[Recording], dataset: Dataset, bundle: Bundle, seed: int
) -> tuple[list[LabelledStream], bool]:
    """Return the streams, and whether they are stitched.

    Where every recording holds one label, nothing ever changes within one. The recordings of each subject are then
    joined without a gap, in an order drawn by the seed; the steps at the joints are artificial, and so is how long
    the sensor sees two activities at once.

    Args:
        recordings: of the data set.
        dataset: names the classes.
        bundle: names the classes to translate them to.
        seed: of the order.

    Raises:
        DataError: the recordings are windows that were cut already, or their timestamps run backwards.
    """
    window = bundle.preprocess.window_samples
    if max(len(recording) for recording in recordings) < LEAST_WINDOWS * window:
        raise DataError(
            f"no recording of {dataset.name!r} is longer than {LEAST_WINDOWS} windows of {window} samples",
            hint="events need continuous recordings, not windows that were cut already",
        )
    index = {name: position for position, name in enumerate(bundle.classes)}
    new = np.array([index.get(name, len(index)) for name in dataset.classes] + [UNLABELLED], dtype=np.int16)
    if any(len(np.unique(recording.labels)) > 1 for recording in recordings):
        return [_as_recorded(recording, new[recording.labels]) for recording in recordings], False
    streams = []
    for subject in dataset.subjects:
        own = [recording for recording in recordings if recording.subject == subject]
        if not own:
            continue
        order = np.random.default_rng([seed, dataset.subjects.index(subject)]).permutation(len(own))
        samples = np.concatenate([own[position].samples for position in order])
        labels = np.concatenate([new[own[position].labels] for position in order])
        streams.append(LabelledStream(f"subject {subject}, stitched", samples, labels, None))
    return streams, True


def _as_recorded(recording: Recording, labels: Int16Array) -> LabelledStream:
    times = recording.timestamps
    if times is not None and (np.diff(times) < 0).any():
        raise DataError(
            f"recording {recording.recording_id!r}: its timestamps run backwards",
            hint="cut it there; events need time that runs forward",
        )
    return LabelledStream(recording.recording_id, recording.samples, labels, times)


def _open_npz(path: Path, bundle: Bundle) -> Dataset:
    arrays = read_npz(path, ("samples", "labels"), ("timestamps",))
    samples, times = arrays["samples"], arrays.get("timestamps")
    if samples.dtype.kind not in "fiu" or (times is not None and times.dtype.kind not in "fiu"):
        raise DataError(f"{path}: samples and timestamps must be numbers")
    channels = tuple(Channel(channel.name, channel.unit) for channel in bundle.preprocess.channels)
    recording = Recording(
        recording_id=path.stem,
        samples=np.asarray(samples, np.float32),
        labels=narrow_labels(arrays["labels"], str(path)),
        subject="unknown",
        session="",
        timestamps=None if times is None else np.asarray(times, np.float64),
    )
    return Dataset(path.stem, channels, bundle.preprocess.sample_rate_hz, bundle.classes, (recording,))
