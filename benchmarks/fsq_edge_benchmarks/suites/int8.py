"""What the int8 preview costs on watch, every subject held out once: macro-F1, code flips, changed labels.

python -m fsq_edge_benchmarks.suites.int8 [--quick] [--seeds 0,1,2] [--runs DIR] [--json FILE]

A preview in onnxruntime on a CPU; nothing here ran on a Hailo device.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge_benchmarks.suites.accuracy_parts.held_out import DEMO_FOLD, WATCH_FOLDS
from fsq_edge_benchmarks.suites.accuracy_parts.int8_trial import CALIBRATION_WINDOWS, Int8Trial
from fsq_edge_benchmarks.suites.command import RUNS, numbers, run_command

SEEDS: Final = (0, 1, 2)


def run(quick: bool = False, runs: Path | None = None, seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """Train, export and quantise every fold and seed, with the 8-bit and with the 16-bit output.

    Args:
        quick: one fold, one seed, two epochs, to show that it runs.
        runs: folder that keeps the trained runs for the next benchmark; None trains again.
        seeds: of training and of the choice of calibration windows.

    Returns:
        ``runs`` (one entry a fold and seed), ``mean`` and ``worst`` of every figure over them.
        ``noise_code_flip_rate`` is the control: the network calibrated with uniform noise.
    """
    folds, seeds = ((DEMO_FOLD,), seeds[:1]) if quick else (WATCH_FOLDS, seeds)
    rows = [_measure(fold, seed, quick, runs) for seed in seeds for fold in folds]
    names = [name for name, value in rows[0].items() if isinstance(value, float)]
    return {
        "schema_version": 1,
        "kind": "int8 preview in onnxruntime, not a measurement on a device",
        "calibration_windows": CALIBRATION_WINDOWS,
        "runs": rows,
        "mean": {name: float(np.mean([row[name] for row in rows])) for name in names},
        "worst": {name: float(np.max([row[name] for row in rows])) for name in names},
    }


def _measure(fold: tuple[str, ...], seed: int, quick: bool, runs: Path | None) -> dict[str, Any]:
    trial = Int8Trial.of(fold, seed, 2 if quick else None, runs)
    (eight, scores), (sixteen, scores_16bit) = trial.compared(), trial.compared(sixteen_bit=True)
    noise = np.random.default_rng(seed).uniform(0, 1, trial.calibration.frames_nchw.shape).astype(np.float32)
    return {
        "test_subjects": list(fold),
        "seed": seed,
        "n_windows": eight.n_windows,
        "macro_f1": scores.macro_f1_reference.value,
        "macro_f1_int8": scores.macro_f1_other.value,
        "drop_points": scores.drop_points.value,
        "code_flip_rate": eight.code_flip_rate,
        "label_change_rate": eight.label_change_rate,
        "near_boundary_share": eight.near_boundary_share,
        "drop_points_16bit": scores_16bit.drop_points.value,
        "code_flip_rate_16bit": sixteen.code_flip_rate,
        "label_change_rate_16bit": sixteen.label_change_rate,
        "noise_code_flip_rate": trial.compared(noise)[0].code_flip_rate,
    }


if __name__ == "__main__":
    SEEDS_HELP = "seeds of training and of the calibration windows (default: 0,1,2)"
    OPTIONS = {"seeds": {"type": numbers, "default": SEEDS, "help": SEEDS_HELP}, "runs": RUNS}
    sys.exit(run_command("int8", run, OPTIONS))
