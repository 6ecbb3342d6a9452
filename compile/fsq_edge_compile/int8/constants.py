"""What a graph computes of its constants alone, computed before it is quantized: weight normalisation, for one."""

from __future__ import annotations

from typing import Any

from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator


def fold_constants(model: Any) -> list[str]:
    """Put the results of nodes that read only constants in their place, and return the names of those nodes.

    A quantizer takes a weight that is computed in the graph for an activation, and onnxruntime then refuses the result.

    Args:
        model: a ``ModelProto``, changed.
    """
    graph = model.graph
    values = {entry.name: entry for entry in graph.initializer}
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    outputs = {entry.name for entry in graph.output}
    folded, kept = [], []
    for node in graph.node:
        if node.domain or not node.input or not all(name in values for name in node.input) or outputs & {*node.output}:
            kept.append(node)
            continue
        read = {name: numpy_helper.to_array(values[name]) for name in node.input}
        made = ReferenceEvaluator(node, opsets=opsets).run(None, read)
        for name, array in zip(node.output, made, strict=True):
            values[name] = numpy_helper.from_array(array, name)
        folded.append(node.name or node.output[0])
    if folded:
        del graph.node[:]
        graph.node.extend(kept)
        used = {name for node in kept for name in node.input} | outputs
        del graph.initializer[:]
        graph.initializer.extend(entry for name, entry in values.items() if name in used)
    return folded
