"""The int8 preview of a BUILD folder whose network was trained elsewhere: which labels and scores stay."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx

from fsq_edge_calibration import CalibrationSet
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.foreign.heads import tail_after_rounding
from fsq_edge_compile.foreign.scores import ScoreAgreement, compare_scores
from fsq_edge_compile.int8.layer_errors import LayerError, layer_errors
from fsq_edge_compile.int8.quantize import quantize_scores
from fsq_edge_compile.int8.ranges import RangeMethod
from fsq_edge_runtime.artefact import json_bytes
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.files import write_file
from fsq_edge_runtime.score_tails import Tail


@dataclass(frozen=True, slots=True)
class ScorePreview:
    """What :func:`preview_scores` made and found.

    Attributes:
        model: the int8 device graph.
        method: how the ranges of activations were chosen.
        calibration_windows: that they were read from.
        agreement: the float graph against it, on the windows of the BUILD folder.
        errors: tensor by tensor.
        tail: the head for the int8 graph; None where it is that of the float graph.
    """

    model: bytes
    method: RangeMethod
    calibration_windows: int
    agreement: ScoreAgreement
    errors: tuple[LayerError, ...]
    tail: Tail | None = None

    def broken_gates(self, min_label_agreement: float) -> tuple[str, ...]:
        """Return why the preview is refused; empty where it is not."""
        kept = self.agreement.label_agreement.value
        return (
            () if kept >= min_label_agreement else (f"label agreement {kept:.2%} is below {min_label_agreement:.2%}",)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "schema_version": 1,
            "kind": "int8 preview in onnxruntime, not a measurement on a device",
            "method": self.method,
            "calibration_windows": self.calibration_windows,
            "agreement": self.agreement.to_dict(),
            "layers": [asdict(error) for error in self.errors],
        }


def preview_scores(build: BuildFolder, calibration: CalibrationSet, *, method: RangeMethod = "minmax") -> ScorePreview:
    """Quantise the device graph of a BUILD folder with a head without codes, and compare it on its windows.

    Args:
        build: of ``export --onnx``.
        calibration: made with the preprocessing of the build.
        method: how activation ranges are chosen.

    Raises:
        DataError: the calibration set is of other preprocessing, or does not fit the graph.
        MissingInputError: a file of the folder is missing.
    """
    config = build.preprocess
    calibration.require_preprocessing(config)
    encoder, tail = build.read("encoder.onnx"), build.tail
    frames = build.reference().frames(config).frames
    model = quantize_scores(encoder, np.ascontiguousarray(calibration.frames_nchw), method=method)
    before, after = (
        build.scores_of(OnnxBackend(graph, name=name).infer_batch(frames))
        for graph, name in ((encoder, "onnx"), (model, "onnx-int8"))
    )
    inferred = onnx.shape_inference.infer_shapes(onnx.load_from_string(encoder))
    errors = layer_errors(inferred, model, frames)
    tail_int8 = tail_after_rounding(tail, before, after)
    agreement = compare_scores(tail, before, after, tail_int8)
    return ScorePreview(model, method, len(calibration), agreement, errors, None if tail_int8 is tail else tail_int8)


def write_score_preview(build: BuildFolder, preview: ScorePreview) -> None:
    """Write ``encoder_int8.onnx``, ``int8_preview.json`` and a head of its own into the BUILD folder."""
    for name in ("head_int8.npz", "head_int8.json", "decision_int8.json"):
        (build.path / name).unlink(missing_ok=True)
    if preview.tail is not None:
        write_file(build.path / "head_int8.json", preview.tail.to_bytes())
    write_file(build.path / "encoder_int8.onnx", preview.model)
    write_file(build.path / "int8_preview.json", json_bytes(preview.to_dict()))
