"""What runs on the device: preprocessing, backends, streaming, decisions. Needs neither torch nor onnx.

The names below are imported when first used: a device that only wants an error class or a version need not pay for
numpy and pydantic.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle
    from fsq_edge_runtime.errors import FsqEdgeError
    from fsq_edge_runtime.preprocess import PreprocessConfig, Preprocessor
    from fsq_edge_runtime.session import Session
    from fsq_edge_runtime.stream import Decision, StreamEvent, StreamSettings

# From 1.29 on, onnxruntime reports each model that it opens to Microsoft, and keeps what it could not send in the home
# folder. It looks here when it is imported; who has set the variable decides. Source: onnxruntime, docs/Privacy.md.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "Bundle",
    "Decision",
    "FsqEdgeError",
    "PreprocessConfig",
    "Preprocessor",
    "Session",
    "StreamEvent",
    "StreamSettings",
]

_HOME = {
    "Bundle": "bundle",
    "Decision": "stream",
    "FsqEdgeError": "errors",
    "PreprocessConfig": "preprocess",
    "Preprocessor": "preprocess",
    "Session": "session",
    "StreamEvent": "stream",
    "StreamSettings": "stream",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
