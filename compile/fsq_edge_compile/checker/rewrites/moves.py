"""Passes about moves: two in a row, Squeeze to a series as Reshape, Expand that broadcasting replaces, rank-4 masks."""

from __future__ import annotations

import numpy as np
import onnx

from fsq_edge_compile.checker.operators import ARITHMETIC, RESHAPES
from fsq_edge_compile.checker.rewrites.rewrite import OperatorRewrite
from fsq_edge_compile.checker.rewrites.workbench import Replacement, Workbench
from fsq_edge_compile.messages import copied


class MergeMoves(OperatorRewrite):
    """Two moves in a row that together keep the shape or flatten a map, as none or as one Flatten."""

    name = "merge-moves"
    summary = "two moves in a row that keep the shape or flatten are written as none or as one Flatten"
    operators = RESHAPES

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Replace the second of two; the first goes where nothing else reads it."""
        first = bench.producers.get(node.input[0])
        if first is None or first.op_type not in RESHAPES or first.domain or bench.only_consumer(node.input[0]) is None:
            return None
        before, after = bench.shapes.get(first.input[0]), bench.shapes.get(node.output[0])
        if not before or not after or None in before or None in after or bench.is_constant(first.input[0]):
            return None
        if bench.dtypes.get(first.input[0]) != onnx.TensorProto.FLOAT:
            return None
        if before == after:
            return [bench.node("Identity", [first.input[0]], node.name, node.output[0])]
        if len(before) == 4 and len(after) == 2 and before[0] == after[0]:
            return [bench.node("Flatten", [first.input[0]], node.name, node.output[0], axis=1)]
        return None


class ReshapeInPlaceOfSqueeze(OperatorRewrite):
    """Squeeze of a map to a series, and the Unsqueeze that undoes it, as Reshape."""

    name = "reshape-for-squeeze"
    summary = "Squeeze and Unsqueeze between maps and series are written as Reshape"
    operators = frozenset({"Squeeze", "Unsqueeze"})

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Replace those whose tensors have rank 3 on one side and rank 4 on the other."""
        before, after = bench.shapes.get(node.input[0]), bench.shapes.get(node.output[0])
        if before is None or after is None or None in after:
            return None
        if bench.dtypes.get(node.input[0]) != onnx.TensorProto.FLOAT:
            return None
        if node.output[0] in bench.outputs and len(after) == 3:
            return None  # a Squeeze may end a network, a Reshape was not seen to
        if {len(before), len(after)} != {3, 4} or before[0] != after[0] or bench.is_constant(node.input[0]):
            return None
        target = bench.add_constant([int(size or 0) for size in after], node.name, np.int64)
        return [bench.node("Reshape", [node.input[0], target], node.name, node.output[0])]


class ReshapeInPlaceOfGather(OperatorRewrite):
    """A Gather of every element in order from a flat tensor, as torch's newer exporter writes a view, as Reshape."""

    name = "reshape-for-gather"
    summary = "Gather of all elements in order is written as Reshape"
    operators = frozenset({"Gather"})

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Replace those over a rank-1 tensor whose index counts from 0 to the end."""
        flat, index = bench.shapes.get(node.input[0]), bench.constant(node.input[1])
        maker = bench.producers.get(node.input[0])
        if maker is None or maker.op_type not in ("Reshape", "Flatten") or flat is None or len(flat) != 1:
            return None
        if index is None or index.size != flat[0] or not np.array_equal(index.reshape(-1), np.arange(index.size)):
            return None
        target = bench.add_constant(list(index.shape), node.name, np.int64)
        return [bench.node("Reshape", [maker.input[0], target], node.name, node.output[0])]


class DropExpand(OperatorRewrite):
    """Expand in front of operators that broadcast by themselves."""

    name = "drop-expand"
    summary = "Expand is dropped where its readers broadcast by themselves"
    operators = frozenset({"Expand"})

    def call(self, bench: Workbench) -> list[str]:
        """Let the readers read what Expand reads."""
        renamed = {
            node.output[0]: node.input[0]
            for node in bench.model.graph.node
            if node.op_type == "Expand" and not node.domain and self._is_redundant(bench, node)
        }
        gone = [node.name for node in bench.model.graph.node if node.output and node.output[0] in renamed]
        if renamed:
            bench.rename_inputs(renamed)
            bench.clean()
        return gone

    @staticmethod
    def _is_redundant(bench: Workbench, node: onnx.NodeProto) -> bool:
        full, readers = bench.shapes.get(node.output[0]), bench.consumers.get(node.output[0], [])
        if full is None or not readers or node.output[0] in bench.outputs or bench.is_constant(node.input[0]):
            return False
        return bench.rank(node.input[0]) == len(full) and all(
            reader.op_type in ARITHMETIC
            and any(name != node.output[0] and bench.shapes.get(name) == full for name in reader.input)
            for reader in readers
        )


class MaskOfRank4(OperatorRewrite):
    """A constant of rank 3 that is added to attention scores of rank 4, with its rank written out."""

    name = "mask-rank"
    summary = "constants added to attention scores get the rank of the scores"
    operators = frozenset({"Add"})

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Give the constant a leading axis."""
        reader = bench.only_consumer(node.output[0])
        if bench.rank(node.output[0]) != 4 or reader is None or reader.op_type != "Softmax":
            return None
        for index, name in enumerate(node.input):
            value = bench.constant(name)
            if value is not None and value.ndim == 3:
                copy = copied(node)
                copy.input[index] = bench.add_constant(value[np.newaxis], node.name, value.dtype)
                return [copy]
        return None


PASSES = (MergeMoves(), ReshapeInPlaceOfSqueeze(), ReshapeInPlaceOfGather(), DropExpand(), MaskOfRank4())
