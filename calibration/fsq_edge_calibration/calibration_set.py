"""The windows that an int8 compiler reads ranges from, with where they came from and what made them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Int64Array, TextArray
from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import read_bounded, write_file
from fsq_edge_runtime.npz import npy_bytes, npz_bytes, read_arrays
from fsq_edge_runtime.preprocess import PreprocessConfig

MAX_FILE_BYTES: Final = 1 << 30
# What is known of each window, beside its frame: name -> element type of the stored array.
COLUMNS: Final[Mapping[str, type[np.generic]]] = {
    "labels": np.int64,
    "subjects": np.str_,
    "recording_ids": np.str_,
    "starts": np.int64,
    "codes": np.int64,
}
_ARRAYS: Final = ("frames_nhwc", *COLUMNS)


class CalibrationRecord(Artefact):
    """The member ``meta`` of the file: the fields of :class:`CalibrationSet` that are no arrays."""

    KIND: ClassVar[str] = "calibration set"

    preprocess_sha256: str
    channel_names: tuple[str, ...]
    method: str
    seed: int
    n_candidates: int
    input_name: str
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Frames for calibration, one row a window.

    Attributes:
        frames_nhwc: (N, H, W, C') float32, what the device graph sees, channels last as Hailo's compiler wants them.
        labels: (N,) int64 class of each window.
        subjects: (N,) text.
        recording_ids: (N,) text, empty where unknown.
        starts: (N,) int64 first sample in the recording, -1 where unknown.
        codes: (N,) int64 FSQ code of each window, -1 where unknown.
        preprocess_sha256: digest of the PreprocessConfig that made the frames.
        channel_names: C' names, z-copies marked ``(z)``.
        method: how the windows were chosen.
        seed: of that choice.
        n_candidates: windows that it chose from.
        input_name: the device graph's input.
        classes: names of the classes in label order; empty where unknown.
    """

    frames_nhwc: Float32Array
    labels: Int64Array
    subjects: TextArray
    recording_ids: TextArray
    starts: Int64Array
    codes: Int64Array
    preprocess_sha256: str
    channel_names: tuple[str, ...]
    method: str
    seed: int
    n_candidates: int
    input_name: str = "input"
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that every array has one row for each window."""
        count = len(self.frames_nhwc)
        if self.frames_nhwc.ndim != 4 or self.frames_nhwc.dtype != np.float32:
            raise DataError(
                f"calibration frames are {self.frames_nhwc.dtype} {self.frames_nhwc.shape}, "
                "expected float32 (N, H, W, C)"
            )
        for name in COLUMNS:
            if getattr(self, name).shape != (count,):
                raise DataError(f"calibration set: {name} has shape {getattr(self, name).shape}, expected ({count},)")
        if len(self.channel_names) != self.frames_nhwc.shape[-1]:
            raise DataError(
                f"calibration set: {len(self.channel_names)} channel names for {self.frames_nhwc.shape[-1]} channels"
            )

    def __len__(self) -> int:
        return len(self.frames_nhwc)

    @property
    def frames_sha256(self) -> str:
        """SHA-256 (hex) of the frames' bytes, as an audit records it."""
        return hashlib.sha256(np.ascontiguousarray(self.frames_nhwc).tobytes()).hexdigest()

    @property
    def frames_nchw(self) -> Float32Array:
        """The frames as (N, C', H, W), a view: what onnxruntime takes."""
        return self.frames_nhwc.transpose(0, 3, 1, 2)

    def first(self, count: int) -> CalibrationSet:
        """Return the first ``count`` windows: a fair selection too, whatever the method."""
        return replace(self, **{name: getattr(self, name)[:count] for name in _ARRAYS})

    def require_preprocessing(self, preprocess: PreprocessConfig) -> None:
        """Refuse a set that other preprocessing made.

        Raises:
            DataError: the digests differ.
        """
        if self.preprocess_sha256 != preprocess.digest():
            raise DataError(
                f"the calibration set was made with other preprocessing ({self.preprocess_sha256[:12]}..., "
                f"the model has {preprocess.digest()[:12]}...)",
                hint="fsq-edge calibrate RUN --out BUILD makes the right one",
            )

    def save(self, path: Path) -> None:
        """Write ``calibration.npz`` (pickle-free; key ``frames_nhwc`` for the compiler), whole or not at all."""
        fields = [name for name in CalibrationRecord.model_fields if name != "schema_version"]
        meta = CalibrationRecord(**{name: getattr(self, name) for name in fields}).to_dict()
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        text = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), dtype=np.uint8)
        write_file(path, npz_bytes(meta=text, **arrays))

    def save_npy(self, path: Path) -> None:
        """Write the frames alone as ``.npy`` (N, H, W, C'): the file that ``hailo optimize --calib-set-path`` takes."""
        write_file(path, npy_bytes(np.ascontiguousarray(self.frames_nhwc)))


def input_frames(sets: Mapping[str, CalibrationSet]) -> dict[str, Float32Array]:
    """Return the dict form that a network of several inputs is calibrated with.

    Args:
        sets: input layer of the compiler's network (such as ``net/input_layer1``, not the ONNX name) -> its set. The
            sets must hold equal windows in equal order.

    Returns:
        layer -> frames (N, H, W, C') float32.

    Raises:
        DataError: no set, or sets of different windows.

    Source: Hailo Dataflow Compiler, case F59: a dict keyed by ONNX names is refused.
    """
    if not sets:
        raise DataError("no calibration set given")
    first = next(iter(sets.values()))
    for layer, other in sets.items():
        columns = ("recording_ids", "starts", "subjects", "labels")
        if any(not np.array_equal(getattr(first, name), getattr(other, name)) for name in columns):
            raise DataError(f"the set of {layer} holds other windows than that of {next(iter(sets))}")
    return {layer: each.frames_nhwc for layer, each in sets.items()}


def load_calibration_set(path: Path) -> CalibrationSet:
    """Read a set that :meth:`CalibrationSet.save` wrote.

    Raises:
        MissingInputError: the file cannot be opened.
        DataError: too large, damaged, pickled, an unknown schema version, or arrays that do not agree.
    """
    data = read_bounded(path, MAX_FILE_BYTES, what="calibration set")
    try:
        stored, frames, *found = read_arrays(data, ("meta", *_ARRAYS))
        columns: dict[str, Any] = {
            name: column.astype(kind) for (name, kind), column in zip(COLUMNS.items(), found, strict=True)
        }
    except ValueError as error:
        raise DataError(f"{path.name} is not a calibration set: {error}", hint="fsq-edge calibrate RUN") from error
    record = CalibrationRecord.from_json(stored.tobytes(), origin=path.name)
    return CalibrationSet(frames, **columns, **record.model_dump(exclude={"schema_version"}))
