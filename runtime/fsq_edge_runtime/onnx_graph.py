"""What the runtime must know of an ONNX file before onnxruntime sees it, read from its bytes without the onnx package.

Source: onnx.proto3 (Apache-2.0). ModelProto: graph 7, functions 25. GraphProto: node 1, initializer 5, output 12,
sparse_initializer 15. NodeProto: output 2, name 3, op_type 4, attribute 5, domain 7. AttributeProto: t 5, g 6,
tensors 10, graphs 11, sparse 22 and 23. TensorProto: external_data 13, data_location 14. ValueInfoProto: name 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.protobuf import FieldBudget, Message, WireError

STANDARD_DOMAINS = ("", "ai.onnx", "com.microsoft")
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
    try:
        graph = _root(model).message(7, "graph")
        outputs = [value.text(1) for value in graph.messages(12, "output")]
        nodes = list(graph.messages(1, "node"))
        for node in nodes:
            if outputs and outputs[0] in node.texts(2):
                return GraphEnd(node.text(3), node.text(4), frozenset(one.text(3) for one in nodes))
    except WireError as error:
        raise DataError(f"the ONNX file cannot be read: {error}") from error
    raise DataError("the ONNX file has no node that makes its output")


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
