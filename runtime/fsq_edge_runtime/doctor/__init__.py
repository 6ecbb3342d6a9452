"""What is wrong with this machine for running on a Hailo device, and the line that fixes each thing."""

from typing import TYPE_CHECKING, Any

from fsq_edge_runtime.doctor.checkup import Checkup, examine
from fsq_edge_runtime.doctor.facts import Facts, gather
from fsq_edge_runtime.doctor.system import LiveSystem, System
from fsq_edge_runtime.findings import Finding

if TYPE_CHECKING:
    from fsq_edge_runtime.doctor.recorded import RecordedSystem

__all__ = ["Checkup", "Facts", "Finding", "LiveSystem", "RecordedSystem", "System", "examine", "gather"]


def __getattr__(name: str) -> Any:
    if name != "RecordedSystem":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fsq_edge_runtime.doctor.recorded import RecordedSystem  # a device's install has none

    return RecordedSystem
