"""The int8 preview: the device graph as onnxruntime quantises it, close to what Hailo's compiler will do.

A preview, not a measurement: onnxruntime's kernels on a CPU, with the calibration set that the compiler will get.
Weights are int8, symmetric, per output channel; activations uint8, asymmetric, per tensor. The activation function of
the last layer is computed on the wide accumulator, as on the device; only its result ``t`` is rounded, to 8 bits over
[-1, 1], or to 16 bits as ``quantization_param(output_layer1, precision_mode=a16_w16)`` asks for. What rounding shifts
on average over the calibration set is taken back in the bias of the last layer, as compilers do.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fsq_edge_calibration import CalibrationSet
from fsq_edge_compile.constants import fold_constants
from fsq_edge_compile.int8.probe import ActivationProbe, activation_names
from fsq_edge_compile.int8.ranges import RANGE_METHODS, RangeMethod, activation_ranges
from fsq_edge_compile.messages import copied
from fsq_edge_runtime.arrays import AnyArray, Float32Array
from fsq_edge_runtime.backends.onnx import FEATURES
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.files import read_bounded

MAX_MODEL_BYTES = 512 * 1024 * 1024
PASSING_ON = ("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Identity")  # values as they are
VENDOR_DOMAIN = "com.microsoft"  # 16-bit QuantizeLinear entered the standard with opset 21, later than the DFC reads


def quantize_preview(
    encoder: bytes | Path,
    calibration: CalibrationSet | Float32Array,
    *,
    method: RangeMethod = "minmax",
    sixteen_bit_output: bool = False,
) -> bytes:
    """Return the int8 preview of a device graph, with its input and output.

    Args:
        encoder: the device graph (bytes or file): ``input`` (1, C', H, W) to ``t`` (1, D), last node Tanh; a second
            output ``features`` is rounded to 8 bits.
        calibration: a calibration set, or frames (N, C', H, W) float32.
        method: how activation ranges are chosen, one of ``RANGE_METHODS``.
        sixteen_bit_output: round ``t`` to 16 bits instead of 8.

    Raises:
        UsageError: unknown method.
        MissingInputError: the file cannot be read.
        DataError: not a device graph, or frames that do not fit it.
    """
    if method not in RANGE_METHODS:
        raise UsageError(f"unknown quantisation method {method!r}", hint="one of " + ", ".join(RANGE_METHODS))
    model = load_device_graph(encoder)
    frames = calibration.frames_nchw if isinstance(calibration, CalibrationSet) else calibration
    wanted = tuple(int(size.dim_value) for size in model.graph.input[0].type.tensor_type.shape.dim)[1:]
    if frames.ndim != 4 or frames.shape[1:] != wanted or not len(frames):
        raise DataError(f"calibration frames {frames.shape} do not fit the device graph, whose frames are {wanted}")
    names = activation_names(model)
    ranges = activation_ranges(ActivationProbe(model, names), frames, method)
    quantized = _insert_qdq(model, ranges, np.ascontiguousarray(frames[:1]))
    _widen_output(quantized, sixteen_bit_output)
    _correct_bias(quantized, model, np.asarray(frames))
    quantized.producer_name = "fsq-edge int8 preview"
    onnx.checker.check_model(quantized)
    data: bytes = quantized.SerializeToString()
    return data


def quantize_scores(encoder: bytes, frames: Float32Array, *, method: RangeMethod = "minmax") -> bytes:
    """Return the int8 preview of a device graph that ends in scores instead of an FSQ projection.

    The output is rounded as every activation is: nothing is known beforehand of its range.

    Args:
        encoder: ``input`` (1, C', H, W) to ``t`` (1, D), any operators.
        frames: (N, C', H, W) float32, of the calibration set.
        method: how activation ranges are chosen, one of ``RANGE_METHODS``.

    Raises:
        UsageError: unknown method.
        DataError: the graph cannot be read.
    """
    if method not in RANGE_METHODS:
        raise UsageError(f"unknown quantisation method {method!r}", hint="one of " + ", ".join(RANGE_METHODS))
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load_from_string(encoder))
    except Exception as error:
        raise DataError(f"the device graph is not a readable ONNX model: {error}") from error
    fold_constants(model)
    ranges = activation_ranges(ActivationProbe(model, activation_names(model)), frames, method)
    quantized = _insert_qdq(model, ranges, np.ascontiguousarray(frames[:1]))
    quantized.producer_name = "fsq-edge int8 preview"
    onnx.checker.check_model(quantized)
    data: bytes = quantized.SerializeToString()
    return data


def load_device_graph(encoder: bytes | Path) -> Any:
    """Return the ONNX model of a device graph (a ``ModelProto``) whose last node is the Tanh that makes ``t``."""
    data = encoder if isinstance(encoder, bytes) else read_bounded(encoder, MAX_MODEL_BYTES, what="device graph")
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load_from_string(data))
    except Exception as error:
        raise DataError(f"the device graph is not a readable ONNX model: {error}") from error
    inputs = [entry.name for entry in model.graph.input]
    outputs = [entry.name for entry in model.graph.output]
    last = model.graph.node[-1] if model.graph.node else None
    wrong = inputs != ["input"] or outputs not in (["t"], ["t", FEATURES])
    if wrong or last is None or last.op_type != "Tanh":
        raise DataError(
            f"not a device graph: inputs {inputs}, outputs {outputs}, expected input, t and Tanh as the last node",
            hint="quantise encoder.onnx, the part before the FSQ rounding",
        )
    return model


def _insert_qdq(model: Any, ranges: dict[str, tuple[float, float]], frame: Float32Array) -> Any:
    """Let onnxruntime insert QuantizeLinear and DequantizeLinear with our ranges in place of its own."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    class OneFrame(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
        """The quantiser insists on a reader; its ranges are overridden, so one frame does."""

        def __init__(self) -> None:
            self._frames = iter([{"input": frame}])

        def get_next(self) -> dict[str, Float32Array] | None:
            return next(self._frames, None)

    overrides = {
        name: [{"rmin": np.float32(low), "rmax": np.float32(max(high, low + 1e-6))}]
        for name, (low, high) in ranges.items()
    }
    prepared = copied(model)
    add_pre_process_metadata(prepared)
    with tempfile.TemporaryDirectory() as folder, _quiet_root_logger():
        target = Path(folder) / "int8.onnx"
        quantize_static(
            prepared,
            target,
            OneFrame(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"TensorQuantOverrides": overrides},
            # A normalisation that no layer took in: its variances would be rounded to int8, and onnxruntime refuses
            # to open the result where a variance and a scale are one tensor.
            nodes_to_exclude=[node.name for node in model.graph.node if node.op_type == "BatchNormalization"],
        )
        return onnx.load(target)


def _widen_output(model: Any, sixteen_bit: bool) -> None:
    """Take the rounding before the last Tanh out and put the rounding of ``t`` in."""
    graph = model.graph
    tanh = next(node for node in graph.node if "t" in node.output)
    makers = {name: node for node in graph.node for name in node.output}
    wide = tanh
    while (dequantize := makers.get(wide.input[0])) is not None and dequantize.op_type == "DequantizeLinear":
        quantize = makers[dequantize.input[0]]
        wide.input[0] = quantize.input[0]
        graph.node.remove(dequantize)
        graph.node.remove(quantize)
        before = makers.get(quantize.input[0])
        if before is None or before.op_type not in PASSING_ON:
            break
        wide = before
    tanh.output[0] = "t_wide"
    steps, kind = (65535, np.uint16) if sixteen_bit else (255, np.uint8)
    parameters = np.asarray(2.0 / steps, dtype=np.float32), np.asarray((steps + 1) // 2, dtype=kind)
    graph.node.extend(rounding_pair(model, "t_wide", "t", parameters, VENDOR_DOMAIN if sixteen_bit else ""))


def rounding_pair(
    model: Any, source: str, result: str, parameters: tuple[AnyArray, AnyArray], domain: str
) -> list[Any]:
    """Return QuantizeLinear and DequantizeLinear nodes from one tensor to another; their constants go into the model.

    Args:
        model: a ``ModelProto``, changed.
        source: the tensor that is rounded.
        result: what the rounded tensor is called; the constants and nodes are named after it.
        parameters: scale and zero point, scalars.
        domain: of the two operators; empty for the standard.
    """
    names = [f"{result}_scale", f"{result}_zero_point"]
    model.graph.initializer.extend(map(numpy_helper.from_array, parameters, names))
    if domain and all(entry.domain != domain for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(domain, 1))
    ends = ("Quantize", source, f"{result}_q"), ("Dequantize", f"{result}_q", result)
    return [
        helper.make_node(f"{kind}Linear", [start, *names], [end], name=f"{result}_{kind.lower()}", domain=domain)
        for kind, start, end in ends
    ]


def _correct_bias(quantized: Any, model: Any, frames: Float32Array) -> None:
    """Take the mean error before the Tanh, over the calibration set, out of the last layer's int32 bias.

    Errors count by what they move in ``t``: where the Tanh is flat, they move nothing.

    Source: Nagel et al. 2019, arXiv 1906.04721, section 4.2 (empirical bias correction).
    """
    constants = {entry.name: entry for entry in quantized.graph.initializer}
    makers = {name: node for node in quantized.graph.node for name in node.output}
    layer = makers[makers["t_wide"].input[0]]
    while layer.op_type in PASSING_ON and layer.input[0] in makers:
        layer = makers[layer.input[0]]
    dequantize = makers.get(layer.input[2]) if layer.op_type in ("Gemm", "Conv") and len(layer.input) == 3 else None
    if dequantize is None or any(name not in constants for name in dequantize.input[:2]):
        return
    name = str(layer.output[0])
    wanted, found = (ActivationProbe(graph, [name]).observe(frames) for graph in (model, quantized))
    shift, weight = np.zeros(1), np.zeros(1)
    for right, rounded in zip(wanted, found, strict=True):
        slope = (1.0 - np.tanh(right[name].astype(np.float64)) ** 2) ** 2
        axes = tuple(range(2, slope.ndim))
        shift = shift + (slope * (right[name] - rounded[name])).sum(axis=axes)
        weight = weight + slope.sum(axis=axes)
    bias, scale = (numpy_helper.to_array(constants[part]) for part in dequantize.input[:2])
    steps = np.rint((shift / np.maximum(weight, 1e-12)).ravel() / scale).astype(np.int32)
    constants[dequantize.input[0]].CopyFrom(numpy_helper.from_array(bias + steps, dequantize.input[0]))


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Keep onnxruntime's advice, which it sends through the root logger, away from the user, and leave no handler."""
    root = logging.getLogger()
    silent = logging.NullHandler()
    root.addHandler(silent)  # or logging.warning would install a handler of its own
    root.addFilter(_refuse)
    try:
        yield
    finally:
        root.removeFilter(_refuse)
        root.removeHandler(silent)


def _refuse(record: logging.LogRecord) -> bool:
    return False
