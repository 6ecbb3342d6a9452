"""Folds what is known before the network runs: shape arithmetic, constant sub-graphs, `If` on a constant.

Small values are computed with numpy; a node over large constants becomes a stand-in of its inferred shape. Nothing
here reads a weight, so a graph of any size folds in time linear in its nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from fsq_edge_compile.checker.graph import Array, Shape, as_shape
from fsq_edge_compile.checker.loading import LightModel, StandIn

MAX_FOLDED_ELEMENTS = 1 << 16
MAX_ROUNDS = 8
# Integers up to this many elements may be a shape: without a kernel for them they are left to the simplifier.
MAX_SHAPE_ELEMENTS = 64

Attributes = Mapping[str, Any]
Kernel = Callable[[list[Any], Attributes], Any]

# Random, no tensors, or meant to stay: folding a quantised weight would hide that the model is quantised.
NEVER_FOLDED = frozenset(
    {
        "SequenceEmpty",
        "SequenceConstruct",
        "Optional",
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        "Bernoulli",
        "Multinomial",
    }
)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What shape inference found: shapes (None for an unknown size) and element types by tensor name."""

    shapes: dict[str, Shape]
    dtypes: dict[str, int]


def fold_once(light: LightModel, info: TensorInfo) -> int:
    """Fold every node whose result is known, in one pass in graph order.

    Args:
        light: changed in place: folded nodes go, their results become constants or stand-ins.
        info: shapes from inference over the same model.

    Returns:
        how many nodes went; another inference may then make more of them known.
    """
    graph = light.proto.graph
    kept: list[onnx.NodeProto] = []
    folded = 0
    for node in graph.node:
        if _fold_node(light, node, info):
            folded += 1
        elif branch := _constant_branch(light, node):
            kept.extend(branch)
            folded += 1
        else:
            kept.append(node)
    if not folded:
        return 0
    kept = [_copy(node) for node in kept]
    del graph.node[:]
    graph.node.extend(kept)
    return folded


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def _fold_node(light: LightModel, node: onnx.NodeProto, info: TensorInfo) -> bool:
    if node.domain or node.op_type in NEVER_FOLDED or not node.output:
        return False
    if any(attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for attribute in node.attribute):
        return False
    values: list[Any] = []
    if node.op_type in ("Shape", "Size"):
        shape = info.shapes.get(node.input[0]) if node.input else None
        if shape is None or any(size is None for size in shape):
            return False
        values = [np.asarray(shape, dtype=np.int64)]
    elif not all(not name or name in light.constants or name in light.stand_ins for name in node.input):
        return False
    elif all(not name or name in light.constants for name in node.input):
        values = [light.constants[name] if name else None for name in node.input]
    result = _compute(node, values) if values or not node.input else None
    if result is not None and len(node.output) == 1:
        _store(light, node.output[0], result)
        return True
    return _as_stand_ins(light, node, info)


def _as_stand_ins(light: LightModel, node: onnx.NodeProto, info: TensorInfo) -> bool:
    if node.op_type in ("Shape", "Size"):
        return False
    found: dict[str, StandIn] = {}
    for name in node.output:
        if not name:
            continue
        shape, dtype = info.shapes.get(name), info.dtypes.get(name)
        if shape is None or dtype is None or any(size is None for size in shape):
            return False
        known = all(item in light.constants for item in node.input if item)
        if known and dtype in (onnx.TensorProto.INT64, onnx.TensorProto.INT32) and _count(shape) <= MAX_SHAPE_ELEMENTS:
            return False
        found[name] = StandIn(dtype, tuple(size or 0 for size in shape))
    for name, stand_in in found.items():
        light.stand_ins[name] = stand_in
        light.proto.graph.input.append(onnx.helper.make_tensor_value_info(name, stand_in.dtype, stand_in.shape))
    return True


def _count(shape: Shape) -> int:
    return math.prod(size or 0 for size in shape)


def _store(light: LightModel, name: str, value: Array) -> None:
    light.constants[name] = value
    dense = np.ascontiguousarray(value).reshape(value.shape)
    light.proto.graph.initializer.append(numpy_helper.from_array(dense, name))


