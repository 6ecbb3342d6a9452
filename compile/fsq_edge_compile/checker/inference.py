"""Shapes and element types of every tensor, as far as onnx can tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx

from fsq_edge_compile.checker.graph import Shape
from fsq_edge_compile.checker.native import NativeError, infer_shapes

# Largest integer input whose values shape inference may follow: onnx allocates as many as it declares.
MAX_PROPAGATED = 1 << 20


@dataclass(slots=True)
class TensorInfo:
    """What shape inference found.

    Attributes:
        shapes: by tensor name; None for a size that is not known, no entry where the rank is not known.
        dtypes: ``TensorProto`` element type by tensor name.
        failure: why onnx could infer nothing; empty when it could.
    """

    shapes: dict[str, Shape]
    dtypes: dict[str, int]
    failure: str = ""


def infer(model: onnx.ModelProto) -> TensorInfo:
    """Run shape inference and return shapes and types by tensor name; what cannot be inferred is left out."""
    try:
        inferred = infer_shapes(model, values=_small_integers(model))
        failure = ""
    except NativeError as error:
        inferred, failure = model, str(error).strip().splitlines()[0][:200]
    info = TensorInfo({}, {}, failure)
    graph = inferred.graph
    for values in (graph.value_info, graph.output, graph.input):
        for value in values:
            _note(info, value)
    for tensor in graph.initializer:
        info.shapes[tensor.name] = tuple(tensor.dims)
        info.dtypes[tensor.name] = tensor.data_type
    return info


def _small_integers(model: onnx.ModelProto) -> bool:
    """Whether no integer input is too large for its values to be followed."""
    return all(
        value.type.tensor_type.elem_type not in (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
        or math.prod(max(1, dim.dim_value) for dim in value.type.tensor_type.shape.dim) <= MAX_PROPAGATED
        for value in model.graph.input
    )


def _note(info: TensorInfo, value: onnx.ValueInfoProto) -> None:
    if not value.type.HasField("tensor_type"):
        return
    tensor = value.type.tensor_type
    if tensor.elem_type:
        info.dtypes[value.name] = tensor.elem_type
    if tensor.HasField("shape"):
        shape: Shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
        info.shapes[value.name] = shape
