"""Hailo's executable format (HEF), read without HailoRT.

`inspect_hef` verifies a file and reports what is in it, `check_load` says whether a device and a HailoRT will take it,
and `compare_hef` says whether it is the network that a bundle expects, calibrated on the data that it expects.
"""

from typing import TYPE_CHECKING, Any

from fsq_edge_runtime.hef.architecture import DEVICES, Architecture
from fsq_edge_runtime.hef.header import HefHeader
from fsq_edge_runtime.hef.inspection import inspect_hef
from fsq_edge_runtime.hef.loading import LoadVerdict, check_load
from fsq_edge_runtime.hef.record import HefRecord, read_record
from fsq_edge_runtime.hef.report import HefReport, HefTensor, HostOp, NetworkGroup, QuantInfo

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.hef_match import compare_hef

__all__ = [
    "DEVICES",
    "Architecture",
    "HefHeader",
    "HefRecord",
    "HefReport",
    "HefTensor",
    "HostOp",
    "LoadVerdict",
    "NetworkGroup",
    "QuantInfo",
    "check_load",
    "compare_hef",
    "inspect_hef",
    "read_record",
]


def __getattr__(name: str) -> Any:
    """Import ``compare_hef`` when it is asked for: it needs the bundle, and the bundle reads HEFs."""
    if name == "compare_hef":
        from fsq_edge_runtime.bundle.hef_match import compare_hef

        return compare_hef
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
