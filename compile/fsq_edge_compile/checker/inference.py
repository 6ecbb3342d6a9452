"""Shapes and element types of every tensor, as far as onnx can tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx

from fsq_edge_compile.checker.graph import Shape
from fsq_edge_compile.checker.native import NativeError, infer_shapes

# Largest integer input whose values shape inference may follow: onnx allocates as many as it declares.
MAX_PROPAGATED = 1 << 20
_INTEGERS = frozenset({onnx.TensorProto.INT64, onnx.TensorProto.INT32})
# The operators whose values onnx follows, and that hand on what they read.
_FOLLOWED = frozenset({"Concat", "Gather", "Slice", "Squeeze", "Unsqueeze", "Cast", "Add", "Sub", "Mul", "Identity"})
# Longest shape that an operator gives.
MAX_RANK = 64


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
        inferred = infer_shapes(model, values=short_shapes(model))
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


def short_shapes(model: onnx.ModelProto) -> bool:
    """Whether the values of all integers can be followed: none is large, and none grows without end.

    A shape that is joined to itself doubles each time.
    """
    counts: dict[str, int] = {
        tensor.name: math.prod(tensor.dims) for tensor in model.graph.initializer if tensor.data_type in _INTEGERS
    }
    for value in model.graph.input:
        if value.type.tensor_type.elem_type in _INTEGERS:
            counts[value.name] = math.prod(max(1, dim.dim_value) for dim in value.type.tensor_type.shape.dim)
    for node in model.graph.node:
        if node.op_type in ("Shape", "Size"):
            count = MAX_RANK
        elif node.op_type in _FOLLOWED:
            read = [counts.get(name, 0) for name in node.input]
            count = sum(read) if node.op_type == "Concat" else max(read, default=0)
        else:
            continue
        counts.update(dict.fromkeys(node.output, count))
    return max(counts.values(), default=0) <= MAX_PROPAGATED


def _note(info: TensorInfo, value: onnx.ValueInfoProto) -> None:
    if not value.type.HasField("tensor_type"):
        return
    tensor = value.type.tensor_type
    if tensor.elem_type:
        info.dtypes[value.name] = tensor.elem_type
    if tensor.HasField("shape"):
        shape: Shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
        info.shapes[value.name] = shape
