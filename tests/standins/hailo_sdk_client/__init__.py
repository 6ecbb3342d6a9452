"""A stand-in for Hailo's proprietary compiler client: the documented calls and no others.

It checks what the real one is documented to check, raises the documented errors with the documented texts, emulates in
onnxruntime and writes a synthetic HEF. It proves that the driver makes the right calls in the right order with the
right data; it says nothing about what the real compiler makes of a network.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from fsq_edge_runtime.testing.hef_writer import TensorSpec, hef_bytes
from hailo_sdk_client.model_translator.exceptions import ParsingWithRecommendationException

__version__ = os.environ.get("STANDIN_DFC_VERSION", "3.32.0")
FAULT = os.environ.get("STANDIN_DFC_FAULT", "")
ARCHES = {3: ("hailo8", "hailo8r", "hailo8l"), 5: ("hailo10h", "hailo15h", "hailo15m", "hailo15l")}
PARSED = {"Conv", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool", "Flatten", "Reshape", "Gemm", "Tanh", "Add"}
PARSED |= {"BatchNormalization", "Concat", "Squeeze", "Mul", "Sub"}
COMMANDS = {
    "model_optimization_config",
    "model_optimization_flavor",
    "quantization_param",
    "performance_param",
    "normalization",
    "post_quantization_optimization",
    "change_output_activation",
}


class InferenceContext(Enum):
    SDK_NATIVE = "sdk_native"
    SDK_FP_OPTIMIZED = "sdk_fp_optimized"
    SDK_QUANTIZED = "sdk_quantized"


class BadInputsShape(Exception):  # noqa: N818 - the vendor's name
    pass


class BackendAllocatorException(Exception):  # noqa: N818 - the vendor's name
    pass


class ClientRunner:
    def __init__(self, hw_arch: str | None = None, har: str | None = None) -> None:
        generation = int(__version__.split(".")[0])
        if hw_arch is not None and hw_arch not in ARCHES[generation]:
            raise ValueError(f"hw_arch {hw_arch} is not supported")
        self._arch = hw_arch
        self._state = "empty"
        self._script = ""

    def translate_onnx_model(
        self,
        model: str,
        net_name: str,
        start_node_names: list[str] | None = None,
        end_node_names: list[str] | None = None,
        net_input_shapes: dict[str, list[int]] | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        print(f"[info] Translation started on ONNX model {net_name}", flush=True)
        if FAULT == "hang":
            time.sleep(600)
        if FAULT == "crash":
            os.abort()
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", net_name):
            raise ValueError(f"Invalid scope name '{net_name}'")
        proto = onnx.load_model(model)
        if proto.ir_version > 9:
            raise ValueError(f"Unsupported ONNX IR version {proto.ir_version}")
        weights = {entry.name for entry in proto.graph.initializer}
        inputs = [entry.name for entry in proto.graph.input if entry.name not in weights]
        missing = set(inputs) - set(net_input_shapes or {})
        if missing:
            raise ValueError(f"Unspecified inputs: {missing}")
        self._check_nodes(proto, end_node_names or [])
        self._name, self._onnx, self._input = net_name, proto, inputs[0]
        self._shape = tuple((net_input_shapes or {})[inputs[0]])
        self._end = (end_node_names or [proto.graph.node[-1].name])[0]
        self._state = "parsed"
        print("[info] Translation completed", flush=True)
        return self.get_hn_dict(), {}

    def _check_nodes(self, proto: onnx.ModelProto, end_node_names: list[str]) -> None:
        names = [node.name for node in proto.graph.node]
        for name in end_node_names:
            if name not in names:
                raise ValueError(f"end node {name} is not in the graph")
        wanted = names[: names.index(end_node_names[0]) + 1] if end_node_names else names
        refused = [node for node in proto.graph.node if node.name in wanted and node.op_type not in PARSED]
        if refused:
            lines = [
                f" UnsupportedOperationError in op {node.name}: {node.op_type} operation is unsupported"
                for node in refused
            ]
            feeds = [node.name for node in proto.graph.node if set(node.output) & set(refused[0].input)]
            raise ParsingWithRecommendationException(
                "Parsing failed. The errors found in the graph are:\n"
                + "\n".join(lines)
                + f"\nPlease try to parse the model again, using these end node names: {', '.join(feeds)}"
            )

    def load_model_script(self, script: str, append: bool = False) -> None:
        text = Path(script).read_text() if script.endswith(".alls") else script
        for line in filter(None, (line.strip() for line in text.splitlines())):
            match = re.fullmatch(r"(?:\w+ = )?(\w+)\(.*\)", line)
            if not match or match[1] not in COMMANDS:
                raise ValueError(f"model script parsing failed: {line}")
        self._script = self._script + text if append else text

    def optimize_full_precision(self, calib_data: Any = None) -> None:
        self._frames(calib_data)
        self._state = "fp_optimized"

    def optimize(self, calib_data: Any) -> None:
        frames = self._frames(calib_data)
        wanted = re.search(r"calibset_size=(\d+)", self._script)
        if wanted and int(wanted[1]) > len(frames):
            raise ValueError(f"calibset_size {wanted[1]} is larger than the calibration set ({len(frames)})")
        if len(frames) < 1024:
            print("[warning] Reducing optimization level to 0 (fewer than 1024 samples)", flush=True)
        output = self._outputs(frames[:64])
        self._limits = (float(frames.min()), float(frames.max())), (float(output.min()), float(output.max()))
        self._state = "optimized"

    def _frames(self, data: Any) -> np.ndarray:
        layer = f"{self._name}/input_layer1"
        if isinstance(data, dict):
            data = data[layer]
        if not isinstance(data, np.ndarray):
            raise ValueError("Couldn't detect CalibrationDataType")
        if data.dtype != np.float32:
            raise ValueError(f"calibration data is {data.dtype}, expected float32")
        _, channels, height, width = self._shape
        if data.shape[1:] != (height, width, channels):
            raise BadInputsShape(
                f"Data shape {data.shape[1:]} for layer {layer} doesn't match network's input shape "
                f"{(height, width, channels)}"
            )
        return data

    def compile(self) -> bytes:
        if self._state != "optimized":
            raise RuntimeError("Model requires quantized weights in order to run on HW, but none were given")
        if FAULT == "allocation":
            raise BackendAllocatorException("Compilation failed: No successful assignment(s) found")
        print("[info] Starting Hailo allocation and compilation flow", flush=True)
        _, channels, height, width = self._shape
        nodes = list(self._onnx.graph.node)
        (low, high), (_, _) = self._limits
        if FAULT == "noise":
            low, high = 0.0, 1.0
        source = TensorSpec("input_layer1", (height, width, channels), low, high, original_names=(nodes[0].name,))
        wide = "a16_w16" in self._script
        sink = TensorSpec(
            "fc1",
            (self._outputs(np.zeros((1, height, width, channels), np.float32)).shape[1],),
            -1.0,
            1.0,
            dtype="uint16" if wide else "uint8",
            original_names=tuple(node.name for node in nodes[-2:]),
        )
        weights = b"".join(numpy_helper.to_array(entry).tobytes() for entry in self._onnx.graph.initializer)
        return hef_bytes(
            arch=str(self._arch),
            version=2 if __version__.startswith("3.") else 3,
            network=self._name,
            inputs=(source,),
            outputs=(sink,),
            sdk=__version__,
            payload=weights,
        )

    def save_har(self, har_path: str) -> None:
        Path(har_path).write_bytes(f"stand-in HAR {self._name} {self._state}\n".encode())

    def load_har(self, har: str) -> None:
        self._state = Path(har).read_text().split()[-1]

    @contextmanager
    def infer_context(self, inference_context: InferenceContext) -> Iterator[InferenceContext]:
        yield inference_context

    def infer(self, context: InferenceContext, dataset: np.ndarray) -> np.ndarray:
        found = self._outputs(dataset)
        if context is InferenceContext.SDK_QUANTIZED:
            found = (np.round((found + 1) * 127.5) / 127.5 - 1).astype(np.float32)
        return found[:, None, None, :]

    def _outputs(self, frames: np.ndarray) -> np.ndarray:
        session = onnxruntime.InferenceSession(self._onnx.SerializeToString(), providers=["CPUExecutionProvider"])
        rows = [session.run(None, {self._input: frame.transpose(2, 0, 1)[None]})[0] for frame in frames]
        return np.concatenate(rows).reshape(len(frames), -1)

    def get_hn_dict(self) -> dict[str, Any]:
        nodes = list(self._onnx.graph.node)
        layers = {f"{self._name}/input_layer1": {"original_names": [self._input]}}
        layers[f"{self._name}/fc1"] = {"original_names": [node.name for node in nodes[-2:]]}
        return {"name": self._name, "layers": layers}
