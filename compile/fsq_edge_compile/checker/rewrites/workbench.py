"""A full model on the bench: shapes, constants and neighbours for the passes that rewrite it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Container, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fsq_edge_compile.checker.graph import Shape
from fsq_edge_compile.checker.inference import infer
from fsq_edge_compile.checker.loading import lighten, opset_of
from fsq_edge_compile.messages import copied, names_read, set_nodes
from fsq_edge_runtime.arrays import AnyArray

Replacement = Sequence[onnx.NodeProto] | None
# Fewer initialisers are taken out one by one, which copies no weights.
MANY = 1000


class Workbench:
    """A model that is being rewritten.

    Args:
        model: changed in place; weights are inline.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._names: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Read shapes, constants and neighbours again after the model has changed."""
        graph = self.model.graph
        light = lighten(self.model, "model", None)
        info = infer(light.proto)
        self.shapes: dict[str, Shape] = info.shapes
        self.dtypes: dict[str, int] = info.dtypes
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.producers = {name: node for node in graph.node for name in node.output if name}
        self.outputs = {value.name for value in graph.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self.consumers.setdefault(name, []).append(node)
        self._names = {node.name for node in graph.node} | set(self._tensors) | set(self.producers)
        self._names |= {value.name for value in graph.input}

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return opset_of(self.model)

    def rank(self, name: str) -> int | None:
        """Return a tensor's rank, or None."""
        shape = self.shapes.get(name)
        return None if shape is None else len(shape)

    def constant(self, name: str) -> AnyArray | None:
        """Return the value of an initialiser, large ones too; None for anything else."""
        tensor = self._tensors.get(name)
        return None if tensor is None else np.asarray(numpy_helper.to_array(tensor))

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is an initialiser."""
        return name in self._tensors

    def scalar(self, name: str) -> float | None:
        """Return the value of a one-element initialiser, or None."""
        tensor = self._tensors.get(name)
        if tensor is None or int(np.prod(tensor.dims)) != 1:
            return None
        value = numpy_helper.to_array(tensor)
        return float(value.reshape(-1)[0]) if value.dtype.kind in "fiub" else None

    def integers(self, node: onnx.NodeProto, index: int, attribute: str) -> list[int] | None:
        """Return a parameter that is an input in some opsets and an attribute in others; None when not constant."""
        if index < len(node.input) and node.input[index]:
            value = self.constant(node.input[index])
            return None if value is None else [int(item) for item in value.reshape(-1)]
        return [int(item) for item in get(node, attribute, [])]

    def only_consumer(self, name: str) -> onnx.NodeProto | None:
        """Return the single reader of a tensor that does not leave the graph."""
        readers = self.consumers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def name(self, wanted: str) -> str:
        """Return a name that is not taken yet, and take it."""
        name = wanted
        number = 1
        while name in self._names:
            name = f"{wanted}_{number}"
            number += 1
        self._names.add(name)
        return name

    def add_constant(self, value: Any, near: str, dtype: Any = np.float32) -> str:
        """Add an initialiser and return its name."""
        name = self.name(f"{near}/constant")
        array = np.asarray(value, dtype=dtype)
        self.model.graph.initializer.append(numpy_helper.from_array(array, name))
        self._tensors[name] = self.model.graph.initializer[-1]
        return name

    def node(self, op: str, inputs: Sequence[str], near: str, output: str = "", **attributes: Any) -> onnx.NodeProto:
        """Make a node named after the one it stands for.

        Args:
            op: operator.
            inputs: tensor names.
            near: name of the node that is replaced.
            output: tensor that the node makes; a new name when empty.
            attributes: plain values; None leaves one out.
        """
        name = self.name(f"{near}/{op}")
        made = output or self.name(f"{name}_output")
        given = {key: value for key, value in attributes.items() if value is not None}
        return helper.make_node(op, list(inputs), [made], name=name, **given)

    def rewrite(self, change: Callable[[onnx.NodeProto], Replacement]) -> list[str]:
        """Offer every node to ``change``; put what it returns in the node's place.

        Returns:
            names of the nodes that were replaced.
        """
        graph = self.model.graph
        result: list[onnx.NodeProto] = []
        changed: list[str] = []
        for node in list(graph.node):
            replacement = change(node)
            if replacement is None:
                result.append(copied(node))
            else:
                changed.append(node.name)
                result.extend(replacement)
        if changed:
            set_nodes(graph, result)
            self.clean()
        return changed

    def drop(self, indices: Container[int]) -> None:
        """Take nodes out of the graph, by their places; one by one that would take a time that grows as the square."""
        nodes = self.model.graph.node
        kept = [copied(node) for index, node in enumerate(nodes) if index not in indices]
        del nodes[:]
        nodes.extend(kept)

    def rename_inputs(self, names: dict[str, str]) -> None:
        """Let every reader of a tensor read another one."""
        for node in self.model.graph.node:
            for index, name in enumerate(node.input):
                while name in names:
                    name = names[name]
                node.input[index] = name

    def clean(self) -> None:
        """Drop nodes and initialisers that no output needs, put the nodes in order, and read everything again."""
        graph = self.model.graph
        needed = {value.name for value in graph.output}
        kept: list[onnx.NodeProto] = []
        for node in reversed(in_order(list(graph.node))):
            if any(name in needed for name in node.output):
                kept.append(copied(node))
                needed |= names_read(node)
        set_nodes(graph, reversed(kept))
        self._keep_weights(needed)
        del graph.value_info[:]
        self.refresh()

    def _keep_weights(self, needed: set[str]) -> None:
        tensors = self.model.graph.initializer
        unused = [index for index, tensor in enumerate(tensors) if tensor.name not in needed]
        if len(unused) > MANY:
            kept = [tensor for tensor in tensors if tensor.name in needed]
            copies = onnx.GraphProto()
            copies.initializer.extend(kept)
            del tensors[:]
            tensors.extend(copies.initializer)
            return
        for index in reversed(unused):
            del tensors[index]


def get(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """Return a node's attribute as a plain value, strings decoded."""
    for attribute in node.attribute:
        if attribute.name == name:
            value = helper.get_attribute_value(attribute)
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return default


def put(node: onnx.NodeProto, name: str, value: Any) -> None:
    """Set a node's attribute; None removes it."""
    for attribute in list(node.attribute):
        if attribute.name == name:
            node.attribute.remove(attribute)
    if value is not None:
        node.attribute.append(helper.make_attribute(name, value))


def in_order(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return the nodes so that each comes after those it reads from, otherwise in the order given."""
    made = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    sources = [{made[name] for name in names_read(node) if name in made} for node in nodes]
    waiting = [len(source) for source in sources]
    readers: dict[int, set[int]] = {}
    for index, source in enumerate(sources):
        for maker in source:
            readers.setdefault(maker, set()).add(index)
    ready = [index for index, count in enumerate(waiting) if count == 0]
    heapq.heapify(ready)
    order: list[onnx.NodeProto] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(nodes[index])
        for reader in readers.get(index, ()):
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(ready, reader)
    return order if len(order) == len(nodes) else nodes
