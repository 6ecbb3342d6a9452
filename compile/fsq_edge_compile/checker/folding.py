"""Folds what is known before the network runs: shape arithmetic, constant sub-graphs, `If` on a constant.

Small values are computed; a node over large constants becomes a stand-in of its inferred shape. Nothing
here reads a weight, so a graph of any size folds in time linear in its nodes.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import numpy_helper

from fsq_edge_compile.checker.graph import Shape
from fsq_edge_compile.checker.inference import TensorInfo, infer
from fsq_edge_compile.checker.kernels import compute, compute_shape
from fsq_edge_compile.checker.loading import LightModel, StandIn
from fsq_edge_compile.messages import copied, set_nodes
from fsq_edge_runtime.arrays import AnyArray

# Nodes looked at over all rounds: enough for hundreds of rounds over a usual network, a few over the largest.
MAX_VISITS = 600_000
# Integers up to this many elements may be a shape: without a kernel for them they are left to the simplifier.
MAX_SHAPE_ELEMENTS = 64
# No constant of a real network is larger: half of what a 32-bit address reaches, in float32.
MAX_STAND_IN_ELEMENTS = 1 << 30


# Random, no tensors, or meant to stay: folding a quantised weight would hide that the model is quantised.
_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
_QUANTIZED = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
NEVER_FOLDED = frozenset({"SequenceEmpty", "SequenceConstruct", "Optional"} | _RANDOM | _QUANTIZED)


def fold(light: LightModel) -> TensorInfo:
    """Fold until nothing more is known, and return the shapes and types of what is left.

    Each shape that folds may make the next one known, so long chains take many rounds. The rounds are bounded by the
    nodes that they look at.
    """
    info = infer(light.proto)
    visits = 0
    while fold_once(light, info):
        visits += len(light.proto.graph.node)
        info = infer(light.proto)
        if visits > MAX_VISITS:
            break
    return info


def fold_once(light: LightModel, info: TensorInfo) -> int:
    """Fold every node whose result is known, in one pass in graph order.

    Args:
        light: changed in place: folded nodes go, their results become constants or stand-ins.
        info: shapes from inference over the same model.

    Returns:
        how many nodes went; another inference may then make more of them known.
    """
    graph = light.proto.graph
    kept: list[onnx.NodeProto] = []
    folded = 0
    for node in graph.node:
        if _fold_node(light, node, info):
            folded += 1
        elif branch := _constant_branch(light, node):
            kept.extend(branch)
            folded += 1
        else:
            kept.append(node)
    if not folded:
        return 0
    set_nodes(graph, [copied(node) for node in kept])
    return folded


def _fold_node(light: LightModel, node: onnx.NodeProto, info: TensorInfo) -> bool:
    if node.domain or node.op_type in NEVER_FOLDED or not node.output:
        return False
    if any(attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for attribute in node.attribute):
        return False
    if node.op_type in ("Shape", "Size"):
        shape = info.shapes.get(node.input[0]) if node.input else None
        if shape is None or any(size is None for size in shape):
            return False
        _store(light, node.output[0], compute_shape(node, [size or 0 for size in shape]))
        return True
    if not all(not name or name in light.constants or name in light.stand_ins for name in node.input):
        return False
    if all(not name or name in light.constants for name in node.input):
        results = compute(node, [light.constants[name] if name else None for name in node.input], light.opset)
        if results is not None and len(results) == len(node.output):
            for name, value in zip(node.output, results, strict=True):
                if name:
                    _store(light, name, value)
            return True
    return _as_stand_ins(light, node, info)


def _as_stand_ins(light: LightModel, node: onnx.NodeProto, info: TensorInfo) -> bool:
    found: dict[str, StandIn] = {}
    for name in node.output:
        if not name:
            continue
        shape, dtype = info.shapes.get(name), info.dtypes.get(name)
        if shape is None or dtype is None or any(size is None for size in shape):
            return False
        if _count(shape) > MAX_STAND_IN_ELEMENTS:
            return False
        known = all(item in light.constants for item in node.input if item)
        if known and dtype in (onnx.TensorProto.INT64, onnx.TensorProto.INT32) and _count(shape) <= MAX_SHAPE_ELEMENTS:
            return False
        found[name] = StandIn(dtype, tuple(size or 0 for size in shape))
    for name, stand_in in found.items():
        light.stand_ins[name] = stand_in
        light.proto.graph.input.append(onnx.helper.make_tensor_value_info(name, stand_in.dtype, stand_in.shape))
    return True


def _count(shape: Shape) -> int:
    return math.prod(size or 0 for size in shape)


def _store(light: LightModel, name: str, value: AnyArray) -> None:
    light.constants[name] = value
    dense = np.ascontiguousarray(value).reshape(value.shape)
    light.proto.graph.initializer.append(numpy_helper.from_array(dense, name))


def _constant_branch(light: LightModel, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return the nodes of the branch that an ``If`` on a constant takes; empty when it is no such ``If``."""
    if node.op_type != "If" or node.domain or node.input[0] not in light.constants:
        return []
    taken = "then_branch" if bool(np.all(light.constants[node.input[0]])) else "else_branch"
    branch = next((attribute.g for attribute in node.attribute if attribute.name == taken), None)
    if branch is None or branch.sparse_initializer or len(branch.output) != len(node.output):
        return []
    local = {name for inner in branch.node for name in inner.output if name}
    local |= {tensor.name for tensor in branch.initializer}
    prefix = f"{node.name}/{taken}/"
    renamed = {name: prefix + name for name in local}
    nodes: list[onnx.NodeProto] = []
    for tensor in branch.initializer:
        constant = onnx.helper.make_node("Constant", [], [renamed[tensor.name]], value=tensor)
        constant.name = prefix + tensor.name
        nodes.append(constant)
    for index, inner in enumerate(branch.node):
        copy = copied(inner)
        copy.name = prefix + (inner.name or f"{inner.op_type}_{index}")
        copy.input[:] = [renamed.get(name, name) for name in inner.input]
        copy.output[:] = [renamed.get(name, name) for name in inner.output]
        nodes.append(copy)
    for outer, inner_output in zip(node.output, branch.output, strict=True):
        name = renamed.get(inner_output.name, inner_output.name)
        nodes.append(onnx.helper.make_node("Identity", [name], [outer], name=f"{prefix}{outer}"))
    return nodes