def _compute(node: onnx.NodeProto, values: list[Any]) -> Array | None:
    """Run one node over known values; None when there is no kernel for it or it does not apply."""
    kernel = KERNELS.get(node.op_type)
    if kernel is None:
        return None
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    try:
        with np.errstate(all="ignore"):
            result = kernel(values, attributes)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, ZeroDivisionError, MemoryError):
        return None
    if result is None:
        return None
    result = np.asarray(result)
    return result if result.size <= MAX_FOLDED_ELEMENTS and result.dtype.kind in "fiub" else None


def _constant_branch(light: LightModel, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return the nodes of the branch that an ``If`` on a constant takes; empty when it is no such ``If``."""
    if node.op_type != "If" or node.domain or node.input[0] not in light.constants:
        return []
    taken = "then_branch" if bool(np.all(light.constants[node.input[0]])) else "else_branch"
    branch = next((attribute.g for attribute in node.attribute if attribute.name == taken), None)
    if branch is None or branch.sparse_initializer or len(branch.output) != len(node.output):
        return []
    local = {name for inner in branch.node for name in inner.output if name}
    local |= {tensor.name for tensor in branch.initializer}
    prefix = f"{node.name}/{taken}/"
    renamed = {name: prefix + name for name in local}
    nodes: list[onnx.NodeProto] = []
    for tensor in branch.initializer:
        constant = onnx.helper.make_node("Constant", [], [renamed[tensor.name]], value=tensor)
        constant.name = prefix + tensor.name
        nodes.append(constant)
    for index, inner in enumerate(branch.node):
        copy = _copy(inner)
        copy.name = prefix + (inner.name or f"{inner.op_type}_{index}")
        copy.input[:] = [renamed.get(name, name) for name in inner.input]
        copy.output[:] = [renamed.get(name, name) for name in inner.output]
        nodes.append(copy)
    for outer, inner_output in zip(node.output, branch.output, strict=True):
        name = renamed.get(inner_output.name, inner_output.name)
        nodes.append(onnx.helper.make_node("Identity", [name], [outer], name=f"{prefix}{outer}"))
    return nodes


def _bounded(shape: tuple[int, ...]) -> tuple[int, ...]:
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_FOLDED_ELEMENTS:
        raise ValueError("too large to fold")
    return shape


def _axes(values: list[Any], attributes: Attributes, index: int = 1) -> tuple[int, ...] | None:
    if len(values) > index and values[index] is not None:
        return as_shape(values[index])
    given = attributes.get("axes")
    return None if given is None else tuple(given)


def _shape(values: list[Any], attributes: Attributes) -> Array:
    shape: Array = values[0]
    end = attributes.get("end")
    return shape[attributes.get("start", 0) : len(shape) if end is None else end]


def _slice(values: list[Any], attributes: Attributes) -> Array:
    data = values[0]
    starts = as_shape(attributes["starts"] if len(values) < 2 else values[1])
    ends = as_shape(attributes["ends"] if len(values) < 3 else values[2])
    axes = attributes.get("axes") if len(values) < 4 or values[3] is None else as_shape(values[3])
    steps = as_shape(values[4]) if len(values) > 4 and values[4] is not None else (1,) * len(starts)
    cut = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes or range(len(starts)), steps, strict=True):
        size = data.shape[axis]
        low = max(start + size, 0) if start < 0 else min(start, size)
        high: int | None = end + size if end < 0 else min(end, size)
        if step < 0:
            low = min(low, size - 1)
            high = None if high is not None and high < 0 else high
        cut[axis] = slice(low, high, step)
    return np.asarray(data[tuple(cut)])


def _unsqueeze(values: list[Any], attributes: Attributes) -> Array:
    axes = _axes(values, attributes) or ()
    rank = values[0].ndim + len(axes)
    return np.asarray(np.expand_dims(values[0], tuple(axis + rank if axis < 0 else axis for axis in axes)))


def _squeeze(values: list[Any], attributes: Attributes) -> Array:
    axes = _axes(values, attributes)
    return np.asarray(np.squeeze(values[0], axis=None if axes is None else tuple(axes)))


def _reshape(values: list[Any], attributes: Attributes) -> Array:
    data, target = values[0], list(as_shape(values[1]))
    if not attributes.get("allowzero", 0):
        target = [data.shape[index] if size == 0 else size for index, size in enumerate(target)]
    return np.reshape(data, target)


def _constant_of_shape(values: list[Any], attributes: Attributes) -> Array:
    shape = _bounded(as_shape(values[0]))
    given = attributes.get("value")
    fill = np.zeros(1, np.float32) if given is None else numpy_helper.to_array(given)
    return np.full(shape, fill.reshape(-1)[0], dtype=fill.dtype)


def _range(values: list[Any], attributes: Attributes) -> Array:
    start, limit, step = (value.reshape(-1)[0] for value in values)
    _bounded((max(0, math.ceil((float(limit) - float(start)) / float(step))),))
    return np.arange(start, limit, step, dtype=values[0].dtype)


def _cast(values: list[Any], attributes: Attributes) -> Array:
    return np.asarray(values[0].astype(onnx.helper.tensor_dtype_to_np_dtype(attributes["to"])))


def _expand(values: list[Any], attributes: Attributes) -> Array:
    shape = np.broadcast_shapes(values[0].shape, _bounded(as_shape(values[1])))
    return np.broadcast_to(values[0], _bounded(shape))


def _divide(values: list[Any], attributes: Attributes) -> Array:
    left, right = values
    if left.dtype.kind in "iu":
        # ONNX integer division truncates towards zero.
        return np.asarray(np.sign(left) * np.sign(right) * (np.abs(left) // np.abs(right)), dtype=left.dtype)
    return np.asarray(left / right)


def _tile(values: list[Any], attributes: Attributes) -> Array:
    repeats = as_shape(values[1])
    _bounded(tuple(size * repeat for size, repeat in zip(values[0].shape, repeats, strict=True)))
    return np.tile(values[0], repeats)


def _reduce(function: Callable[..., Any]) -> Kernel:
    def kernel(values: list[Any], attributes: Attributes) -> Array:
        axes = _axes(values, attributes)
        keep = bool(attributes.get("keepdims", 1))
        if axes is None and attributes.get("noop_with_empty_axes", 0):
            return np.asarray(values[0])
        return np.asarray(function(values[0], axis=axes, keepdims=keep)).astype(values[0].dtype)

    return kernel


def _fold_left(function: Callable[..., Any]) -> Kernel:
    def kernel(values: list[Any], attributes: Attributes) -> Array:
        result = values[0]
        for value in values[1:]:
            result = function(result, value)
        return np.asarray(result)

    return kernel


def _plain(function: Callable[..., Any]) -> Kernel:
    def kernel(values: list[Any], attributes: Attributes) -> Array:
        result = np.asarray(function(*values))
        return result if result.dtype.kind == "b" else result.astype(values[0].dtype)

    return kernel


KERNELS: dict[str, Kernel] = {
    "Constant": lambda values, attributes: numpy_helper.to_array(attributes["value"]),
    "Shape": _shape,
    "Size": lambda values, attributes: np.asarray(np.prod(values[0], dtype=np.int64)),
    "Identity": lambda values, attributes: values[0],
    "Gather": lambda values, attributes: np.take(values[0], values[1].astype(np.int64), axis=attributes.get("axis", 0)),
    "Concat": lambda values, attributes: np.concatenate(values, axis=attributes["axis"]),
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Cast": _cast,
    "Reshape": _reshape,
    "Transpose": lambda values, attributes: np.transpose(values[0], attributes.get("perm")),
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "Expand": _expand,
    "Tile": _tile,
    "Where": lambda values, attributes: np.where(values[0], values[1], values[2]),
    "Add": _plain(np.add),
    "Sub": _plain(np.subtract),
    "Mul": _plain(np.multiply),
    "Div": _divide,
    "Mod": lambda values, attributes: (np.fmod if attributes.get("fmod", 0) else np.mod)(values[0], values[1]),
    "Pow": _plain(np.power),
    "Neg": _plain(np.negative),
    "Abs": _plain(np.abs),
    "Sqrt": _plain(np.sqrt),
    "Exp": _plain(np.exp),
    "Log": _plain(np.log),
    "Reciprocal": _plain(np.reciprocal),
    "Floor": _plain(np.floor),
    "Ceil": _plain(np.ceil),
    "Round": _plain(np.rint),
    "Sign": _plain(np.sign),
    "Not": _plain(np.logical_not),
    "And": _plain(np.logical_and),
    "Or": _plain(np.logical_or),
    "Equal": _plain(np.equal),
    "Greater": _plain(np.greater),
    "Less": _plain(np.less),
    "GreaterOrEqual": _plain(np.greater_equal),
    "LessOrEqual": _plain(np.less_equal),
    "Min": _fold_left(np.minimum),
    "Max": _fold_left(np.maximum),
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
}
