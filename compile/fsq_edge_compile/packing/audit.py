"""The calibration audit of a BUILD folder, made again from the files that are there."""

from fsq_edge_calibration import CalibrationAudit, audit_set, load_calibration_set
from fsq_edge_compile.build_folder import BuildFolder


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
