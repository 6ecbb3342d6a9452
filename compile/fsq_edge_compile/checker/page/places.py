"""Places every node of a graph: a row by its depth, a lane near the nodes that feed it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fsq_edge_compile.checker.graph import Graph, Node

# Beyond this many lanes a row is so wide that the nearest free lane is no longer looked for.
MAX_LANES = 64


@dataclass(frozen=True, slots=True)
class Places:
    """Where the nodes are.

    Attributes:
        at: (row, lane) by node name; both count from 0.
        rows: how many rows there are.
        lanes: how many lanes there are.
    """

    at: dict[str, tuple[int, int]]
    rows: int
    lanes: int


def place(graph: Graph) -> Places:
    """Place the nodes, in time linear in nodes and edges.

    A node's row is the longest way to it from an input, so every edge points down. It takes the lane of the deepest
    node that feeds it when that is free, else the nearest free one.
    """
    at: dict[str, tuple[int, int]] = {}
    taken: dict[int, set[int]] = {}
    for node in graph.nodes:
        before = [at[maker.name] for maker in graph.predecessors(node)]
        row = max((item[0] + 1 for item in before), default=0)
        wanted = max(before, key=lambda item: item[0])[1] if before else 0
        lane = _nearest_free(wanted, taken.setdefault(row, set()))
        taken[row].add(lane)
        at[node.name] = (row, lane)
    first = min((lane for _, lane in at.values()), default=0)
    shifted = {name: (row, lane - first) for name, (row, lane) in at.items()}
    return Places(shifted, len(taken), 1 + max((lane for _, lane in shifted.values()), default=0))


def _nearest_free(wanted: int, taken: set[int]) -> int:
    for step in range(MAX_LANES):
        for lane in (wanted + step, wanted - step):
            if lane not in taken:
                return lane
    return max(taken) + 1


def edges(graph: Graph) -> Iterator[tuple[Node, Node]]:
    """Yield (from, to) of every edge between nodes, each pair once."""
    for node in graph.nodes:
        seen: set[str] = set()
        for maker in graph.predecessors(node):
            if maker.name not in seen:
                seen.add(maker.name)
                yield maker, node
