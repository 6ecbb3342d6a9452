"""ONNX in, verified deployment bundle out.

The names below load when they are first used: onnx comes with the extra ``compile``, which a device does not have.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fsq_edge_compile.checker.checking import check
    from fsq_edge_compile.checker.report import CheckReport, Finding
    from fsq_edge_compile.checker.rewrites.fixing import FixResult, fix
    from fsq_edge_compile.checker.splitting import SplitResult, split
    from fsq_edge_compile.foreign.network_input import NetworkInput
    from fsq_edge_compile.own.building import OwnBuild, build_bundle

_LAZY = {
    "check": "fsq_edge_compile.checker.checking",
    "CheckReport": "fsq_edge_compile.checker.report",
    "Finding": "fsq_edge_compile.checker.report",
    "FixResult": "fsq_edge_compile.checker.rewrites.fixing",
    "SplitResult": "fsq_edge_compile.checker.splitting",
    "NetworkInput": "fsq_edge_compile.foreign.network_input",
    "OwnBuild": "fsq_edge_compile.own.building",
    "build_bundle": "fsq_edge_compile.own.building",
    "fix": "fsq_edge_compile.checker.rewrites.fixing",
    "split": "fsq_edge_compile.checker.splitting",
}

__all__ = [
    "CheckReport",
    "Finding",
    "FixResult",
    "NetworkInput",
    "OwnBuild",
    "SplitResult",
    "build_bundle",
    "check",
    "fix",
    "split",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
