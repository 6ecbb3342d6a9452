"""Sizes of a graph: multiply-accumulates, parameters and activations, node by node."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fsq_edge_compile.checker.graph import Graph, Node, elements


@dataclass(frozen=True, slots=True)
class NodeSize:
    """What one node costs for one input of batch 1.

    Attributes:
        macs: multiply-accumulates of convolutions, dense layers and products; 0 for everything else.
        parameters: elements of its constant inputs.
        activation: elements of its outputs; 0 where a shape is not known.
    """

    macs: int = 0
    parameters: int = 0
    activation: int = 0


def node_size(graph: Graph, node: Node) -> NodeSize:
    """Return the size of one node."""
    constants = {name for name in node.inputs if name and graph.is_constant(name)}
    parameters = sum(elements(graph.shape(name)) or 0 for name in constants) if node.op not in _SHAPED else 0
    activation = sum(elements(graph.shape(name)) or 0 for name in node.outputs if name)
    return NodeSize(_macs(graph, node), parameters, activation)


# Their constant inputs are shapes, axes and bounds.
_SHAPED = frozenset({"Reshape", "Slice", "Resize", "Pad", "Squeeze", "Unsqueeze", "Split", "Tile", "Expand", "Clip"})


def _macs(graph: Graph, node: Node) -> int:
    out = elements(graph.shape(node.outputs[0])) if node.outputs else None
    weights = graph.shape(node.input(1))
    if out is None or weights is None or node.domain:
        return 0
    sizes = [size or 0 for size in weights]
    if node.op == "Conv" and len(sizes) > 2:
        return out * math.prod(sizes[1:])
    if node.op == "ConvTranspose" and len(sizes) > 2:
        source = elements(graph.shape(node.input(0))) or 0
        return source * math.prod(sizes[1:])
    if node.op == "Gemm" and len(sizes) == 2:
        return out * (sizes[1] if node.attribute("transB", 0) else sizes[0])
    if node.op == "MatMul" and sizes:
        return out * (sizes[-2] if len(sizes) > 1 else sizes[0])
    return 0
