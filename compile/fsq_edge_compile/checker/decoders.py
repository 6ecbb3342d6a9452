"""Decoders: what detectors do with their maps after the last layer, and where the device part ends before it.

A detector flattens its maps, joins them and computes boxes from them. The compiler takes some of that, up to the
first operator that it refuses. The device part ends at the maps all the same, as the model zoo does: nothing behind
them multiplies weights, and one quantisation scale for boxes and classes loses accuracy. So with a map that is enlarged
for the host alone: its exporters hand over the small one.
"""

from __future__ import annotations

from collections.abc import Iterator

from fsq_edge_compile.checker.families.predicate import Breach
from fsq_edge_compile.checker.graph import Graph, Node, elements, positive_axis
from fsq_edge_compile.checker.operators import MOVES
from fsq_edge_compile.checker.patterns import FLATTENED, Claims

# Refused elsewhere; in a decoder they are not what stops the compiler.
HARMLESS = frozenset({"concat.flattened-maps", "concat.spatial", "elementwise.constant-layout"})


def decoder_nodes(graph: Graph, claims: Claims, refused: set[str]) -> set[str]:
    """Return the nodes between a flattened map and the first refused ones, in front of which no layer comes.

    Args:
        graph: the normalised graph.
        claims: of the patterns; flattened maps are claimed as such.
        refused: nodes with an error that counts in a decoder too.
    """
    inside: set[str] = set()
    for node in graph.nodes:
        if node.name in refused:
            continue
        starts = node.name in claims and claims[node.name].pattern == FLATTENED
        if starts or any(before.name in inside for before in graph.predecessors(node)):
            inside.add(node.name)
    return inside


def enlarged_for_the_host(graph: Graph, host: set[str]) -> set[str]:
    """Return the nodes that enlarge a map which nothing but the host reads.

    Source: Ultralytics' Hailo export of semantic networks, which ends at the classifier where ArgMax is refused.
    """
    found: set[str] = set()
    for node in reversed(graph.nodes):
        if node.op not in ("Resize", "Upsample") or node.outputs[0] in graph.outputs:
            continue
        before, after = elements(graph.shape(node.input(0))), elements(graph.shape(node.outputs[0]))
        readers = graph.consumers(node.outputs[0])
        if readers and (after or 0) > (before or 0) and all(reader.name in host | found for reader in readers):
            found.add(node.name)
    return found


def meets_refused(graph: Graph, inside: set[str], refused: set[str]) -> set[str]:
    """Return those nodes of a decoder from which a refused node is reached."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        if node.name in inside and any(
            reader.name in refused or reader.name in found for reader in graph.successors(node)
        ):
            found.add(node.name)
    return found


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
