"""The gates before a compiler or a bundle: check, calibration audit and parity ladder, or a recorded reason."""

from __future__ import annotations

from dataclasses import dataclass

from fsq_edge_calibration import CalibrationAudit, audit_set, load_calibration_set
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.checker.checking import check
from fsq_edge_compile.checker.report import CheckReport
from fsq_edge_compile.foreign.cutting import without_rows
from fsq_edge_compile.parity.build_rungs import ladder_of_build
from fsq_edge_compile.parity.ladder import Gates, LadderReport
from fsq_edge_runtime.bundle.edit import check_reason


@dataclass(frozen=True, slots=True)
class Gate:
    """The outcome of the gates.

    Attributes:
        report: the check of encoder.onnx for the target.
        calibration: what the calibration audit refuses, one line each; empty when it passed or there is none.
        forced: one record per gate that was overridden.
        ladder: the parity ladder; None where it was not asked for.
    """

    report: CheckReport
    calibration: tuple[str, ...]
    forced: tuple[str, ...]
    ladder: LadderReport | None = None

    @property
    def opened(self) -> bool:
        """Whether to go on."""
        held = self.ladder is None or self.ladder.passed
        return bool(self.forced) or (self.report.verdict == "full" and not self.calibration and held)


def check_gate(
    build: BuildFolder, arch: str, dfc: str | None = None, *, force: str = "", parity: Gates | None = None
) -> Gate:
    """Check the build's encoder.onnx for a target, audit its calibration set again and climb the parity ladder.

    Args:
        build: the BUILD folder.
        arch: target architecture.
        dfc: compiler version, or None for the generation that serves the target.
        force: why to go on although a gate is shut; recorded.
        parity: what the ladder must hold; None leaves it out.

    Raises:
        MissingInputError, DataError: no encoder.onnx, not a graph, or an audit that cannot be read.
        UsageError: unknown target or compiler, or a reason that is not one printable line.
    """
    check_reason(force)
    encoder = build.read("encoder.onnx")
    report = check(without_rows(encoder) if build.has("host.onnx") else build.path / "encoder.onnx", arch, dfc)
    calibration = tuple(audit_build(build)[1])
    shut = []
    if report.verdict != "full":
        shut.append(f"check {arch} says {report.verdict}")
    if calibration:
        shut.append("the calibration audit refuses the set")
    ladder = None if parity is None else ladder_of_build(build, gates=parity)
    if ladder is not None and not ladder.passed:
        shut.append(f"the parity ladder loses at {ladder.blame}")
    return Gate(report, calibration, tuple(f"{gate}: {force}" for gate in shut) if force else (), ladder)


def audit_build(build: BuildFolder) -> tuple[CalibrationAudit | None, list[str]]:
    """Audit the calibration set of a BUILD folder against the training split that its record describes.

    Returns:
        ``(audit, reasons)``: None without reasons where the folder has nothing in int8.
    """
    if not build.has("calibration.npz"):
        if build.has("encoder_int8.onnx"):
            return None, ["encoder_int8.onnx is there but calibration.npz, which it was made with, is not"]
        return None, []
    calibration = load_calibration_set(build.path / "calibration.npz")
    if not build.has("calibration.json"):
        return None, ["the set was never audited: calibration.json is missing"]
    record = CalibrationAudit.from_json(build.read("calibration.json"), origin="calibration.json")
    if record.frames_sha256 != calibration.frames_sha256:
        return None, ["calibration.json describes another set than calibration.npz"]
    if record.training is None:
        return None, ["calibration.json does not describe the training split"]
    audit = audit_set(calibration, record.training, build.preprocess, allow_small=record.allow_small)
    return audit, [f"{finding.rule}: {finding.message}" for finding in audit.errors]
