"""ONNX messages: copies, what a node reads, and the nodes of a graph replaced."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import onnx

Message = TypeVar("Message")


def copied(message: Message) -> Message:
    """Return a copy of a model, node or tensor that belongs to nothing else."""
    copy: Any = type(message)()
    copy.CopyFrom(message)
    return copy  # type: ignore[no-any-return]  # as given


def set_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Put nodes in the place of those that a graph has."""
    del graph.node[:]
    graph.node.extend(nodes)


def names_read(node: onnx.NodeProto) -> set[str]:
    """Return what a node reads: its inputs, and what its graphs, such as the body of a Loop, read around them."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            names |= captured_names(attribute.g)
    return names


def captured_names(graph: onnx.GraphProto) -> set[str]:
    """Return every name that a subgraph reads: its own and those of the graphs around it."""
    return {name for node in graph.node for name in names_read(node)}
