"""The demo's promise on watch, subjects 5 and 6 held out: accuracy over seeds, int8 preview drop, code flips.

python -m fsq_edge_benchmarks.suites.demo_seeds [--quick] [--runs DIR] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fsq_edge_benchmarks.suites.accuracy_parts.trained_runs import trained_run

TEST_SUBJECTS = ("5", "6")


def run(quick: bool = False, runs: Path | None = None) -> dict[str, Any]:
    """Train, export and quantise for each seed.

    Args:
        quick: one seed and two epochs, to show that it runs.
        runs: folder that keeps trained runs for the next benchmark; None keeps nothing.

    Returns:
        ``accuracy_mean``, ``accuracy_min`` and one entry a seed: accuracy, macro-F1, int8 accuracy drop in points,
        code flip rate, and code and label mismatches of ONNX against torch.
    """
    from fsq_edge.deploy.build import device_outputs, export_run, usable_windows
    from fsq_edge.training import load_config
    from fsq_edge.training.split import open_sides
    from fsq_edge_calibration import build_calibration_set
    from fsq_edge_compile.int8.agreement import compare_codes
    from fsq_edge_compile.int8.quantize import quantize_preview
    from fsq_edge_runtime.backends import OnnxBackend
    from fsq_edge_runtime.tail import FsqTail

    rows = []
    for seed in range(1 if quick else 3):
        config = load_config(
            None,
            {
                "data": {"source": "watch", "test_subjects": TEST_SUBJECTS},
                "training": {"seed": seed, "max_epochs": 2 if quick else None},
            },
        )
        sides = open_sides(config)
        with tempfile.TemporaryDirectory() as folder:
            trained = trained_run(config, sides, runs or Path(folder) / "runs")
            record = export_run(trained, Path(folder) / "build")
            encoder = (Path(folder) / "build" / "encoder.onnx").read_bytes()
        held_out, training = usable_windows(trained, sides.test), usable_windows(trained, sides.train)
        calibration = build_calibration_set(
            training.windows, training.index.label, training.index.subject, trained.preprocess, size=256, seed=seed
        )
        report = compare_codes(
            FsqTail(trained.model.fsq.levels, trained.model.head_table()),
            device_outputs(trained, held_out.frames),
            OnnxBackend(quantize_preview(encoder, calibration), name="onnx-int8").infer_batch(held_out.frames),
            held_out.index.label,
            groups=held_out.index.subject,
        )
        if report.scores is None:
            raise RuntimeError("labels were given, so there are scores")
        rows.append(
            {
                "seed": seed,
                "accuracy": report.scores.accuracy_reference,
                "macro_f1": report.scores.macro_f1_reference.value,
                "int8_drop_points": 100 * (report.scores.accuracy_reference - report.scores.accuracy_other),
                "code_flip_rate": report.code_flip_rate,
                "onnx_code_mismatch": record.onnx_check["code_mismatch"],
                "onnx_label_mismatch": record.onnx_check["label_mismatch"],
            }
        )
    accuracy = [row["accuracy"] for row in rows]
    return {"accuracy_mean": float(np.mean(accuracy)), "accuracy_min": float(np.min(accuracy)), "seeds": rows}


def main() -> int:
    """Print the outcome as JSON, and write it where asked."""
    parser = argparse.ArgumentParser(prog="python -m fsq_edge_benchmarks.suites.demo_seeds", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runs", type=Path, help="folder that keeps trained runs for the next benchmark")
    parser.add_argument("--json", type=Path, help="file for the result")
    arguments = parser.parse_args()
    text = json.dumps(run(arguments.quick, arguments.runs), indent=2) + "\n"
    if arguments.json:
        arguments.json.write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
