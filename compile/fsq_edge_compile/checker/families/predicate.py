"""What a predicate gets and what it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fsq_edge_compile.checker.graph import Graph, Node, Shape
from fsq_edge_compile.checker.layout import batch_axis
from fsq_edge_compile.checker.targets import Target


@dataclass(frozen=True, slots=True)
class Breach:
    """A node breaks a rule.

    Attributes:
        rule: id in the rule table.
        actual: the measured value.
        limit: replaces the rule's own limit where that depends on the node.
    """

    rule: str
    actual: str = ""
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """One node in its graph.

    Attributes:
        node: the node to judge.
        graph: the normalised graph.
        channels: channel axis by tensor name.
        target: chip and compiler.
    """

    node: Node
    graph: Graph
    channels: dict[str, int]
    target: Target

    def shape(self, index: int = 0) -> Shape | None:
        """Return the shape of an input."""
        return self.graph.shape(self.node.input(index))

    def rank(self, index: int = 0) -> int | None:
        """Return the rank of an input."""
        return self.graph.rank(self.node.input(index))

    def channel(self, index: int = 0) -> int | None:
        """Return the channel axis of an input."""
        return self.channels.get(self.node.input(index))

    def batch(self, index: int = 0) -> int:
        """Return the batch axis of an input."""
        return batch_axis(self.graph, self.channels, self.node.input(index))

    def feeds(self, *ops: str) -> bool:
        """Whether some reader of the first output is one of these operators."""
        return any(reader.op in ops for reader in self.graph.consumers(self.node.outputs[0]))


Predicate = Callable[[Context], Iterator[Breach]]


def text(shape: Shape | None) -> str:
    """Return a shape as ``1x9x2x50``, ``?`` for what is not known."""
    if shape is None:
        return "unknown shape"
    return "x".join("?" if size is None else str(size) for size in shape) or "scalar"
