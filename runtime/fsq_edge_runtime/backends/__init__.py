"""Inference backends: the device graph only, frame in, ``t`` out.

:mod:`~fsq_edge_runtime.backends.selection` opens the one that a bundle needs on this machine;
:mod:`~fsq_edge_runtime.backends.hailo` and :mod:`~fsq_edge_runtime.backends.fallback` are imported only when used.
"""

from fsq_edge_runtime.backends.base import Backend, Missed
from fsq_edge_runtime.backends.onnx import OnnxBackend

__all__ = ["Backend", "Missed", "OnnxBackend"]
