"""Int8 calibration sets: chosen from training recordings, audited, and written for Hailo's compiler."""

from fsq_edge_calibration.build import build_calibration_set
from fsq_edge_calibration.calibration_set import CalibrationSet, load_calibration_set
from fsq_edge_calibration.selection import METHODS

__all__ = ["METHODS", "CalibrationSet", "build_calibration_set", "load_calibration_set"]
