"""Where an ONNX graph ends, read from its bytes: the runtime has no onnx package and needs only a few names.

Source: onnx.proto3 (Apache-2.0): ModelProto.graph = 7; GraphProto.node = 1, output = 12;
NodeProto.output = 2, name = 3, op_type = 4; ValueInfoProto.name = 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.hef.wire import FieldBudget, Message, WireError


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

    Args:
        model: an ONNX file, inline weights.

    Raises:
        DataError: the bytes are not an ONNX model with an output.
    """
    try:
        graph = Message(memoryview(model), "onnx", FieldBudget()).message(7, "graph")
        outputs = [value.text(1) for value in graph.messages(12, "output")]
        nodes = list(graph.messages(1, "node"))
        for node in nodes:
            if outputs and outputs[0] in node.texts(2):
                return GraphEnd(node.text(3), node.text(4), frozenset(one.text(3) for one in nodes))
    except WireError as error:
        raise DataError(f"encoder.onnx cannot be read: {error}") from error
    raise DataError("encoder.onnx has no node that makes its output")
