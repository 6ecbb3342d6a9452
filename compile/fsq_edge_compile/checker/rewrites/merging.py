"""Passes that write several nodes as the one operator that they stand for: a padded pool, a sum over a stack."""

from __future__ import annotations

import numpy as np
import onnx

from fsq_edge_compile.checker.graph import positive_axis
from fsq_edge_compile.checker.rewrites.rewrite import OperatorRewrite
from fsq_edge_compile.checker.rewrites.workbench import Replacement, Workbench, get, put
from fsq_edge_compile.messages import copied


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
    """The sum over a new axis along which tensors were stacked is their sum."""

    name = "sum-of-stack"
    summary = "a sum over tensors that were stacked for it is written as Add"
    operators = frozenset({"ReduceSum"})

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Replace the reduction; the stack goes where nothing else reads it."""
        stack = bench.producers.get(node.input[0])
        rank = bench.rank(node.input[0]) or 0
        axes = bench.integers(node, 1, "axes")
        if (
            stack is None
            or stack.op_type != "Concat"
            or stack.domain
            or len(axes or ()) != 1
            or get(node, "keepdims", 1)
        ):
            return None
        axis = positive_axis((axes or [0])[0], rank)
        if positive_axis(get(stack, "axis", 0), rank) != axis or len(stack.input) < 2:
            return None
        sources = [_source(bench, name, axis) for name in stack.input]
        if not all(sources):
            return None
        total, nodes = sources[0], []
        for index, name in enumerate(sources[1:], start=1):
            output = node.output[0] if index == len(sources) - 1 else ""
            nodes.append(bench.node("Add", [total, name], node.name, output))
            total = nodes[-1].output[0]
        return nodes


def _source(bench: Workbench, name: str, axis: int) -> str:
    """Return the tensor to which one new axis was added; an empty string for anything else."""
    maker = bench.producers.get(name)
    if maker is None or maker.op_type != "Unsqueeze" or maker.domain:
        return ""
    added = bench.integers(maker, 1, "axes") or []
    rank = bench.rank(name) or 0
    return str(maker.input[0]) if [positive_axis(item, rank) for item in added] == [axis] else ""


PASSES = (PadIntoMaxPool(), SumOfStack())
