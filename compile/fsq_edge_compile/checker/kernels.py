"""Small numpy versions of the operators that exporters use for shape arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from fsq_edge_compile.checker.graph import as_shape
from fsq_edge_runtime.arrays import AnyArray

MAX_FOLDED_ELEMENTS = 1 << 16

Attributes = Mapping[str, Any]
Kernel = Callable[[list[Any], Attributes], Any]


def run_kernel(op: str, values: list[Any], attributes: Attributes) -> AnyArray | None:
    """Compute one operator over known values.

    Args:
        op: standard operator.
        values: inputs in order, None for one left out. For Shape and Size: the shape itself.
        attributes: plain Python values.

    Returns:
        the result, or None when there is no kernel, it does not apply, or the result is too large to keep.
    """
    kernel = KERNELS.get(op)
    if kernel is None:
        return None
    try:
        with np.errstate(all="ignore"):
            result = kernel(values, attributes)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, ZeroDivisionError, MemoryError):
        return None
    if result is None:
        return None
    result = np.asarray(result)
    return result if result.size <= MAX_FOLDED_ELEMENTS and result.dtype.kind in "fiub" else None


def _bounded(shape: tuple[int, ...]) -> tuple[int, ...]:
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_FOLDED_ELEMENTS:
        raise ValueError("too large to fold")
    return shape


def _axes(values: list[Any], attributes: Attributes, index: int = 1) -> tuple[int, ...] | None:
    if len(values) > index and values[index] is not None:
        return as_shape(values[index])
    given = attributes.get("axes")
    return None if given is None else tuple(given)


def _shape(values: list[Any], attributes: Attributes) -> AnyArray:
    shape: AnyArray = values[0]
    end = attributes.get("end")
    return shape[attributes.get("start", 0) : len(shape) if end is None else end]


def _slice(values: list[Any], attributes: Attributes) -> AnyArray:
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


def _unsqueeze(values: list[Any], attributes: Attributes) -> AnyArray:
    axes = _axes(values, attributes) or ()
    rank = values[0].ndim + len(axes)
    return np.asarray(np.expand_dims(values[0], tuple(axis + rank if axis < 0 else axis for axis in axes)))


def _squeeze(values: list[Any], attributes: Attributes) -> AnyArray:
    axes = _axes(values, attributes)
    return np.asarray(np.squeeze(values[0], axis=None if axes is None else tuple(axes)))


def _reshape(values: list[Any], attributes: Attributes) -> AnyArray:
    data, target = values[0], list(as_shape(values[1]))
    if not attributes.get("allowzero", 0):
        target = [data.shape[index] if size == 0 else size for index, size in enumerate(target)]
    return np.reshape(data, target)


def _constant_of_shape(values: list[Any], attributes: Attributes) -> AnyArray:
    shape = _bounded(as_shape(values[0]))
    given = attributes.get("value")
    fill = np.zeros(1, np.float32) if given is None else numpy_helper.to_array(given)
    return np.full(shape, fill.reshape(-1)[0], dtype=fill.dtype)


def _range(values: list[Any], attributes: Attributes) -> AnyArray:
    start, limit, step = (value.reshape(-1)[0] for value in values)
    _bounded((max(0, math.ceil((float(limit) - float(start)) / float(step))),))
    return np.arange(start, limit, step, dtype=values[0].dtype)


def _cast(values: list[Any], attributes: Attributes) -> AnyArray:
    return np.asarray(values[0].astype(onnx.helper.tensor_dtype_to_np_dtype(attributes["to"])))


def _expand(values: list[Any], attributes: Attributes) -> AnyArray:
    shape = np.broadcast_shapes(values[0].shape, _bounded(as_shape(values[1])))
    return np.broadcast_to(values[0], _bounded(shape))


def _divide(values: list[Any], attributes: Attributes) -> AnyArray:
    left, right = values
    if left.dtype.kind in "iu":
        # ONNX integer division truncates towards zero.
        return np.asarray(np.sign(left) * np.sign(right) * (np.abs(left) // np.abs(right)), dtype=left.dtype)
    return np.asarray(left / right)


def _tile(values: list[Any], attributes: Attributes) -> AnyArray:
    repeats = as_shape(values[1])
    _bounded(tuple(size * repeat for size, repeat in zip(values[0].shape, repeats, strict=True)))
    return np.tile(values[0], repeats)


def _reduce(function: Callable[..., Any]) -> Kernel:
    def kernel(values: list[Any], attributes: Attributes) -> AnyArray:
        axes = _axes(values, attributes)
        keep = bool(attributes.get("keepdims", 1))
        if axes is None and attributes.get("noop_with_empty_axes", 0):
            return np.asarray(values[0])
        return np.asarray(function(values[0], axis=axes, keepdims=keep)).astype(values[0].dtype)

    return kernel


def _fold_left(function: Callable[..., Any]) -> Kernel:
    def kernel(values: list[Any], attributes: Attributes) -> AnyArray:
        result = values[0]
        for value in values[1:]:
            result = function(result, value)
        return np.asarray(result)

    return kernel


def _plain(function: Callable[..., Any]) -> Kernel:
    def kernel(values: list[Any], attributes: Attributes) -> AnyArray:
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
