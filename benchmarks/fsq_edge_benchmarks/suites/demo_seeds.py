"""The demo's promise on watch, subjects 5 and 6 held out: accuracy over seeds, int8 preview drop, code flips.

python -m fsq_edge_benchmarks.suites.demo_seeds [--quick] [--runs DIR] [--json FILE]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fsq_edge.deploy.build import export_run
from fsq_edge_benchmarks.suites.accuracy_parts.held_out import DEMO_FOLD
from fsq_edge_benchmarks.suites.accuracy_parts.int8_trial import Int8Trial
from fsq_edge_benchmarks.suites.command import RUNS, run_command


def run(quick: bool = False, runs: Path | None = None) -> dict[str, Any]:
    """Train, export and quantise for each seed.

    Args:
        quick: one seed and two epochs, to show that it runs.
        runs: folder that keeps trained runs for the next benchmark; None keeps nothing.

    Returns:
        ``accuracy_mean``, ``accuracy_min`` and one entry a seed: accuracy, macro-F1, int8 accuracy drop in points,
        code flip rate, and code and label mismatches of ONNX against torch.
    """
    rows = [_measure(seed, quick, runs) for seed in range(1 if quick else 3)]
    accuracy = [row["accuracy"] for row in rows]
    return {"accuracy_mean": float(np.mean(accuracy)), "accuracy_min": float(np.min(accuracy)), "seeds": rows}


def _measure(seed: int, quick: bool, runs: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        # The export reads the run's files again, so a run that nobody keeps must last until then.
        trial = Int8Trial.of(DEMO_FOLD, seed, 2 if quick else None, runs or Path(folder, "runs"))
        exported = export_run(trial.trained, Path(folder, "build"))
    report, scores = trial.compared()
    return {
        "seed": seed,
        "accuracy": scores.accuracy_reference,
        "macro_f1": scores.macro_f1_reference.value,
        "int8_drop_points": 100 * (scores.accuracy_reference - scores.accuracy_other),
        "code_flip_rate": report.code_flip_rate,
        "onnx_code_mismatch": exported.onnx_check["code_mismatch"],
        "onnx_label_mismatch": exported.onnx_check["label_mismatch"],
    }


if __name__ == "__main__":
    sys.exit(run_command("demo_seeds", run, {"runs": RUNS}))
