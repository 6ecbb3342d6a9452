"""Computes the operators of shape arithmetic with onnx's own reference implementation, within bounds on size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from fsq_edge_compile.checker.graph import as_shape
from fsq_edge_compile.checker.operators import ARITHMETIC, COMPARISONS, MOVES
from fsq_edge_runtime.arrays import AnyArray

MAX_FOLDED_ELEMENTS = 1 << 16

# Elementwise operators, with numpy's broadcasting.
_BROADCAST = ARITHMETIC | COMPARISONS | {"Mod", "Pow", "Min", "Max", "Where", "And", "Or"}
# The result is no larger than the inputs together.
_FUNCTIONS = {"Neg", "Abs", "Sqrt", "Exp", "Log", "Reciprocal", "Floor", "Ceil", "Round", "Sign", "Not", "Clip", "Relu"}
_REDUCTIONS = {"ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean"}
_PARTS = {"Identity", "Concat", "Slice", "Split", "Cast"}
_BOUNDED = (MOVES - {"Flatten"}) | _PARTS | _FUNCTIONS | _REDUCTIONS


def compute(node: onnx.NodeProto, values: Sequence[AnyArray | None], opset: int) -> list[AnyArray] | None:
    """Compute one node over known values.

    Args:
        node: of the standard domain.
        values: its inputs in order, None for one left out.
        opset: of the model.

    Returns:
        the outputs in order; None when the operator is no shape arithmetic, does not apply, or makes too much.
    """
    bound = _BOUNDS.get(node.op_type)
    try:
        if bound is None or not bound(values) <= MAX_FOLDED_ELEMENTS:
            return None
        feeds = {name: value for name, value in zip(node.input, values, strict=True) if name and value is not None}
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(_as_model(node, opset)).run(None, feeds)
    except Exception:  # noqa: BLE001 - a contradictory node may fail in any way; it is then left as it is
        return None
    results = [np.asarray(item) for item in found]
    if any(item.size > MAX_FOLDED_ELEMENTS or item.dtype.kind not in "fiub" for item in results):
        return None
    return results


def result_bound(node: onnx.NodeProto, values: Sequence[AnyArray | None]) -> int:
    """Return how many elements a node of shape arithmetic makes at most; 0 where that is not known."""
    try:
        bound = _BOUNDS.get(node.op_type)
        return int(bound(values)) if bound is not None and not node.domain else 0
    except Exception:  # noqa: BLE001 - a contradictory node may fail in any way; nothing is known of it
        return 0


def _as_model(node: onnx.NodeProto, opset: int) -> onnx.ModelProto:
    """Wrap one node, because the evaluator reads a bare node as of the newest opset."""
    graph = onnx.GraphProto(name="node")
    graph.node.append(node)
    for name in dict.fromkeys(name for name in node.input if name):
        graph.input.add(name=name)
    for name in node.output:
        graph.output.add(name=name)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])


def compute_shape(node: onnx.NodeProto, shape: Sequence[int]) -> AnyArray:
    """Return the result of Shape or Size for an input of known sizes."""
    if node.op_type == "Size":
        return np.asarray(math.prod(shape), dtype=np.int64)
    given = {attribute.name: attribute.i for attribute in node.attribute}
    return np.asarray(list(shape)[given.get("start", 0) : given.get("end", len(shape))], dtype=np.int64)


def _counted(values: Sequence[Any]) -> int:
    start, limit, step = (float(value.reshape(-1)[0]) for value in values)
    return max(0, math.ceil((limit - start) / step))


def _product(sizes: Sequence[int]) -> int:
    """Return the product of sizes; an impossible one counts as too large."""
    return MAX_FOLDED_ELEMENTS + 1 if any(size < 0 for size in sizes) else math.prod(sizes)


# For each operator how many elements its result has, or at most has.
_BOUNDS: dict[str, Callable[[Sequence[Any]], int]] = {
    **dict.fromkeys(_BROADCAST, lambda values: math.prod(np.broadcast_shapes(*(value.shape for value in values)))),
    **dict.fromkeys(_BOUNDED, lambda values: sum(value.size for value in values if value is not None)),
    "Gather": lambda values: int(values[0].size * values[1].size),
    "ConstantOfShape": lambda values: _product(as_shape(values[0])),
    "Expand": lambda values: _product(np.broadcast_shapes(values[0].shape, as_shape(values[1]))),
    "Tile": lambda values: int(values[0].size * _product(as_shape(values[1]))),
    "Range": _counted,
}
