"""A pass about networks that keep channels last: they flatten a map so in front of a dense layer."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx

from fsq_edge_compile.checker.rewrites.rewrite import OperatorRewrite
from fsq_edge_compile.checker.rewrites.workbench import Replacement, Workbench, get
from fsq_edge_compile.messages import copied

_TO_LAST = ([0, 2, 1], [0, 2, 3, 1])


class FlattenChannelsFirst(OperatorRewrite):
    """Transpose to channels last, a flat row and a dense layer, as Keras flattens: the weights change order instead.

    Every value meets the weight that it met before.
    """

    name = "flatten-channels-first"
    summary = "a dense layer takes a map channels first, its weights in that order, and the Transpose before it is gone"
    operators = frozenset({"Transpose"})

    def call(self, bench: Workbench) -> list[str]:
        """Replace the flattening node and the dense layers that read it."""
        rows = {node.output[0]: node for node in bench.model.graph.node if self._is_row(bench, node)}

        def change(node: onnx.NodeProto) -> Replacement:
            row = rows.get(node.input[0]) if node.op_type in ("MatMul", "Gemm") and not node.domain else None
            if row is None:
                return None
            source = bench.producers[row.input[0]].input[0]
            flat = bench.node("Flatten", [source], row.name, axis=1)
            copy = copied(node)
            copy.input[0] = flat.output[0]
            copy.input[1] = self._reordered(bench, node, bench.shapes[source])
            return [flat, copy]

        return bench.rewrite(change)

    @staticmethod
    def _is_row(bench: Workbench, node: onnx.NodeProto) -> bool:
        """Whether a node lays a transposed map out as one row a sample that only dense layers with constants read."""
        if node.op_type not in ("Reshape", "Flatten") or node.domain or node.output[0] in bench.outputs:
            return False
        turn = bench.producers.get(node.input[0])
        if turn is None or turn.op_type != "Transpose" or turn.domain or get(turn, "perm") not in _TO_LAST:
            return False
        before, after = bench.shapes.get(turn.input[0]), bench.shapes.get(node.output[0])
        if before is None or None in before or after != (before[0], prod(size or 0 for size in before[1:])):
            return False
        readers = bench.consumers.get(node.output[0], [])
        return bool(readers) and all(
            reader.op_type in ("MatMul", "Gemm")
            and not reader.domain
            and list(reader.input).count(node.output[0]) == 1
            and reader.input[0] == node.output[0]
            and not get(reader, "transA", 0)
            and bench.rank(reader.input[1]) == 2
            and bench.is_constant(reader.input[1])
            for reader in readers
        )

    @staticmethod
    def _reordered(bench: Workbench, dense: onnx.NodeProto, shape: tuple[int | None, ...] | None) -> str:
        """Return the name of the dense layer's weights with their rows in the order of a map (N, C, ...)."""
        weights = bench.constant(dense.input[1])
        channels, *space = (int(size or 0) for size in (shape or ())[1:])
        turned = bool(get(dense, "transB", 0))
        rows = np.asarray(weights).T if turned else np.asarray(weights)
        first = np.moveaxis(rows.reshape(*space, channels, -1), len(space), 0).reshape(rows.shape)
        return bench.add_constant(first.T if turned else first, dense.name, rows.dtype)


PASSES = (FlattenChannelsFirst(),)
