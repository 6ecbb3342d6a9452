"""Builds the read-only view of a light model, without the operators that do nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from fsq_edge_compile.checker.graph import Graph, Node
from fsq_edge_compile.checker.inference import TensorInfo
from fsq_edge_compile.checker.loading import LightModel
from fsq_edge_compile.messages import captured_names
from fsq_edge_runtime.arrays import AnyArray


def build_graph(light: LightModel, info: TensorInfo, opset: int) -> Graph:
    """Build the view that the rules read, without the operators that do nothing."""
    constants: dict[str, AnyArray | None] = dict(light.constants)
    constants.update(dict.fromkeys(light.stand_ins))
    alias: dict[str, str] = {}
    nodes: list[Node] = []
    for proto in light.proto.graph.node:
        inputs = tuple(alias.get(name, name) for name in proto.input)
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        attributes = {item.name: _plain(item) for item in proto.attribute}
        captured = tuple(sorted({alias.get(name, name) for item in attributes.values() for name in _captured(item)}))
        node = Node(proto.name, proto.op_type, proto.domain, inputs, tuple(proto.output), attributes, captured)
        if node.outputs and inputs and _does_nothing(node, constants, info):
            alias[node.outputs[0]] = inputs[_kept_input(node, constants)]
        else:
            nodes.append(node)
    outputs = tuple(alias.get(value.name, value.name) for value in light.proto.graph.output)
    needed = _needed(nodes, outputs)
    graph_inputs = tuple(value.name for value in light.proto.graph.input if value.name not in constants)
    return Graph(
        tuple(node for node in nodes if id(node) in needed),
        graph_inputs,
        outputs,
        info.shapes,
        info.dtypes,
        constants,
        opset,
    )


def _plain(attribute: onnx.AttributeProto) -> object:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return list(value) if attribute.type in _LISTS else value


def _captured(value: object) -> set[str]:
    return captured_names(value) if isinstance(value, onnx.GraphProto) else set()


_LISTS = frozenset({onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS, onnx.AttributeProto.STRINGS})


def _does_nothing(node: Node, constants: Mapping[str, AnyArray | None], info: TensorInfo) -> bool:
    """Whether a node's first output equals one of its inputs."""
    if node.domain:
        return False
    first, out = info.shapes.get(node.inputs[0]), info.shapes.get(node.outputs[0])
    same = first is not None and first == out and None not in first
    match node.op:
        case "Identity":
            return True
        case "Dropout":
            training = constants.get(node.input(2)) if node.input(2) else None
            return len([name for name in node.outputs if name]) == 1 and (training is None or not training.any())
        case "Cast":
            return bool(info.dtypes.get(node.inputs[0]) == node.attribute("to"))
        case "Reshape" | "Flatten" | "Expand":
            return same
        case "Transpose":
            permutation = node.attribute("perm")
            return bool(permutation is not None and permutation == sorted(permutation))
        case "Concat" | "Sum" | "Max" | "Min" | "Mean":
            return len(node.inputs) == 1
        case "Add" | "Sub":
            return _is_filled(node, constants, info, 0.0)
        case "Mul" | "Div":
            return _is_filled(node, constants, info, 1.0)
        case "Pad":
            pads = constants.get(node.input(1)) if node.input(1) else None
            given = node.attribute("pads") if pads is None else pads.reshape(-1).tolist()
            return bool(given is not None and not any(given))
    return False


def _is_filled(node: Node, constants: Mapping[str, AnyArray | None], info: TensorInfo, neutral: float) -> bool:
    """Whether an arithmetic node has an operand that leaves the other one as it is."""
    if len(node.inputs) != 2:
        return False
    for index in (0, 1) if node.op in ("Add", "Mul") else (1,):
        value = constants.get(node.inputs[index])
        other = node.inputs[1 - index]
        if value is None or other in constants or value.dtype.kind not in "fiu" or not value.size:
            continue
        if (value == neutral).all() and info.shapes.get(other) == info.shapes.get(node.outputs[0]) is not None:
            return True
    return False


def _kept_input(node: Node, constants: Mapping[str, AnyArray | None]) -> int:
    """Return the index of the input that a do-nothing node passes on."""
    if node.op in ("Add", "Mul") and node.inputs[0] in constants:
        return 1
    return 0


def _needed(nodes: Sequence[Node], outputs: Sequence[str]) -> set[int]:
    """Return the ids of the nodes that an output depends on (subgraph captures count as inputs)."""
    wanted = set(outputs)
    needed: set[int] = set()
    for node in reversed(nodes):
        if any(name in wanted for name in node.outputs if name):
            needed.add(id(node))
            wanted.update(node.reads)
    return needed
