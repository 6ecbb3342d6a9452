"""Inference backends: the device graph only, frame in, ``t`` out."""

from fsq_edge_runtime.backends.base import Backend, Missed
from fsq_edge_runtime.backends.onnx import OnnxBackend

__all__ = ["Backend", "Missed", "OnnxBackend"]
