"""Decoders: what detectors do with their maps after the last layer, and where the device part ends before it.

A detector flattens its maps, joins them and computes boxes from them. The compiler takes some of that, up to the
first operator that it refuses. The device part ends at the maps all the same, as the model zoo does: nothing behind
them multiplies weights, and one quantisation scale for boxes and classes loses accuracy.
"""

from __future__ import annotations

from fsq_edge_compile.checker.graph import Graph
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


def meets_refused(graph: Graph, inside: set[str], refused: set[str]) -> set[str]:
    """Return those nodes of a decoder from which a refused node is reached."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        if node.name in inside and any(
            reader.name in refused or reader.name in found for reader in graph.successors(node)
        ):
            found.add(node.name)
    return found
