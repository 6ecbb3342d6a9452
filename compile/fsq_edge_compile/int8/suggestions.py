"""What would help an int8 preview: alternatives that were tried, not guessed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fsq_edge_compile.int8.agreement import PreviewReport, compare_codes
from fsq_edge_compile.int8.layer_errors import LayerError, worst_layers
from fsq_edge_compile.int8.quantize import quantize_preview
from fsq_edge_compile.int8.ranges import RANGE_METHODS, RangeMethod
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.tail import FsqTail

BROKEN_FLIP_RATE: Final = 0.2  # sound sets flip 2 to 4 %, noise 90 %: between them lies no rounding error
USUAL_CLIP_SIGMA: Final = 5.0
LEAST_HALF: Final = 64


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another way to quantise, measured on the windows of the preview.

    Attributes:
        name: ``16-bit output``, ``method mse``, ``half the windows``.
        kind: ``output``, ``method`` or ``data``.
        code_flip_rate: share of windows whose code changes.
        label_change_rate: share of windows whose label changes.
    """

    name: str
    kind: str
    code_flip_rate: float
    label_change_rate: float


def measure_alternatives(
    encoder: bytes | Path,
    calibration: Float32Array,
    frames: Float32Array,
    tail: FsqTail,
    t_reference: Float32Array,
    *,
    method: RangeMethod,
    sixteen_bit_output: bool,
) -> tuple[Alternative, ...]:
    """Try what the user did not choose.

    Args:
        encoder: the float device graph.
        calibration: (N, C', H, W) float32 frames of the calibration set.
        frames: (M, C', H, W) float32 held-out frames.
        tail: the host tail.
        t_reference: (M, D) float32 of the float graph on ``frames``.
        method: the method in use.
        sixteen_bit_output: whether the output has 16 bits already.
    """

    def tried(name: str, kind: str, data: Float32Array, how: RangeMethod, wide: bool) -> Alternative:
        model = quantize_preview(encoder, data, method=how, sixteen_bit_output=wide)
        report = compare_codes(tail, t_reference, OnnxBackend(model, name="onnx-int8").infer_batch(frames))
        return Alternative(name, kind, report.code_flip_rate, report.label_change_rate)

    found = []
    if not sixteen_bit_output:
        found.append(tried("16-bit output", "output", calibration, method, True))
    for other in RANGE_METHODS:
        if other != method:
            found.append(tried(f"method {other}", "method", calibration, other, sixteen_bit_output))
    half = len(calibration) // 2
    if half >= LEAST_HALF:
        found.append(tried("half the windows", "data", calibration[:half], method, sixteen_bit_output))
    return tuple(found)


def suggestions(
    report: PreviewReport,
    errors: Sequence[LayerError],
    alternatives: Sequence[Alternative],
    *,
    clip_sigma: float | None = None,
) -> tuple[str, ...]:
    """Return what is worth doing, one line each; empty where nothing measured would help.

    Args:
        report: of the preview in use.
        errors: of its layers.
        alternatives: what else was tried.
        clip_sigma: the clip of preprocessing, where it is known.
    """
    flips = report.code_flip_rate
    if flips > BROKEN_FLIP_RATE:
        return (
            f"{flips:.0%} of the codes flip: the ranges do not fit these windows. Audit the calibration set "
            "(fsq-edge calibrate --audit FILE) before anything else.",
        )
    # A difference below one standard error of the flip rate is not a difference.
    margin = math.sqrt(max(flips, 1 / report.n_windows) / report.n_windows)
    lines = []
    better = [item for item in alternatives if item.kind != "data" and item.code_flip_rate < flips - margin]
    for item in sorted(better, key=lambda item: item.code_flip_rate):
        option = "--sixteen-bit-output" if item.kind == "output" else f"--{item.name}"
        lines.append(f"{item.name}: {item.code_flip_rate:.1%} code flips instead of {flips:.1%} ({option})")
    for item in alternatives:
        if item.kind == "data" and item.code_flip_rate > flips + margin:
            lines.append(
                f"half the calibration windows flip {item.code_flip_rate:.1%} instead of {flips:.1%}: more may help"
            )
    worst = worst_layers(tuple(errors), 1)
    if clip_sigma is not None and clip_sigma > USUAL_CLIP_SIGMA and worst and worst[0].tensor == "input":
        lines.append(
            f"the input loses most and is clipped at {clip_sigma:g} sigma only: train with clip_sigma "
            f"{USUAL_CLIP_SIGMA:g}, which halved the flips of this model family"
        )
    return tuple(lines)
