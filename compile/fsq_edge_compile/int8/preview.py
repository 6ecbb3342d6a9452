"""The whole int8 preview of a BUILD folder: model, agreement, layers, alternatives, host parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fsq_edge_calibration import CalibrationSet
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.int8.agreement import PreviewReport, compare_codes
from fsq_edge_compile.int8.layer_errors import LayerError, layer_errors, short_name, worst_layers
from fsq_edge_compile.int8.quantize import quantize_preview
from fsq_edge_compile.int8.ranges import RangeMethod
from fsq_edge_compile.int8.refit import LEAST_WINDOWS, Refit, refit_int8
from fsq_edge_compile.int8.suggestions import Alternative, measure_alternatives, suggestions
from fsq_edge_runtime.artefact import json_bytes
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.files import write_file
from fsq_edge_runtime.preprocess import PreprocessConfig
from fsq_edge_runtime.tail import FsqTail


@dataclass(frozen=True, slots=True)
class Int8Preview:
    """What ``fsq-edge quantize`` makes and finds.

    Attributes:
        model: ``encoder_int8.onnx``.
        method: how activation ranges were chosen.
        sixteen_bit_output: whether ``t`` has 16 bits.
        calibration_windows: windows that the ranges were read from.
        report: agreement with the float graph on held-out windows.
        errors: of every layer.
        alternatives: what else was tried; empty where that was not asked for.
        suggestions: what is worth doing.
        refit: host parameters for int8; None where there is no window to fit them on.
    """

    model: bytes
    method: RangeMethod
    sixteen_bit_output: bool
    calibration_windows: int
    report: PreviewReport
    errors: tuple[LayerError, ...]
    alternatives: tuple[Alternative, ...]
    suggestions: tuple[str, ...]
    refit: Refit | None

    @property
    def worst_layers(self) -> tuple[str, ...]:
        """Short names of the layers whose own rounding costs most, each once."""
        return tuple(dict.fromkeys(short_name(error.layer) for error in worst_layers(self.errors)))

    def broken_gates(self, min_code_agreement: float, max_drop_points: float) -> tuple[str, ...]:
        """Return which of two gates the preview breaks, one line each.

        Args:
            min_code_agreement: share of windows whose code must stay, 0 to 1.
            max_drop_points: macro-F1 that may be lost, times 100.
        """
        agreement, scores = 1.0 - self.report.code_flip_rate, self.report.scores
        lines = []
        if agreement < min_code_agreement:
            lines.append(f"code agreement {agreement:.2%} is below {min_code_agreement:.2%}")
        if scores is not None and scores.drop_points.value > max_drop_points:
            lines.append(f"macro-F1 drops {scores.drop_points.value:.2f} points, allowed are {max_drop_points:g}")
        return tuple(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "schema_version": 1,
            "kind": "int8 preview in onnxruntime, not a measurement on a device",
            "method": self.method,
            "sixteen_bit_output": self.sixteen_bit_output,
            "calibration_windows": self.calibration_windows,
            "report": asdict(self.report),
            "layers": [asdict(error) for error in self.errors],
            "worst_layers": list(self.worst_layers),
            "alternatives": [asdict(item) for item in self.alternatives],
            "suggestions": list(self.suggestions),
            "refit": None if self.refit is None else self.refit.to_dict(),
        }


def preview_build(
    build: BuildFolder,
    calibration: CalibrationSet,
    *,
    method: RangeMethod = "minmax",
    sixteen_bit_output: bool = False,
    try_alternatives: bool = True,
) -> Int8Preview:
    """Quantise the device graph of a BUILD folder and say what that costs on its held-out windows.

    Args:
        build: with encoder, head, preprocessing, decision settings and reference windows.
        calibration: made with the preprocessing of the build; 256 windows do (see :meth:`CalibrationSet.first`).
        method: how activation ranges are chosen.
        sixteen_bit_output: round ``t`` to 16 bits.
        try_alternatives: measure the other methods, the 16-bit output and half the windows too.

    Raises:
        DataError: the calibration set is of other preprocessing, or does not fit the graph.
        MissingInputError: a file of the folder is missing.
    """
    config = build.preprocess
    calibration.require_preprocessing(config)
    encoder, tail = build.read("encoder.onnx"), FsqTail.from_bytes(build.read("head.npz"))
    held_out = build.reference().frames(config)
    data = np.ascontiguousarray(calibration.frames_nchw)
    model = quantize_preview(encoder, data, method=method, sixteen_bit_output=sixteen_bit_output)
    t_float = OnnxBackend(encoder).infer_batch(held_out.frames)
    t_int8 = OnnxBackend(model, name="onnx-int8").infer_batch(held_out.frames)
    report = compare_codes(tail, t_float, t_int8, held_out.labels, groups=held_out.subjects)
    errors = layer_errors(encoder, model, held_out.frames, tail)
    options: dict[str, Any] = {"method": method, "sixteen_bit_output": sixteen_bit_output}
    tried: Sequence[Alternative] = ()
    if try_alternatives:
        tried = measure_alternatives(encoder, data, held_out.frames, tail, t_float, **options)
    return Int8Preview(
        model=model,
        calibration_windows=len(data),
        report=report,
        errors=errors,
        alternatives=tuple(tried),
        suggestions=suggestions(report, errors, tried, clip_sigma=config.clip_sigma),
        refit=_refit(build, config, encoder, model, tail),
        **options,
    )


def write_preview(build: BuildFolder, preview: Int8Preview) -> None:
    """Write the preview into its BUILD folder; host parameters of an earlier one go when there are none now."""
    files = {"encoder_int8.onnx": preview.model, "int8_preview.json": json_bytes(preview.to_dict())}
    if preview.refit is not None:
        files["head_int8.npz"] = preview.refit.tail.to_bytes()
        files["decision_int8.json"] = preview.refit.decision.to_json().encode()
    for name in ("head_int8.npz", "decision_int8.json"):
        if name not in files:
            (build.path / name).unlink(missing_ok=True)
    for name, content in files.items():
        write_file(build.path / name, content)


def _refit(build: BuildFolder, config: PreprocessConfig, encoder: bytes, model: bytes, tail: FsqTail) -> Refit | None:
    """Fit on validation windows: those of the reference are for the report, and stay unseen."""
    stored = build.validation()
    if stored is None or len(stored.labels) < LEAST_WINDOWS:
        return None
    seen = stored.frames(config)
    return refit_int8(
        tail,
        DecisionSettings.from_json(build.read("decision.json"), origin="decision.json"),
        OnnxBackend(encoder).infer_batch(seen.frames),
        OnnxBackend(model, name="onnx-int8").infer_batch(seen.frames),
        seen.labels,
        seen.subjects,
        hop_ms=1000.0 * config.hop_samples / config.sample_rate_hz,
    )
