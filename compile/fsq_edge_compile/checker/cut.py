"""Where to cut: the part of a graph that runs on the device, its first and its last nodes."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from fsq_edge_compile.checker.graph import Graph, Node
from fsq_edge_compile.checker.operators import CONVOLUTIONS, MATRIX_PRODUCTS, MOVES, RECURRENT, SELECTIONS
from fsq_edge_compile.checker.statistics import node_size

# Nodes that multiply weights or activations: the reason to have a device at all.
HEAVY = CONVOLUTIONS | MATRIX_PRODUCTS | RECURRENT
# Nodes that only move or relabel data. A device part made of nothing else is refused by the compiler.
MOVES_DATA = MOVES | SELECTIONS | {"Cast", "Concat", "Pad", "Tile", "Identity", "Dropout"}


@dataclass(frozen=True, slots=True)
class Cut:
    """The device part of a graph.

    Attributes:
        device: names of its nodes.
        start_nodes: nodes of it that read a graph input or a tensor made on the host, in graph order.
        end_nodes: nodes of it that a host node reads or that make a graph output, in graph order.
        complete: no node is left for the host.
    """

    device: frozenset[str]
    start_nodes: tuple[str, ...]
    end_nodes: tuple[str, ...]
    complete: bool


def find_cut(graph: Graph, refused: set[str], decoder: AbstractSet[str] = frozenset()) -> Cut:
    """Choose the device part.

    Args:
        graph: the normalised graph.
        refused: nodes with an error.
        decoder: accepted nodes that belong to the host all the same.

    Accepted nodes fall into layers: a node's layer is the number of refused stretches on the way to it. Layer 0 is
    everything in front of the first refused nodes, and it is the device part if it holds any heavy node. Only when
    it holds none may the device part begin behind a refused front (an embedding, a layout change, a cast): at the
    layer that holds at least half of all multiply-accumulates.
    """
    if not refused and not decoder:
        everything = frozenset(node.name for node in graph.nodes)
        return cut_around(graph, everything)
    layer = _layers(graph, refused | decoder)
    chosen = _chosen_layer(graph, layer)
    device = frozenset(node.name for node in graph.nodes if chosen is not None and layer.get(node.name) == chosen)
    return cut_around(graph, device)


def cut_around(graph: Graph, device: frozenset[str]) -> Cut:
    """Return the cut whose device part is given, with its first and last nodes."""
    members = [node for node in graph.nodes if node.name in device]
    starts = tuple(node.name for node in members if _reads_from_outside(graph, node, device))
    ends = tuple(node.name for node in members if _is_read_outside(graph, node, device))
    return Cut(device, starts, ends, complete=len(device) == len(graph.nodes))


def _layers(graph: Graph, refused: set[str]) -> dict[str, int]:
    """Return the layer of every accepted node."""
    depth: dict[str, int] = {}
    for node in graph.nodes:
        behind = 0
        for before in graph.predecessors(node):
            behind = max(behind, depth[before.name] + (before.name in refused and node.name not in refused))
        depth[node.name] = behind
    return {name: level for name, level in depth.items() if name not in refused}


def _chosen_layer(graph: Graph, layer: dict[str, int]) -> int | None:
    work: dict[int, int] = {}
    total = 0
    for node in graph.nodes:
        if node.op in HEAVY:
            # One more, so that a layer of unknown size still counts as one.
            macs = node_size(graph, node).macs + 1
            total += macs
            if node.name in layer:
                work[layer[node.name]] = work.get(layer[node.name], 0) + macs
    if 0 in work:
        return 0
    heaviest = max(work, key=lambda level: work[level], default=None)
    if heaviest is not None and 2 * work[heaviest] >= total:
        return heaviest
    if total:
        # All that multiplies is refused, or scattered behind refused nodes: nothing useful is left.
        return None
    real = [layer[node.name] for node in graph.nodes if node.name in layer and node.op not in MOVES_DATA]
    return 0 if 0 in real else None


def _reads_from_outside(graph: Graph, node: Node, device: frozenset[str]) -> bool:
    for name in graph.activations(node):
        maker = graph.producer(name)
        if maker is None or maker.name not in device:
            return True
    return not graph.activations(node)


def _is_read_outside(graph: Graph, node: Node, device: frozenset[str]) -> bool:
    if any(name in graph.outputs for name in node.outputs if name):
        return True
    return any(reader.name not in device for reader in graph.successors(node))


def part_of(graph: Graph, names: AbstractSet[str]) -> Graph:
    """Return some nodes of a graph as a graph of their own.

    Its inputs are what they read from outside, its outputs what is read outside or leaves the whole graph.
    """
    nodes = tuple(node for node in graph.nodes if node.name in names)
    made = {name for node in nodes for name in node.outputs if name}
    read = dict.fromkeys(name for node in nodes for name in graph.activations(node) if name not in made)
    outputs = tuple(
        name
        for node in nodes
        for name in node.outputs
        if name and (name in graph.outputs or any(reader.name not in names for reader in graph.consumers(name)))
    )
    return Graph(nodes, tuple(read), outputs, graph.shapes, graph.dtypes, graph.constants, graph.opset)


def before_layers(graph: Graph, names: AbstractSet[str]) -> frozenset[str]:
    """Return the heavy nodes among some, and those from which a heavy one is reached within them."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        if node.name in names and (node.op in HEAVY or any(reader.name in found for reader in graph.successors(node))):
            found.add(node.name)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Work:
    """Multiply-accumulates of a network for one input.

    Attributes:
        total: of the whole graph.
        device: of the device part.
    """

    total: int = 0
    device: int = 0

    @classmethod
    def of(cls, graph: Graph, cut: Cut) -> Work:
        """Count the work of a graph and of its device part."""
        sizes = {node.name: node_size(graph, node).macs for node in graph.nodes}
        return cls(sum(sizes.values()), sum(size for name, size in sizes.items() if name in cut.device))

    @property
    def share(self) -> float:
        """The device's part of the work, from 0 to 1; 1 where nothing multiplies."""
        return self.device / self.total if self.total else 1.0
