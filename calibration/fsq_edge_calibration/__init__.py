"""Int8 calibration sets: chosen from training recordings, audited, and written for Hailo's compiler."""

from fsq_edge_calibration.audit import CalibrationAudit, audit_array, audit_frames, audit_set
from fsq_edge_calibration.build import build_calibration_set
from fsq_edge_calibration.calibration_set import CalibrationSet, load_calibration_set
from fsq_edge_calibration.comparison import compare_channels
from fsq_edge_calibration.description import describe_windows
from fsq_edge_calibration.distribution import Distribution
from fsq_edge_calibration.selection import METHODS
from fsq_edge_runtime.findings import ChannelFinding as Finding

__all__ = [
    "METHODS",
    "CalibrationAudit",
    "CalibrationSet",
    "Distribution",
    "Finding",
    "audit_array",
    "audit_frames",
    "audit_set",
    "build_calibration_set",
    "compare_channels",
    "describe_windows",
    "load_calibration_set",
]
