"""What runs on the device: preprocessing, backends, streaming, decisions. Needs neither torch nor onnx."""

from fsq_edge_runtime.bundle import Bundle
from fsq_edge_runtime.errors import FsqEdgeError
from fsq_edge_runtime.preprocess import PreprocessConfig, Preprocessor
from fsq_edge_runtime.session import Decision, Session

__all__ = ["Bundle", "Decision", "FsqEdgeError", "PreprocessConfig", "Preprocessor", "Session"]
