"""Passes that write several nodes as the one operator that they stand for: a padded pool, a sum over a stack."""

from __future__ import annotations

import numpy as np
import onnx

from fsq_edge_compile.checker.graph import positive_axis
from fsq_edge_compile.checker.rewrites.rewrite import OperatorRewrite
from fsq_edge_compile.checker.rewrites.workbench import Replacement, Workbench, get, put
from fsq_edge_compile.messages import copied
from fsq_edge_runtime.arrays import AnyArray

# Scalings between a stack and the sum over it; exporters write one.
MAX_SCALINGS = 4


class PadIntoMaxPool(OperatorRewrite):
    """Minus infinity around a map in front of a max pool is the pool's own padding."""

    name = "pad-into-pool"
    summary = "a Pad with minus infinity in front of a MaxPool becomes its padding"
    operators = frozenset({"Pad"})

    def call(self, bench: Workbench) -> list[str]:
        """Add the pads to those of the pool; the Pad goes where nothing else reads it."""
        return bench.rewrite(lambda node: self._change(bench, node))

    @staticmethod
    def _change(bench: Workbench, node: onnx.NodeProto) -> Replacement:
        pad = bench.producers.get(node.input[0]) if node.op_type == "MaxPool" and not node.domain else None
        if pad is None or pad.op_type != "Pad" or pad.domain or get(pad, "mode", "constant") != "constant":
            return None
        value = bench.scalar(pad.input[2]) if len(pad.input) > 2 and pad.input[2] else get(pad, "value", 0.0)
        pads, rank = bench.integers(pad, 1, "pads"), bench.rank(node.input[0]) or 0
        if value != -np.inf or not pads or len(pads) != 2 * rank or rank < 3 or (len(pad.input) > 3 and pad.input[3]):
            return None
        space, kernel = rank - 2, get(node, "kernel_shape", [])
        known = get(node, "pads", [0] * (2 * space))
        total = [old + new for old, new in zip(known, [*pads[2:rank], *pads[rank + 2 :]], strict=True)]
        unpadded = not any(pads[:2]) and not any(pads[rank : rank + 2])
        if not unpadded or min(pads) < 0 or get(node, "auto_pad", "NOTSET") != "NOTSET":
            return None
        if any(size >= edge for size, edge in zip(total, [*kernel, *kernel], strict=True)):
            return None  # ONNX wants pads below the kernel
        copy = copied(node)
        copy.input[0] = pad.input[0]
        put(copy, "pads", total)
        return [copy]


class SumOfStack(OperatorRewrite):
    """The sum or mean over a new axis along which tensors were stacked is their sum, each times its constant weight."""

    name = "sum-of-stack"
    summary = "a sum over tensors that were stacked for it is written as Add"
    operators = frozenset({"ReduceSum", "ReduceMean", "Squeeze"})

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Replace the node that ends the stack's axis; the stack goes where nothing else reads it."""
        reduction = bench.producers.get(node.input[0]) if node.op_type == "Squeeze" else node
        if reduction is None or reduction.domain or reduction.op_type not in ("ReduceSum", "ReduceMean"):
            return None
        axis = _only_axis(bench, reduction)
        kept = bool(get(reduction, "keepdims", 1))
        if axis is None or kept == (node is reduction) or _only_axis(bench, node) != axis:
            return None
        members = _members(bench, reduction.input[0], axis)
        if len(members) < 2:
            return None
        share = 1.0 / len(members) if reduction.op_type == "ReduceMean" else 1.0
        return _weighted_sum(bench, node, [(source, weight * share) for source, weight in members])


def _weighted_sum(bench: Workbench, node: onnx.NodeProto, members: list[tuple[str, float]]) -> list[onnx.NodeProto]:
    """Return the nodes that add tensors of one shape, each times its weight, in place of ``node``."""
    nodes: list[onnx.NodeProto] = []
    total = ""
    for index, (part, weight) in enumerate(members):
        if weight != 1.0:
            constant = bench.add_constant(np.full([1] * (bench.rank(part) or 0), weight), node.name)
            nodes.append(bench.node("Mul", [part, constant], node.name))
            part = nodes[-1].output[0]
        if total:
            output = node.output[0] if index == len(members) - 1 else ""
            nodes.append(bench.node("Add", [total, part], node.name, output))
            part = nodes[-1].output[0]
        total = part
    return nodes


def _only_axis(bench: Workbench, node: onnx.NodeProto) -> int | None:
    """Return the axis that a reduction or a Squeeze names, counted from the front; None when it is not one axis."""
    axes, rank = bench.integers(node, 1, "axes") or [], bench.rank(node.input[0])
    return positive_axis(axes[0], rank) if len(axes) == 1 and rank is not None else None


def _members(bench: Workbench, name: str, axis: int) -> list[tuple[str, float]]:
    """Return the tensors that were stacked along an axis, each with its weight; nothing for anything but a stack."""
    weights = np.ones(1)
    for _ in range(MAX_SCALINGS):
        maker = bench.producers.get(name)
        if maker is None or maker.domain:
            return []
        if maker.op_type == "Concat":
            sources = [_source(bench, item, axis) for item in maker.input]
            known = all(sources) and positive_axis(get(maker, "axis", 0), bench.rank(name) or 0) == axis
            if not known or weights.size not in (1, len(sources)):
                return []
            return list(zip(sources, np.broadcast_to(weights, len(sources)).tolist(), strict=True))
        found = _scaling(bench, maker, axis)
        if found is None:
            return []
        name, factors = found
        weights = weights * factors
    return []


def _scaling(bench: Workbench, node: onnx.NodeProto, axis: int) -> tuple[str, AnyArray] | None:
    """Return what a Mul or Div by constants scales, and one factor for each place along the axis or one for all."""
    places = {"Mul": (0, 1), "Div": (1,)}.get(node.op_type, ())
    place = next((index for index in places if bench.is_constant(node.input[index])), None)
    value = bench.constant(node.input[place]) if place is not None else None
    rank = bench.rank(node.output[0])
    if place is None or value is None or rank is None or value.ndim > rank or value.dtype != np.float32:
        return None
    shape = (1,) * (rank - value.ndim) + value.shape
    if value.size != shape[axis] or (node.op_type == "Div" and not value.all()):
        return None
    factors = value.reshape(-1).astype(np.float64)
    return node.input[1 - place], 1.0 / factors if node.op_type == "Div" else factors


def _source(bench: Workbench, name: str, axis: int) -> str:
    """Return the tensor to which one new axis was added; an empty string for anything else."""
    maker = bench.producers.get(name)
    if maker is None or maker.domain or maker.op_type not in ("Unsqueeze", "Reshape"):
        return ""
    before, after = bench.shapes.get(maker.input[0]), bench.shapes.get(name)
    if before is None or after is None or len(after) != len(before) + 1 or after[axis] != 1:
        return ""
    if maker.op_type == "Reshape":
        same = None not in before and (*after[:axis], *after[axis + 1 :]) == before
        return str(maker.input[0]) if same else ""
    added = bench.integers(maker, 1, "axes") or []
    return str(maker.input[0]) if [positive_axis(item, len(after)) for item in added] == [axis] else ""


PASSES = (PadIntoMaxPool(), SumOfStack())
