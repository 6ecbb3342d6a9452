"""What is wrong with this machine for running on a Hailo device, and the line that fixes each thing."""

from fsq_edge_runtime.doctor.checkup import Checkup, examine
from fsq_edge_runtime.doctor.facts import Facts, gather
from fsq_edge_runtime.doctor.recorded import RecordedSystem
from fsq_edge_runtime.doctor.system import LiveSystem, System
from fsq_edge_runtime.findings import Finding

__all__ = ["Checkup", "Facts", "Finding", "LiveSystem", "RecordedSystem", "System", "examine", "gather"]
