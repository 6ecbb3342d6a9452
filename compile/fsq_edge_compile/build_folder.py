"""The BUILD folder: what ``export``, ``calibrate`` and ``quantize`` write and ``compile`` and ``bundle build`` read."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from pydantic import Field

from fsq_edge_runtime.arrays import Float32Array, Int64Array, TextArray
from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.backends.host import HostGraph
from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.files import read_bounded
from fsq_edge_runtime.npz import npz_bytes
from fsq_edge_runtime.preprocess import PreprocessConfig, Preprocessor
from fsq_edge_runtime.score_tails import Tail, read_tail

FEATURES_FILE: Final = "features.npz"
# file name -> the verb that writes it
FILES: Final = {
    "model.onnx": "export",
    "encoder.onnx": "export",
    "head.npz": "export",
    "head.json": "export --onnx",
    "host.onnx": "export --onnx",
    "preprocess.json": "export",
    "preprocess_config.json": "export",
    "labels.json": "export",
    "decision.json": "export",
    "fingerprint.json": "export",
    "reference.npz": "export",
    "validation.npz": "export",
    "export.json": "export",
    "stream.json": "export",
    FEATURES_FILE: "export",
    "calibration.npz": "calibrate",
    "calibration.json": "calibrate",
    "encoder_int8.onnx": "quantize",
    "int8_preview.json": "quantize",
    "head_int8.npz": "quantize",
    "head_int8.json": "quantize",
    "decision_int8.json": "quantize",
}
MAX_FILE_BYTES: Final = 256 * 1024 * 1024


class Labels(Artefact):
    """``labels.json``: class names in the order of the logits."""

    KIND: ClassVar[str] = "labels.json"

    classes: tuple[str, ...] = Field(min_length=2)


class ExportRecord(Artefact):
    """``export.json``: where the graphs came from.

    Attributes:
        name: of the model.
        provenance: data set, split, seed, revision and metrics of the run.
        versions: packages that made the export.
        onnx_check: :func:`fsq_edge.deploy.export.compare_with_torch` on held-out windows.
    """

    KIND: ClassVar[str] = "export.json"

    name: str
    provenance: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    onnx_check: dict[str, float] = Field(default_factory=dict)


class BuildFolder:
    """Reads the parts of one BUILD folder.

    Raises:
        MissingInputError: it does not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise MissingInputError(f"no build folder at {self.path}", hint="fsq-edge export RUN --out BUILD")

    def has(self, name: str) -> bool:
        """Return whether the folder has this file."""
        return (self.path / name).is_file()

    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            MissingInputError: it is not there; the hint names the verb that writes it.
            DataError: it is larger than 256 MiB.
        """
        hint = f"fsq-edge {FILES[name]} writes it" if name in FILES else ""
        return read_bounded(self.path / name, MAX_FILE_BYTES, hint=hint)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return Labels.from_json(self.read("labels.json"), origin="labels.json").classes

    @property
    def preprocess(self) -> PreprocessConfig:
        """The preprocessing that the graphs were trained with."""
        return PreprocessConfig.from_json(self.read("preprocess.json"), origin="preprocess.json")

    @property
    def head_path(self) -> str:
        """Name of the head's file: ``head.json`` where the network is not an FSQ one."""
        return "head.json" if self.has("head.json") else "head.npz"

    @property
    def tail(self) -> Tail:
        """The head."""
        return read_tail(self.read(self.head_path))

    @property
    def int8_head_path(self) -> str:
        """Name of the file of the int8 graph's own head, whether it is there or not."""
        return "head_int8.json" if self.has("head.json") else "head_int8.npz"

    @property
    def int8_tail(self) -> Tail:
        """The head of the int8 graph: its own where it has one."""
        return read_tail(self.read(self.int8_head_path)) if self.has(self.int8_head_path) else self.tail

    def scores_of(self, t: Float32Array) -> Float32Array:
        """Return what the head reads (N, K) of the device graph's t (N, D): t itself without a host graph."""
        return HostGraph(self.read("host.onnx")).scores_of_all(t) if self.has("host.onnx") else t

    @property
    def record(self) -> ExportRecord:
        """Where the graphs came from."""
        return ExportRecord.from_json(self.read("export.json"), origin="export.json")

    def reference(self) -> Reference:
        """Return the held-out windows with torch's answers."""
        return Reference.from_bytes(self.read("reference.npz"))

    def validation(self) -> Reference | None:
        """Return validation windows with torch's answers, to fit host parameters on; None where the run had none."""
        return Reference.from_bytes(self.read("validation.npz")) if self.has("validation.npz") else None


class Reference:
    """Held-out windows and what the torch model made of them: the first rung that all others are compared with.

    Args:
        windows: (N, C, T) float32 raw units.
        labels: (N,) int64 true classes, or what the file as it came says where they are unknown.
        subjects: (N,) str.
        t: (N, D) float32 of the torch model, or the scores of the ONNX file as it came.
    """

    def __init__(
        self,
        windows: Float32Array,
        labels: Int64Array,
        subjects: TextArray,
        t: Float32Array,
    ) -> None:
        sizes = {len(windows), len(labels), len(subjects), len(t)}
        if len(sizes) != 1 or 0 in sizes:
            raise DataError(f"reference.npz: the arrays differ in length or are empty: {sorted(sizes)}")
        self.windows, self.labels, self.subjects, self.t = windows, labels, subjects, t

    def frames(self, config: PreprocessConfig, limit: int | None = None) -> ReferenceFrames:
        """Return the windows preprocessed; those with long gaps are left out.

        Args:
            config: the model's preprocessing.
            limit: at most this many windows, spread evenly over the usable ones; None takes all.

        Raises:
            DataError: none is usable, or the shape is another one.
        """
        preprocessor = Preprocessor(config)
        filled, valid = preprocessor.fill_gaps(self.windows)
        rows = np.flatnonzero(valid)
        if not len(rows):
            raise DataError("reference.npz: no window is usable", hint="fsq-edge export writes it")
        if limit is not None and limit < len(rows):
            rows = rows[np.linspace(0, len(rows) - 1, limit).astype(np.int64)]
        windows = filled[rows]
        return ReferenceFrames(
            rows, windows, preprocessor.frames(windows), self.labels[rows], self.subjects[rows], self.t[rows]
        )

    def to_bytes(self) -> bytes:
        """Return ``reference.npz``; equal content gives equal bytes."""
        return npz_bytes(windows=self.windows, labels=self.labels, subjects=self.subjects, t=self.t)

    @classmethod
    def from_bytes(cls, data: bytes) -> Reference:
        """Read ``reference.npz``.

        Raises:
            DataError: damaged or incomplete.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                return cls(archive["windows"], archive["labels"], archive["subjects"], archive["t"])
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"reference.npz cannot be read: {error}", hint="fsq-edge export writes it") from error


@dataclass(frozen=True, slots=True)
class ReferenceFrames:
    """Usable windows of a :class:`Reference` as the device graph sees them.

    Attributes:
        rows: (N,) int64, which windows of the reference they are.
        windows: (N, C, T) float32 raw units, short gaps filled.
        frames: (N, C', H, W) float32.
        labels: (N,) int64 true classes.
        subjects: (N,) str.
        t: (N, D) float32 of the torch model.
    """

    rows: Int64Array
    windows: Float32Array
    frames: Float32Array
    labels: Int64Array
    subjects: TextArray
    t: Float32Array
