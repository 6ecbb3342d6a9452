"""Detector heads that are packed together for a decoder on the host."""

from __future__ import annotations

from collections.abc import Iterator

from fsq_edge_compile.checker.families.predicate import Breach
from fsq_edge_compile.checker.graph import Graph, Node, positive_axis
from fsq_edge_compile.checker.operators import MOVES

_HEAD_ENDS = frozenset({"Conv", "Sigmoid", "Relu", "LeakyRelu", "Clip", "BatchNormalization"})
_UNPACKS = MOVES | {"Split", "Slice", "Concat", "Shape"}


def packed_heads(graph: Graph, channels: dict[str, int], refused: set[str]) -> Iterator[tuple[Node, Breach]]:
    """Yield the channel Concats whose only use is to pack head outputs for refused reshapes.

    Boxes and classes have very different ranges; the model zoo ends its detectors at the head's own layers.

    Args:
        graph: the normalised graph.
        channels: channel axis by tensor name.
        refused: nodes that no rule lets on the device.
    """
    for node in graph.nodes:
        if node.op != "Concat" or node.domain or node.name in refused or graph.rank(node.outputs[0]) != 4:
            continue
        readers = graph.consumers(node.outputs[0])
        if not readers or node.outputs[0] in graph.outputs:
            continue
        if positive_axis(int(node.attribute("axis", 0)), 4) != channels.get(node.outputs[0]):
            continue
        makers = [graph.producer(name) for name in node.inputs]
        if all(maker is not None and maker.op in _HEAD_ENDS for maker in makers) and all(
            reader.name in refused and reader.op in _UNPACKS for reader in readers
        ):
            yield node, Breach("concat.head-pack", f"{len(node.inputs)} heads")
