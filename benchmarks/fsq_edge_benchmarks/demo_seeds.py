"""The demo's promise on watch, subjects 5 and 6 held out: accuracy over seeds, int8 preview drop, code flips.

python -m fsq_edge_benchmarks.demo_seeds
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

TEST_SUBJECTS = ("5", "6")


def run(quick: bool = False) -> dict[str, Any]:
    """Train, export and quantise for each seed.

    Args:
        quick: one seed and two epochs, to show that it runs.

    Returns:
        ``accuracy_mean``, ``accuracy_min`` and one entry a seed: accuracy, macro-F1, int8 accuracy drop in points,
        code flip rate, and code and label mismatches of ONNX against torch.
    """
    from fsq_edge.deploy import device_outputs, export_run, usable_windows
    from fsq_edge.training import load_config, load_run, train
    from fsq_edge.training.sides import open_sides
    from fsq_edge_calibration import build_calibration_set
    from fsq_edge_compile.agreement import compare_codes
    from fsq_edge_compile.quantize import quantize_preview
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
            train(config, Path(folder) / "run", sides=sides)
            trained = load_run(Path(folder) / "run")
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


if __name__ == "__main__":
    print(json.dumps(run(quick="--quick" in sys.argv), indent=2))
