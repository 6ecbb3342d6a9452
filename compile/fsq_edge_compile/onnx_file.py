"""ONNX files as this project writes and cuts them: static, inline weights, opset and IR that both DFC lines parse."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import onnx
import onnx.utils

from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.backends.onnx import FEATURES, open_onnx
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import first_line

Tensors = Mapping[str, AnyArray]

MAX_OPSET: Final = 17  # Source: DFC 3.x users ship 11, 13 and 17; 5.3 documents 15 to 21
MAX_IR: Final = 9  # Source: IR 10 and later broke DFC 3.2x


def check_export(model: onnx.ModelProto) -> None:
    """Check that a graph has the form this project ships.

    Raises:
        DataError: opset above 17, IR above 9, external weights, a symbolic dimension, or what the ONNX checker refuses.
    """
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if not 11 <= opset <= MAX_OPSET or model.ir_version > MAX_IR:
        raise DataError(f"opset {opset} and IR {model.ir_version}: expected opset 11 to {MAX_OPSET}, IR <= {MAX_IR}")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise DataError("the weights are in a side file, expected inline")
    for value in (*model.graph.input, *model.graph.output):
        shape = value.type.tensor_type.shape
        if any(not dimension.HasField("dim_value") for dimension in shape.dim):
            raise DataError(f"{value.name} has a symbolic dimension, expected a static shape")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise DataError(f"the ONNX checker refuses the graph: {first_line(error)}") from error


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph simplified by onnxsim, with its inputs, outputs and names kept.

    Raises:
        DataError: onnxsim finds its own result different.
    """
    import onnxsim

    with contextlib.redirect_stdout(io.StringIO()):
        result: tuple[onnx.ModelProto, bool] = onnxsim.simplify(model)
    simplified, same = result
    if not same:
        raise DataError("onnxsim's simplified graph differs from the original", hint="export without simplification")
    simplified.ir_version = min(simplified.ir_version, MAX_IR)
    return simplified


def cut_device_part(model: onnx.ModelProto, operator: str = "Tanh", *, features: bool = False) -> onnx.ModelProto:
    """Return the part of a full graph up to the one node of the given operator, with output ``t``.

    The cut is structural: names do not matter.

    Args:
        model: a graph with the input ``input``.
        operator: the operator that ends the device part.
        features: a second output ``features`` (1, F): what the dense layer before that node reads.

    Raises:
        DataError: there is not exactly one such node, or no dense layer before it.
    """
    ends = [node for node in model.graph.node if node.op_type == operator]
    if len(ends) != 1:
        raise DataError(f"expected exactly one {operator} to cut at, found {len(ends)}")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    extractor = onnx.utils.Extractor(inferred)
    pooled = [_dense_input(model, ends[0])] if features else []
    device: onnx.ModelProto = extractor.extract_model(["input"], [ends[0].output[0], *pooled])
    device.ir_version = model.ir_version
    device.graph.name = "encoder"
    end = next(node for node in device.graph.node if node.op_type == operator)
    end.output[0] = device.graph.output[0].name = "t"
    for name in pooled:
        _rename(device.graph, name, FEATURES)
    del device.graph.value_info[:]
    return device


def _dense_input(model: onnx.ModelProto, end: onnx.NodeProto) -> str:
    """Return the tensor that the dense layer before ``end`` reads."""
    layer = next((node for node in model.graph.node if end.input[0] in node.output), None)
    if layer is None or layer.op_type not in ("Gemm", "MatMul"):
        raise DataError(f"the {end.op_type} does not follow a dense layer, so there are no features to put out")
    return str(layer.input[0])


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                if name == old:
                    names[at] = new
    for value in graph.output:
        if value.name == old:
            value.name = new


def run(model: onnx.ModelProto | bytes, feeds: Tensors) -> dict[str, AnyArray]:
    """Run a graph once in onnxruntime on one thread and return its outputs by name."""
    data = model if isinstance(model, bytes) else model.SerializeToString()
    session = open_onnx(data)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def max_difference(a: onnx.ModelProto, b: onnx.ModelProto, feeds: Sequence[Tensors]) -> float:
    """Return the largest absolute difference of the outputs of two graphs over some inputs."""
    worst = 0.0
    for feed in feeds:
        left, right = run(a, feed), run(b, feed)
        for name, value in left.items():
            difference = np.abs(value.astype(np.float64) - right[name].astype(np.float64))
            worst = max(worst, float(difference.max(initial=0.0)))
    return worst
