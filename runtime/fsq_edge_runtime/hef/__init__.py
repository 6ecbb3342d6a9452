"""Hailo's executable format (HEF), read without HailoRT.

`inspect_hef` verifies a file and reports what is in it, `check_load` says whether a device and a HailoRT will take it,
and `compare_hef` says whether it is the network that a bundle expects, calibrated on the data that it expects.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fsq_edge_runtime.hef.architecture import DEVICES, Architecture
from fsq_edge_runtime.hef.header import HefHeader
from fsq_edge_runtime.hef.inspection import inspect_hef
from fsq_edge_runtime.hef.loading import LoadVerdict, check_load
from fsq_edge_runtime.hef.report import HefReport, HefTensor, HostOp, NetworkGroup, QuantInfo

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.hef_match import compare_hef
    from fsq_edge_runtime.hef.record import HefRecord, read_record

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

_BUNDLE, _RECORD = "fsq_edge_runtime.bundle.hef_match", "fsq_edge_runtime.hef.record"
# What needs a bundle or pydantic is imported when first used: the device process reads HEFs and needs neither.
_HOME = {"compare_hef": _BUNDLE, "HefRecord": _RECORD, "read_record": _RECORD}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
