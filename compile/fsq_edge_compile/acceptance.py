"""What a BUILD folder must pass before it becomes a bundle: the calibration audit and the parity ladder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from fsq_edge_calibration import CalibrationAudit, CalibrationSet, audit_set, load_calibration_set
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.parity import Gates, LadderReport
from fsq_edge_compile.rungs import ladder_of_build


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a BUILD folder may become a bundle.

    Attributes:
        ladder: the parity ladder.
        audit: of the calibration set; None where the folder has neither a set nor an int8 graph.
        reasons: what stands against it, one line each; empty where nothing does.
    """

    ladder: LadderReport
    audit: CalibrationAudit | None
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing stands against it."""
        return not self.reasons

    def parity(self) -> dict[str, Any]:
        """Return the ladder for the manifest."""
        return self.ladder.to_dict()


def judge_build(build: BuildFolder, gates: Gates | None = None) -> Verdict:
    """Audit the calibration set again and climb the ladder.

    Args:
        build: the folder of export, calibrate and quantize.
        gates: of the ladder; None takes the defaults.

    Raises:
        MissingInputError: the export is incomplete.
        DataError: a file is damaged, or parts do not fit together.
    """
    audit, reasons = audit_build(build)
    ladder, lost = climb(build, gates)
    return Verdict(ladder, audit, (*reasons, *lost))


def climb(build: BuildFolder, gates: Gates | None = None) -> tuple[LadderReport, list[str]]:
    """Climb the parity ladder of a BUILD folder.

    Returns:
        ``(ladder, lost)``: lost names the first rung that fails a gate and why; empty where none does.

    Raises:
        MissingInputError, DataError: as :func:`judge_build`.
    """
    ladder = ladder_of_build(build, gates=gates)
    if ladder.passed:
        return ladder, []
    blamed = next(rung for rung in ladder.rungs if rung.name == ladder.blame)
    return ladder, [f"parity: {ladder.blame}: {'; '.join(blamed.lost)} ({ladder.cause})"]


def audit_build(build: BuildFolder) -> tuple[CalibrationAudit | None, list[str]]:
    """Audit the calibration set of a BUILD folder against the training split that its record describes.

    Returns:
        ``(audit, reasons)``: None without reasons where the folder has nothing in int8.
    """
    if not build.has("calibration.npz"):
        if build.has("encoder_int8.onnx"):
            return None, ["calibration: encoder_int8.onnx is there but calibration.npz, which it was made with, is not"]
        return None, []
    calibration = load_calibration_set(build.path / "calibration.npz")
    if not build.has("calibration.json"):
        return None, ["calibration: the set was never audited: calibration.json is missing"]
    record = CalibrationAudit.from_json(build.read("calibration.json"), origin="calibration.json")
    if record.frames_sha256 != frames_digest(calibration):
        return None, ["calibration: calibration.json describes another set than calibration.npz"]
    if record.training is None:
        return None, ["calibration: calibration.json does not describe the training split"]
    audit = audit_set(calibration, record.training, build.preprocess, allow_small=record.allow_small)
    return audit, [f"calibration: {finding.rule}: {finding.message}" for finding in audit.errors]


def frames_digest(calibration: CalibrationSet) -> str:
    """Return the SHA-256 (hex) of the frames' bytes, as the audit records it."""
    return hashlib.sha256(np.ascontiguousarray(calibration.frames_nhwc).tobytes()).hexdigest()
