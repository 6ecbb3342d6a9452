"""The last layer of an FSQ network in the int8 preview: rounded behind its Tanh, its mean error taken back."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from fsq_edge_compile.int8.probe import ActivationProbe
from fsq_edge_runtime.arrays import AnyArray, Float32Array

PASSING_ON = ("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Identity")  # values as they are
VENDOR_DOMAIN = "com.microsoft"  # 16-bit QuantizeLinear entered the standard with opset 21, later than the DFC reads


def widen_output(model: Any, sixteen_bit: bool) -> None:
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


def correct_bias(quantized: Any, model: Any, frames: Float32Array) -> None:
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
