"""What the int8 preview costs on watch, every subject held out once: macro-F1, code flips, changed labels.

python -m fsq_edge_benchmarks.suites.int8 [--quick] [--seeds 0,1,2] [--runs DIR] [--json FILE]

A preview in onnxruntime on a CPU; nothing here ran on a Hailo device.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge_benchmarks.suites.accuracy_parts.trained_runs import trained_run

FOLDS: Final = (("1", "2"), ("3", "4"), ("5", "6"), ("7", "8"), ("9", "10"))
SEEDS: Final = (0, 1, 2)
CALIBRATION_WINDOWS: Final = 256
TARGETS: Final = {
    "drop_points": 0.5,
    "code_flip_rate": 0.035,
    "label_change_rate": 0.01,
    "code_flip_rate_16bit": 0.025,
    "label_change_rate_16bit": 0.01,
}


def run(quick: bool = False, runs: Path | None = None, seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """Train, export and quantise every fold and seed, with the 8-bit and with the 16-bit output.

    Args:
        quick: one fold, one seed, two epochs, to show that it runs.
        runs: folder that keeps the trained runs for the next benchmark; None trains again.
        seeds: of training and of the choice of calibration windows.

    Returns:
        ``runs`` (one entry a fold and seed), ``mean`` and ``worst`` of every figure over them, ``targets`` for the
        means, and ``passed``. ``noise_code_flip_rate`` is the control: the same network calibrated with uniform noise.
    """
    folds, seeds = (FOLDS[2:3], seeds[:1]) if quick else (FOLDS, seeds)
    rows = [_measure(fold, seed, quick, runs) for seed in seeds for fold in folds]
    names = [name for name, value in rows[0].items() if isinstance(value, float)]
    mean = {name: float(np.mean([row[name] for row in rows])) for name in names}
    worst = {name: float(np.max([row[name] for row in rows])) for name in names}
    return {
        "schema_version": 1,
        "kind": "int8 preview in onnxruntime, not a measurement on a device",
        "calibration_windows": CALIBRATION_WINDOWS,
        "runs": rows,
        "mean": mean,
        "worst": worst,
        "targets": dict(TARGETS),
        "passed": all(mean[name] <= limit for name, limit in TARGETS.items()),
    }


def _measure(fold: tuple[str, ...], seed: int, quick: bool, runs: Path | None) -> dict[str, Any]:
    from fsq_edge.deploy.build import device_outputs, usable_windows
    from fsq_edge.deploy.export import export_model
    from fsq_edge.training import load_config
    from fsq_edge.training.split import open_sides
    from fsq_edge_calibration import build_calibration_set
    from fsq_edge_compile.int8.agreement import PreviewReport, compare_codes
    from fsq_edge_compile.int8.quantize import quantize_preview
    from fsq_edge_runtime.backends import OnnxBackend

    config = load_config(
        None,
        {
            "data": {"source": "watch", "test_subjects": fold},
            "training": {"seed": seed, "max_epochs": 2 if quick else None},
        },
    )
    sides = open_sides(config)
    trained = trained_run(config, sides, runs)
    exported = export_model(trained.model)
    encoder, tail = exported.encoder.SerializeToString(), exported.tail
    held_out, training = usable_windows(trained, sides.test), usable_windows(trained, sides.train)
    calibration = build_calibration_set(
        training.windows,
        training.index.label,
        training.index.subject,
        trained.preprocess,
        size=CALIBRATION_WINDOWS,
        seed=seed,
    )
    reference = device_outputs(trained, held_out.frames)

    def compared(frames: Any, sixteen_bit: bool) -> PreviewReport:
        model = quantize_preview(encoder, frames, sixteen_bit_output=sixteen_bit)
        t = OnnxBackend(model, name="onnx-int8").infer_batch(held_out.frames)
        return compare_codes(tail, reference, t, held_out.index.label, groups=held_out.index.subject)

    eight, sixteen = compared(calibration, False), compared(calibration, True)
    noise = np.random.default_rng(seed).uniform(0, 1, calibration.frames_nchw.shape).astype(np.float32)
    if eight.scores is None or sixteen.scores is None:
        raise RuntimeError("labels were given, so there are scores")
    return {
        "test_subjects": list(fold),
        "seed": seed,
        "n_windows": eight.n_windows,
        "macro_f1": eight.scores.macro_f1_reference.value,
        "macro_f1_int8": eight.scores.macro_f1_other.value,
        "drop_points": eight.scores.drop_points.value,
        "code_flip_rate": eight.code_flip_rate,
        "label_change_rate": eight.label_change_rate,
        "near_boundary_share": eight.near_boundary_share,
        "drop_points_16bit": sixteen.scores.drop_points.value,
        "code_flip_rate_16bit": sixteen.code_flip_rate,
        "label_change_rate_16bit": sixteen.label_change_rate,
        "noise_code_flip_rate": compared(noise, False).code_flip_rate,
    }


def main() -> int:
    """Print the outcome as JSON, and write it where asked; 1 when a mean is above its target."""
    parser = argparse.ArgumentParser(prog="python -m fsq_edge_benchmarks.suites.int8", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--runs", type=Path, help="folder that keeps trained runs for the next benchmark")
    parser.add_argument("--json", type=Path, help="file for the result")
    arguments = parser.parse_args()
    outcome = run(arguments.quick, arguments.runs, [int(seed) for seed in arguments.seeds.split(",")])
    text = json.dumps(outcome, indent=2) + "\n"
    if arguments.json:
        arguments.json.write_text(text, encoding="utf-8")
    print(text, end="")
    return 0 if outcome["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
