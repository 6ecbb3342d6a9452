"""What a graph computes of its constants alone, computed before it is quantized: weight normalisation, for one."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Final

from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from fsq_edge_runtime.errors import DataError

# What exporters write to compute a weight; anything else is left to the quantizer.
OPERATORS: Final = frozenset((
    "Abs", "Add", "Cast", "Div", "Exp", "MatMul", "Mul", "Neg", "Pow", "ReduceL1", "ReduceL2", "ReduceMean",
    "ReduceSum", "ReduceSumSquare", "Reshape", "Softplus", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze",
))  # fmt: skip
MOST_ELEMENTS: Final = 1 << 24  # of a result
MOST_PRODUCTS: Final = 1 << 30  # of a MatMul


def fold_constants(model: Any) -> list[str]:
    """Put the results of nodes that read only constants in their place, and return the names of those nodes.

    A quantizer takes a weight that is computed in the graph for an activation, and onnxruntime then refuses the result.

    Args:
        model: a ``ModelProto`` with its shapes inferred, changed.

    Raises:
        DataError: such a node cannot be computed.
    """
    graph = model.graph
    values = {entry.name: entry for entry in graph.initializer}
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    outputs = {entry.name for entry in graph.output}
    shapes = {entry.name: entry.type.tensor_type.shape.dim for entry in graph.value_info}
    folded, kept = [], []
    for node in graph.node:
        known = node.op_type in OPERATORS and not node.domain and all(name in values for name in node.input)
        small = all(name in shapes and prod(d.dim_value for d in shapes[name]) <= MOST_ELEMENTS for name in node.output)
        if node.op_type == "MatMul" and known and small:
            rows = values[node.input[0]].dims
            small = prod(rows) * prod(values[node.input[1]].dims[-1:]) <= MOST_PRODUCTS
        if not known or not small or outputs & {*node.output}:
            kept.append(node)
            continue
        read = {name: numpy_helper.to_array(values[name]) for name in node.input}
        name = node.name or node.output[0]
        try:
            made = ReferenceEvaluator(node, opsets=opsets).run(None, read)
        except Exception as error:
            raise DataError(f"the device graph's constant node {name} cannot be computed: {error}") from error
        for result, array in zip(node.output, made, strict=True):
            values[result] = numpy_helper.from_array(array, result)
        folded.append(name)
    if folded:
        del graph.node[:]
        graph.node.extend(kept)
        used = {name for node in kept for name in _names_read(node)} | outputs
        del graph.initializer[:]
        graph.initializer.extend(entry for name, entry in values.items() if name in used)
    return folded


def _names_read(node: Any) -> Iterator[str]:
    """Yield the tensors that a node reads, those inside its branches and loops among them."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (entry.name for entry in graph.output)
            for inner in graph.node:
                yield from _names_read(inner)
