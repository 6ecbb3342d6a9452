"""What runs on the device: preprocessing, backends, streaming, decisions. Needs neither torch nor onnx."""

from fsq_edge_runtime.bundle import Bundle
from fsq_edge_runtime.errors import FsqEdgeError
from fsq_edge_runtime.preprocess import PreprocessConfig, Preprocessor
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.stream import Decision, StreamEvent, StreamSettings

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
