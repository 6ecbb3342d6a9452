"""A read-only view of an ONNX graph: nodes in topological order, shapes, constants, who feeds whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from fsq_edge_runtime.arrays import AnyArray

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One operator of the normalised graph.

    Attributes:
        name: unique; the user's name where the file gives one.
        op: operator type.
        domain: ``""`` for the ONNX standard operators.
        inputs: tensor names; ``""`` marks an optional input left out.
        outputs: tensor names; ``""`` marks an optional output left out.
        attributes: plain Python values, strings decoded.
        captured: tensors around it that its subgraphs read.
    """

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    captured: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """Every tensor that the node reads, each once: its inputs and what its subgraphs capture."""
        return tuple(dict.fromkeys(name for name in (*self.inputs, *self.captured) if name))

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or ``default`` when the node does not give it."""
        return self.attributes.get(name, default)

    def input(self, index: int) -> str:
        """Return the name of an input, ``""`` when it is not given."""
        return self.inputs[index] if index < len(self.inputs) else ""


class Names(tuple[str, ...]):
    """Tensor names in order, with a test for membership that takes no longer for many."""

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self)

    def __contains__(self, name: object) -> bool:
        return name in self._known


@dataclass(slots=True)
class Graph:
    """Nodes, tensors and their relations; made once by ``normalise`` and then only read.

    Attributes:
        nodes: in topological order.
        inputs: names of the graph inputs that are no constants.
        outputs: names of the tensors that leave the graph.
        shapes: tensor name to shape; a missing name means that the shape is not known.
        dtypes: tensor name to ``TensorProto`` element type.
        constants: tensor name to value, or to None where the value is large and was not kept.
        opset: version of the standard operator set.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: dict[str, Shape]
    dtypes: dict[str, int]
    constants: dict[str, AnyArray | None]
    opset: int
    _producer: dict[str, Node] = field(init=False, repr=False)
    _consumers: dict[str, list[Node]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.inputs, self.outputs = Names(self.inputs), Names(self.outputs)
        self._producer = {name: node for node in self.nodes for name in node.outputs if name}
        self._consumers = {}
        for node in self.nodes:
            for name in node.reads:
                self._consumers.setdefault(name, []).append(node)

    def producer(self, name: str) -> Node | None:
        """Return the node that makes a tensor; None for graph inputs and constants."""
        return self._producer.get(name)

    def consumers(self, name: str) -> Sequence[Node]:
        """Return the nodes that read a tensor, each once."""
        return self._consumers.get(name, ())

    def successors(self, node: Node) -> Iterator[Node]:
        """Yield the nodes that read any output of ``node`` (a node may come twice)."""
        for name in node.outputs:
            yield from self._consumers.get(name, ())

    def predecessors(self, node: Node) -> Iterator[Node]:
        """Yield the nodes whose outputs ``node`` reads."""
        for name in node.reads:
            made_by = self._producer.get(name)
            if made_by is not None:
                yield made_by

    def only_consumer(self, name: str) -> Node | None:
        """Return the single reader of a tensor; None when there are several, none, or it leaves the graph."""
        readers = self._consumers.get(name, ())
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def shape(self, name: str) -> Shape | None:
        """Return a tensor's shape; None when even its rank is unknown."""
        return self.shapes.get(name)

    def rank(self, name: str) -> int | None:
        """Return a tensor's rank, or None."""
        shape = self.shapes.get(name)
        return None if shape is None else len(shape)

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is known before the network runs."""
        return name in self.constants

    def value(self, name: str) -> AnyArray | None:
        """Return a small constant's value; None for activations and for constants too large to keep."""
        return self.constants.get(name)

    def scalar(self, name: str) -> float | None:
        """Return the value of a one-element constant, or None."""
        value = self.constants.get(name)
        if value is None or value.size != 1 or value.dtype.kind not in "fiub":
            return None
        return float(value.reshape(-1)[0])

    def activations(self, node: Node) -> list[str]:
        """Return the inputs of a node that are computed while the network runs."""
        return [name for name in node.inputs if name and name not in self.constants]

    def integers(self, node: Node, index: int, attribute: str) -> tuple[int, ...] | None:
        """Return a parameter that newer opsets give as an input and older ones as an attribute.

        Returns:
            the values; an empty tuple when the node gives neither; None when they are computed at run time
            or not kept.
        """
        name = node.input(index)
        if name:
            value = self.constants.get(name)
            return None if value is None else tuple(int(item) for item in value.reshape(-1))
        given = node.attribute(attribute)
        if given is None:
            return ()
        return tuple(int(item) for item in given) if isinstance(given, Iterable) else (int(given),)


def positive_axis(axis: int, rank: int) -> int:
    """Return an axis counted from the front."""
    return axis + rank if axis < 0 else axis


def elements(shape: Shape | None) -> int | None:
    """Return the number of elements of a fully known shape, else None."""
    if shape is None or any(size is None for size in shape):
        return None
    total = 1
    for size in shape:
        total *= size or 0
    return total


def as_shape(value: AnyArray) -> tuple[int, ...]:
    """Return an integer array as a shape."""
    return tuple(int(item) for item in np.asarray(value).reshape(-1))
