"""``fsq-edge calibrate --audit FILE``: a set of this project, or any array that shall calibrate."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from fsq_edge_calibration import CalibrationAudit, CalibrationSet, audit_frames, audit_set, load_calibration_set
from fsq_edge_calibration.calibration_set import MAX_FILE_BYTES
from fsq_edge_calibration.distribution import named_labels
from fsq_edge_calibration.recognition import recognize_windows
from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import read_bounded, read_errors
from fsq_edge_runtime.npz import array_names, read_arrays
from fsq_edge_runtime.preprocess import Preprocessor

if TYPE_CHECKING:
    from fsq_edge.deploy.training_windows import TrainingWindows
    from fsq_edge_calibration import Distribution

FRAMES: Final = "frames_nhwc"
HINT: Final = "npy, or npz (numpy.savez) with one array of frames, or one called frames_nhwc; nothing pickled"


@dataclass(frozen=True, slots=True)
class ForeignSet:
    """An array that claims to be frames (N, H, W, C'), and what its file or the training windows say of it."""

    frames: AnyArray
    labels: AnyArray
    subjects: AnyArray


def audit_file(
    path: Path, usual: Distribution, training: TrainingWindows, allow_small: bool
) -> tuple[CalibrationSet | None, CalibrationAudit]:
    """Audit a set of ours with all it knows, or a foreign array for what it is.

    Args:
        path: npz or npy.
        usual: the training split described.
        training: its windows: frames that are among them have their class and subject.
        allow_small: fewer than 64 windows are a warning instead of an error.

    Raises:
        MissingInputError: the file cannot be read.
        DataError: it holds no array of numbers.
    """
    chosen = None
    with suppress(DataError), read_errors(path), path.open("rb"):
        chosen = load_calibration_set(path) if path.suffix == ".npz" else None
    if chosen is not None:
        return chosen, audit_set(chosen, usual, training.preprocess, allow_small=allow_small)
    foreign = _completed(_read(path), training)
    audit = audit_frames(
        foreign.frames,
        usual,
        training.preprocess,
        labels=foreign.labels,
        subjects=foreign.subjects,
        allow_small=allow_small,
    )
    return None, audit


def read_frames(path: Path) -> AnyArray:
    """Return the frames or windows of a file, whoever made it.

    Raises:
        MissingInputError: the file cannot be read.
        DataError: it holds no array of numbers.
    """
    with read_errors(path), path.open("rb"):
        return _read(path).frames


def _read(path: Path) -> ForeignSet:
    nothing = np.empty(0)
    try:
        if path.suffix != ".npz":
            # Mapped, so that a header cannot promise more than the file holds.
            return ForeignSet(np.load(path, mmap_mode="r", allow_pickle=False), nothing, nothing)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path.name} holds no array of numbers", hint=HINT) from error
    try:
        data = read_bounded(path, MAX_FILE_BYTES)
        arrays = dict(zip(names := array_names(data), read_arrays(data, names), strict=True))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path.name} cannot be read: {error}", hint=HINT) from error
    wanted = [name for name in names if name in (FRAMES, "windows")] or [
        name for name in names if arrays[name].ndim > 1
    ]
    if len(wanted) != 1:
        raise DataError(f"{path.name} holds {len(names)} arrays, and none is called {FRAMES}", hint=HINT)
    frames = arrays[wanted[0]]

    def column(name: str, kinds: str) -> AnyArray:
        found = arrays.get(name, nothing)
        return found if found.shape == (len(frames),) and found.dtype.kind in kinds else nothing

    return ForeignSet(frames, column("labels", "iuU"), column("subjects", "iuU"))


def _completed(foreign: ForeignSet, training: TrainingWindows) -> ForeignSet:
    """Name the classes, and look the frames up among the training windows where the file does not say whose they are.

    What is known of some frames only is left out of the audit.
    """
    labels, subjects = foreign.labels, foreign.subjects
    if labels.dtype.kind in "iu" and training.classes and len(labels):
        known = (labels >= 0) & (labels < len(training.classes))
        labels = named_labels(labels, training.classes) if known.all() else np.empty(0)
    channels, height, width = training.preprocess.frame_shape
    sound = foreign.frames.shape[1:] == (height, width, channels) and foreign.frames.dtype.kind == "f"
    if sound and not (len(labels) and len(subjects)):
        rows = recognize_windows(foreign.frames, training.windows, Preprocessor(training.preprocess))
        if (rows >= 0).all():
            labels = labels if len(labels) else named_labels(training.labels[rows], training.classes)
            subjects = subjects if len(subjects) else training.subjects[rows]
    return ForeignSet(foreign.frames, labels, subjects)
