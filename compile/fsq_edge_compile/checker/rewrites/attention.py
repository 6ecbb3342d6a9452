"""Passes about attention as torch's newer exporter writes it: a guard against no number, and a turn at rank 3."""

from __future__ import annotations

import numpy as np
import onnx

from fsq_edge_compile.checker.rewrites.rewrite import OperatorRewrite
from fsq_edge_compile.checker.rewrites.workbench import Replacement, Workbench, get

# Scale and mask lie between the product of query and key and its Softmax.
MAX_STEPS = 4
# The turn of the last two axes, at rank 3 and at rank 4.
_LAST_TWO_OF_3, _LAST_TWO_OF_4 = [0, 2, 1], [0, 1, 3, 2]


class DropNanGuard(OperatorRewrite):
    """Where(IsNaN(p), 0, p) behind a Softmax over scores that are finite, so that p always is a number."""

    name = "drop-nan-guard"
    summary = "a guard against rows that a mask leaves empty is dropped where no mask does"
    operators = frozenset({"Where"})

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Let the guard's readers read the Softmax."""
        test, softmax = bench.producers.get(node.input[0]), bench.producers.get(node.input[2])
        if test is None or test.op_type != "IsNaN" or test.domain or test.input[0] != node.input[2]:
            return None
        if softmax is None or softmax.op_type != "Softmax" or softmax.domain or bench.scalar(node.input[1]) != 0.0:
            return None
        if not _is_finite(bench, softmax.input[0]):
            return None
        return [bench.node("Identity", [node.input[2]], node.name, node.output[0])]


def _is_finite(bench: Workbench, name: str) -> bool:
    """Whether scores are a product, scaled and masked by finite constants alone."""
    for _ in range(MAX_STEPS):
        maker = bench.producers.get(name)
        if maker is None or maker.domain:
            return False
        if maker.op_type == "MatMul":
            return True
        places = [index for index, item in enumerate(maker.input) if bench.is_constant(item)]
        if maker.op_type not in ("Add", "Mul", "Div") or len(maker.input) != 2 or len(places) != 1:
            return False
        value = bench.constant(maker.input[places[0]])
        if value is None or not np.isfinite(value).all() or (maker.op_type == "Div" and places[0] == 0):
            return False
        name = maker.input[1 - places[0]]
    return False


class TurnAtRank4(OperatorRewrite):
    """Heads that are folded into the batch, turned and unfolded, as one Transpose of rank 4."""

    name = "turn-at-rank-4"
    summary = "Reshape, Transpose and Reshape that turn the last two axes at rank 3 are one Transpose of rank 4"
    operators = frozenset({"Reshape"})

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Replace the last of the three, together with a Transpose in front of them."""
        turn = bench.producers.get(node.input[0])
        fold = bench.producers.get(turn.input[0]) if turn is not None and turn.op_type == "Transpose" else None
        if turn is None or fold is None or fold.op_type != "Reshape" or fold.domain or turn.domain:
            return None
        if get(turn, "perm") != _LAST_TWO_OF_3 or not all(map(bench.only_consumer, (turn.input[0], node.input[0]))):
            return None
        before, folded, after = (bench.shapes.get(name) for name in (fold.input[0], turn.input[0], node.output[0]))
        if before is None or after is None or len(before) != 4 or None in before:
            return None
        one, heads, rows, columns = (size or 0 for size in before)
        if folded != (one * heads, rows, columns) or after != (one, heads, columns, rows):
            return None
        source, permutation = fold.input[0], _LAST_TWO_OF_4
        first = bench.producers.get(source)
        if first is not None and first.op_type == "Transpose" and not first.domain and bench.only_consumer(source):
            earlier = get(first, "perm")
            source, permutation = first.input[0], [earlier[axis] for axis in permutation]
        return [bench.node("Transpose", [source], node.name, node.output[0], perm=permutation)]


PASSES = (DropNanGuard(), TurnAtRank4())
