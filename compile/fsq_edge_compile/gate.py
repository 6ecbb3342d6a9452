<<<<<<< HEAD
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
    ladder = ladder_of_build(build, gates=gates)
    if not ladder.passed:
        blamed = next(rung for rung in ladder.rungs if rung.name == ladder.blame)
        reasons.append(f"parity: {ladder.blame}: {'; '.join(blamed.lost)} ({ladder.cause})")
    return Verdict(ladder, audit, tuple(reasons))


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
=======
"""The gates before a compiler or a bundle: the check for the target and the calibration audit, or a recorded reason."""

from __future__ import annotations

from dataclasses import dataclass

from fsq_edge_calibration.audit import CalibrationAudit
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.checker.checking import check
from fsq_edge_compile.checker.report import CheckReport
from fsq_edge_runtime.errors import UsageError

MAX_REASON = 200


@dataclass(frozen=True, slots=True)
class Gate:
    """The outcome of the gates.

    Attributes:
        report: the check of encoder.onnx for the target.
        calibration: what the calibration audit refuses, one line each; empty when it passed or there is none.
        forced: one record per gate that was overridden.
    """

    report: CheckReport
    calibration: tuple[str, ...]
    forced: tuple[str, ...]

    @property
    def opened(self) -> bool:
        """Whether to go on."""
        return bool(self.forced) or (self.report.verdict == "full" and not self.calibration)


def check_gate(build: BuildFolder, arch: str, dfc: str | None = None, *, force: str = "") -> Gate:
    """Check the build's encoder.onnx for a target, and read its calibration audit.

    Args:
        build: the BUILD folder.
        arch: target architecture.
        dfc: compiler version, or None for the generation that serves the target.
        force: why to go on although a gate is shut; recorded.

    Raises:
        MissingInputError, DataError: no encoder.onnx, not a graph, or an audit that cannot be read.
        UsageError: unknown target or compiler, or a reason that is not one printable line.
    """
    if force and (not force.isprintable() or len(force) > MAX_REASON):
        raise UsageError(f"the reason must be one line of at most {MAX_REASON} characters")
    build.read("encoder.onnx")  # a missing file is named with the verb that writes it
    report = check(build.path / "encoder.onnx", arch, dfc)
    calibration: tuple[str, ...] = ()
    if build.has("calibration.json"):
        audit = CalibrationAudit.from_json(build.read("calibration.json"), origin="calibration.json")
        calibration = tuple(f"{finding.rule}: {finding.message}" for finding in audit.errors)
    shut = []
    if report.verdict != "full":
        shut.append(f"check {arch} says {report.verdict}")
    if calibration:
        shut.append("the calibration audit refuses the set")
    return Gate(report, calibration, tuple(f"{gate}: {force}" for gate in shut) if force else ())
>>>>>>> main
