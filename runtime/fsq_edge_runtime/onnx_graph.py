"""What the runtime must know of an ONNX file before onnxruntime sees it, read from its bytes without the onnx package.

Source: onnx.proto3 (Apache-2.0). ModelProto: graph 7, functions 25. GraphProto: node 1, initializer 5, input 11, output
12, sparse_initializer 15. NodeProto: input 1, output 2, name 3, op_type 4, attribute 5, domain 7. AttributeProto: name
1, i 3, t 5, g 6, ints 8, tensors 10, graphs 11, sparse 22 and 23. TensorProto: dims 1, name 8, raw_data 9,
external_data 13, data_location 14. ValueInfoProto: name 1, type 2. TypeProto: tensor_type 1; its elem_type 1, shape 2.
TensorShapeProto: dim 1; its dim_value 1, dim_param 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.protobuf import FieldBudget, Message, WireError

STANDARD_DOMAINS = ("", "ai.onnx", "com.microsoft")
ROW_PREFIX = "fsq_row"  # names of the nodes that lay a map out as a row for the host graph
JOIN = "fsq_join"  # the node that joins several rows
_FLOAT = 1  # TensorProto.DataType
_SUBGRAPHS = (6, 11, 22, 23)  # of an attribute; sparse tensors are not read either


@dataclass(frozen=True, slots=True)
class GraphEnd:
    """The node that makes the first output.

    Attributes:
        node: its name; empty when it has none.
        operator: its operator, e.g. ``Tanh``.
        nodes: names of all nodes.
    """

    node: str
    operator: str
    nodes: frozenset[str]


def read_graph_end(model: bytes) -> GraphEnd:
    """Return the node that makes the graph's first output.

    Raises:
        DataError: the bytes are not an ONNX model with an output.
    """
    return read_graph_ends(model)[0]


def read_graph_ends(model: bytes) -> list[GraphEnd]:
    """Return the node that makes each output of the graph, in the order of the outputs.

    A Flatten behind the second output is left out: a compiler sees the pooling before it.

    Raises:
        DataError: the bytes are not an ONNX model with outputs that nodes make.
    """
    try:
        graph = _root(model).message(7, "graph")
        nodes = list(graph.messages(1, "node"))
        makers = {name: node for node in nodes for name in node.texts(2)}
        names = frozenset(node.text(3) for node in nodes)
        ends = [makers.get(value.text(1)) for value in graph.messages(12, "output")]
        if ends and None not in ends:
            found = [node for node in ends if node is not None]
            before = [makers.get(node.texts(1)[0]) if node.text(4) == "Flatten" else None for node in found]
            before[0] = None
            last = [earlier or node for earlier, node in zip(before, found, strict=True)]
            return [GraphEnd(node.text(3), node.text(4), names) for node in last]
    except WireError as error:
        raise DataError(f"the ONNX file cannot be read: {error}") from error
    raise DataError("the ONNX file has no node that makes its output")


class DeviceOutput(NamedTuple):
    """One output of the network that a compiler makes of a device graph.

    Attributes:
        values: how many it has for a window.
        node: the ONNX node that makes it where there are several in front of a host graph; else empty.
    """

    values: int
    node: str = ""


def read_device_end(model: bytes) -> GraphEnd:
    """Return the node that the compiler's network ends at: the first one where a host graph takes over from several.

    Raises:
        DataError: the bytes are not an ONNX model with an output.
    """
    return read_device_ends(model)[0]


def read_device_ends(model: bytes) -> list[GraphEnd]:
    """Return the nodes that the compiler's network ends at, in front of the rows that a host graph takes over.

    Raises:
        DataError: the bytes are not an ONNX model with an output.
    """
    first, *others = read_graph_ends(model)
    return [*([GraphEnd(*end, first.nodes) for end, _ in _rows(model, first.node)] or [first]), *others]


def read_cut_outputs(model: bytes) -> tuple[DeviceOutput, ...]:
    """Return the parts of ``t``, in its order, where a host graph takes several tensors; else nothing.

    Raises:
        DataError: the bytes are not an ONNX model with an output.
    """
    parts = [DeviceOutput(size, node) for (node, _), size in _rows(model, read_graph_end(model).node)]
    return tuple(parts) if len(parts) > 1 else ()


def _rows(model: bytes, last: str) -> list[tuple[tuple[str, str], int]]:
    """Return name and operator of each node in front of the rows at the end of a device graph, and the row's values."""
    if last != JOIN and not last.startswith(ROW_PREFIX):
        return []
    try:
        graph = _root(model).message(7, "graph")
        nodes = list(graph.messages(1, "node"))
        makers = {name: node for node in nodes for name in node.texts(2)}
        end = next(node for node in nodes if node.text(3) == last)
        rows = [makers[name] for name in end.texts(1) if name in makers] if last == JOIN else [end]
        constants = {tensor.text(8): tensor for tensor in graph.messages(5, "initializer")}
        found = []
        for row in rows:
            source, shape = (*row.texts(1), "", "")[:2]
            if source in makers:
                raw = constants[shape].raw(9) if shape in constants else b""
                size = int.from_bytes(raw[8:16], "little")  # the second of (1, D), int64
                found.append(((makers[source].text(3), makers[source].text(4)), size))
        return found
    except WireError as error:
        raise DataError(f"the ONNX file cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class GraphPort:
    """An input or output of a graph.

    Attributes:
        name: of the tensor.
        is_float32: whether its elements are float32.
        shape: sizes; None where one has a name or is not said.
    """

    name: str
    is_float32: bool
    shape: tuple[int | None, ...]


def read_graph_ports(model: bytes) -> tuple[list[GraphPort], list[GraphPort]]:
    """Return the inputs, without those that are constants, and the outputs of an ONNX file.

    Args:
        model: an ONNX file.

    Raises:
        DataError: the bytes are not an ONNX model.
    """
    try:
        graph = _root(model).message(7, "graph")
        constants = {tensor.text(8) for tensor in graph.messages(5, "initializer")}
        inputs = [port for port in map(_port, graph.messages(11, "input")) if port.name not in constants]
        return inputs, [_port(value) for value in graph.messages(12, "output")]
    except WireError as error:
        raise DataError(f"the ONNX file cannot be read: {error}") from error


def _port(value: Message) -> GraphPort:
    tensor = value.message(2, "type").message(1, "tensor_type")
    sizes = [None if 2 in dim else dim.uint(1, bits=63) for dim in tensor.message(2, "shape").messages(1, "dim")]
    return GraphPort(value.text(1), tensor.uint(1) == _FLOAT, tuple(sizes))


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node of a graph.

    Attributes:
        operator: e.g. ``Conv``.
        domain: empty for the operators of ONNX itself.
        inputs: names of tensors; empty where an optional one is left out.
        outputs: names of tensors.
        axis: its attribute ``axis``; 0 without one.
        kernel: values of the window that its attribute ``kernel_shape`` names; 0 without one.
    """

    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    axis: int
    kernel: int


def read_nodes(model: bytes) -> tuple[list[GraphNode], dict[str, tuple[int, ...]]]:
    """Return the nodes of a graph in file order, and the shapes of its constants by name.

    Args:
        model: an ONNX file.

    Raises:
        DataError: the bytes are not an ONNX model, or a constant promises more values than the file could hold.
    """
    try:
        graph = _root(model).message(7, "graph")
        constants = {}
        for tensor in graph.messages(5, "initializer"):
            shape = tensor.uints(1, bits=63)
            if math.prod(shape) > 8 * len(model):
                raise DataError(f"the constant {tensor.text(8)!r} promises more values than the file could hold")
            constants[tensor.text(8)] = shape
        return [_node(message) for message in graph.messages(1, "node")], constants
    except WireError as error:
        raise DataError(f"the ONNX file cannot be read: {error}") from error


def _node(node: Message) -> GraphNode:
    axis = kernel = 0
    for attribute in node.messages(5, "attribute"):
        if attribute.text(1) == "axis":
            axis = attribute.uint(3, bits=64)
            axis -= (axis >> 63) << 64  # two's complement
        elif attribute.text(1) == "kernel_shape":
            kernel = math.prod(attribute.uints(8, bits=64))
    return GraphNode(node.text(4), node.text(7), node.texts(1), node.texts(2), axis, kernel)


def check_plain_graph(model: bytes, what: str) -> None:
    """Refuse an ONNX file that could read other files or run for ever.

    A device graph is straight-line code with its weights inside: no external data (a path into the file system), no
    control flow (a loop may not end), no functions, no operators of a foreign domain.

    Args:
        model: the ONNX file.
        what: its name for the message.

    Raises:
        DataError: it has such a part, or is not an ONNX file.
    """
    try:
        root = _root(model)
        if 25 in root:
            raise DataError(f"{what} has functions of its own, a device graph has none")
        graph = root.message(7, "graph")
        if not graph.count(1):
            raise DataError(f"{what} is not an ONNX graph: it has no nodes")
        if graph.count(15) or any(_is_external(tensor) for tensor in graph.messages(5, "initializer")):
            raise DataError(f"{what} keeps weights outside the file", hint="export with inline weights")
        for node in graph.messages(1, "node"):
            _check_node(node, what)
    except WireError as error:
        raise DataError(f"{what} is not an ONNX graph: {error}") from error


def _check_node(node: Message, what: str) -> None:
    domain, operator = node.text(7), node.text(4)
    if domain not in STANDARD_DOMAINS:
        raise DataError(f"{what} uses the operator {operator} of the domain {domain!r}")
    for attribute in node.messages(5, "attribute"):
        if any(number in attribute for number in _SUBGRAPHS):
            raise DataError(f"{what} uses the operator {operator} with a graph inside, a device graph has none")
        tensors = [attribute.message(5, "t"), *attribute.messages(10, "tensors")]
        if any(_is_external(tensor) for tensor in tensors):
            raise DataError(f"{what} keeps weights outside the file", hint="export with inline weights")


def _root(model: bytes) -> Message:
    return Message(memoryview(model), "onnx", FieldBudget())


def _is_external(tensor: Message) -> bool:
    return 13 in tensor or tensor.uint(14) != 0
