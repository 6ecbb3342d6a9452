"""One trained network on one fold of watch, with what is needed to compare its int8 preview with float."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from fsq_edge.deploy.build import UsableWindows, device_outputs, usable_windows
from fsq_edge.deploy.export import export_model
from fsq_edge.training import Run
from fsq_edge.training.split import open_sides
from fsq_edge_benchmarks.suites.accuracy_parts.held_out import fold_config, trained_run
from fsq_edge_calibration import CalibrationSet, build_calibration_set
from fsq_edge_compile.int8.agreement import LabelScores, PreviewReport, compare_codes
from fsq_edge_compile.int8.quantize import quantize_preview
from fsq_edge_runtime.backends import OnnxBackend

CALIBRATION_WINDOWS: Final = 256


@dataclass(frozen=True, slots=True)
class Int8Trial:
    """A fold's network.

    Attributes:
        trained: the run.
        held_out: usable windows of the fold's test subjects.
        calibration: chosen from the training windows.
    """

    trained: Run
    held_out: UsableWindows
    calibration: CalibrationSet

    @classmethod
    def of(cls, fold: tuple[str, ...], seed: int, epochs: int | None, runs: Path | None) -> Self:
        """Train, or load what was trained before.

        Args:
            fold: test subjects of watch.
            seed: of training and of the choice of calibration windows.
            epochs: of both stages; None is the default.
            runs: folder that keeps trained runs; None keeps nothing.
        """
        config = fold_config("watch", fold, seed, epochs=epochs)
        sides = open_sides(config)
        trained = trained_run(config, sides, runs)
        held_out, training = usable_windows(trained, sides.test), usable_windows(trained, sides.train)
        calibration = build_calibration_set(
            training.windows,
            training.index.label,
            training.index.subject,
            trained.preprocess,
            size=CALIBRATION_WINDOWS,
            seed=seed,
        )
        return cls(trained, held_out, calibration)

    def compared(self, frames: Any = None, *, sixteen_bit: bool = False) -> tuple[PreviewReport, LabelScores]:
        """Return int8 against float on the held-out windows.

        Args:
            frames: to calibrate with; None takes the calibration set.
            sixteen_bit: with the 16-bit output.
        """
        exported = export_model(self.trained.model)
        encoder, calibration = exported.encoder.SerializeToString(), self.calibration if frames is None else frames
        model = quantize_preview(encoder, calibration, sixteen_bit_output=sixteen_bit)
        report = compare_codes(
            exported.tail,
            device_outputs(self.trained, self.held_out.frames),
            OnnxBackend(model, name="onnx-int8").infer_batch(self.held_out.frames),
            self.held_out.index.label,
            groups=self.held_out.index.subject,
        )
        if report.scores is None:
            raise RuntimeError("labels were given, so there are scores")
        return report, report.scores
