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

from fsq_edge_calibration import CalibrationSet
from fsq_edge_compile.constants import fold_constants
from fsq_edge_compile.int8.output_layer import correct_bias, widen_output
from fsq_edge_compile.int8.probe import ActivationProbe, activation_names
from fsq_edge_compile.int8.ranges import RANGE_METHODS, RangeMethod, activation_ranges
from fsq_edge_compile.messages import copied
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends.onnx import FEATURES
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.files import read_bounded

MAX_MODEL_BYTES = 512 * 1024 * 1024


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
    widen_output(quantized, sixteen_bit_output)
    correct_bias(quantized, model, np.asarray(frames))
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
