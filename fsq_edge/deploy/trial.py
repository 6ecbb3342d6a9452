"""One trial: a training on inner subjects, and the figures that it is judged by."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from fsq_edge.deploy.build import export_run
from fsq_edge.deploy.training_windows import windows_of_run, write_set
from fsq_edge.training import TrainConfig, load_run, train
from fsq_edge.training.record import EpochRecord
from fsq_edge_calibration import audit_set
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.int8.preview import preview_build
from fsq_edge_runtime.backends import OnnxBackend


class Objective(NamedTuple):
    """What a trial is judged by.

    Attributes:
        direction: in which it is better.
        meaning: in words.
    """

    direction: Literal["maximize", "minimize"]
    meaning: str


OBJECTIVES = {
    "macro-f1": Objective("maximize", "macro-F1 on inner validation subjects"),
    "int8-flips": Objective("minimize", "share of codes that an int8 preview changes (simulated)"),
    "parameters": Objective("minimize", "trained numbers of the network"),
    "latency": Objective("minimize", "microseconds of the bare network on the machine that ran the trial"),
}
CALIBRATION_WINDOWS = 256
TIMED = 200


def run_trial(
    config: TrainConfig, objectives: Sequence[str], progress: Callable[[EpochRecord, int], None]
) -> list[float]:
    """Train once and measure.

    Args:
        config: whose data are inner subjects only, with validation subjects named.
        objectives: names of ``OBJECTIVES``.
        progress: called after each epoch; may raise to end the trial early.

    Returns:
        One figure an objective.

    Raises:
        FsqEdgeError: these settings cannot be trained.
    """
    with tempfile.TemporaryDirectory(prefix="fsq-edge-sweep-") as folder:
        run_folder, build = Path(folder) / "run", Path(folder) / "build"
        result = train(config, run_folder, progress=progress)
        figures = {"macro-f1": result.record.metrics["val_macro_f1"], "parameters": float(result.record.parameters)}
        if "int8-flips" in objectives:
            figures["int8-flips"] = trained_flips(run_folder, config.training.seed)
        if "latency" in objectives:
            export_run(load_run(run_folder), build)
            figures["latency"] = _latency_us(BuildFolder(build))
        return [figures[name] for name in objectives]


def trained_flips(run: Path, seed: int) -> float:
    """Return the share of codes that an int8 preview of a trained run changes (simulated), 0 to 1.

    Args:
        run: its folder.
        seed: of the choice of calibration windows.
    """
    with tempfile.TemporaryDirectory(prefix="fsq-edge-flips-") as folder:
        build = BuildFolder(folder)
        export_run(load_run(run), build.path)
        training = windows_of_run(run)
        chosen = training.choose(CALIBRATION_WINDOWS, "class-balanced", seed)
        audit = audit_set(chosen, training.describe(), training.preprocess, allow_small=True)
        write_set(chosen, audit, build.path / "calibration.npz")
        return float(preview_build(build, chosen, try_alternatives=False).report.code_flip_rate)


def _latency_us(build: BuildFolder) -> float:
    backend = OnnxBackend(build.read("encoder.onnx"))
    frame = np.zeros((1, *build.preprocess.frame_shape), np.float32)
    spent = []
    for _ in range(TIMED):
        begun = time.perf_counter_ns()
        backend.infer(frame)
        spent.append(time.perf_counter_ns() - begun)
    return statistics.median(spent) / 1e3
