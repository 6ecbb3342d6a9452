"""Gives the nodes of a graph their places and draws them as SVG: device, host and refused, each in its colour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

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


WIDTH, HEIGHT = 168, 38
LANE, ROW = 202, 62
MARGIN = 12
SHOWN_CHARACTERS = 21


def draw(graph: Graph, status: Mapping[str, str], warned: set[str]) -> tuple[str, str, int]:
    """Draw a graph.

    Args:
        graph: the normalised graph.
        status: ``device``, ``host`` or ``refused`` by node name.
        warned: names of the nodes with a warning.

    Returns:
        the graph and its overview strip, each as one ``<svg>`` element, and the height of the graph in pixels.
    """
    places = place(graph)
    width, height = places.lanes * LANE + 2 * MARGIN, places.rows * ROW + 2 * MARGIN
    parts = [
        f'<svg id="graph" class="graph" xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="the graph, from its inputs down">'
    ]
    parts += [_edge(places, before, after) for before, after in edges(graph)]
    index = {node.name: number for number, node in enumerate(graph.nodes)}
    parts += [_box(places, node, index[node.name], status[node.name], node.name in warned) for node in graph.nodes]
    parts.append("</svg>")
    return "\n".join(parts), _overview(places, status), height


def _corner(places: Places, name: str) -> tuple[int, int]:
    row, lane = places.at[name]
    return MARGIN + lane * LANE + (LANE - WIDTH) // 2, MARGIN + row * ROW + (ROW - HEIGHT) // 2


def _edge(places: Places, before: Node, after: Node) -> str:
    """A curve to the next row; a longer edge runs down the gap between two lanes, where no node is."""
    (x, y), (to_x, to_y) = _corner(places, before.name), _corner(places, after.name)
    x, y, to_x = x + WIDTH // 2, y + HEIGHT, to_x + WIDTH // 2
    bend = (ROW - HEIGHT) // 2
    if to_y - y <= ROW - HEIGHT:
        return f'<path d="M{x} {y}C{x} {y + bend} {to_x} {to_y - bend} {to_x} {to_y}"/>'
    gap = x + (LANE // 2 if to_x >= x else -(LANE // 2))
    return (
        f'<path d="M{x} {y}C{x} {y + bend} {gap} {y} {gap} {y + 2 * bend}V{to_y - 2 * bend}'
        f'C{gap} {to_y} {to_x} {to_y - bend} {to_x} {to_y}"/>'
    )


def _box(places: Places, node: Node, number: int, status: str, warned: bool) -> str:
    x, y = _corner(places, node.name)
    mark = f'<circle cx="{WIDTH - 9}" cy="9" r="4"/>' if warned else ""
    return (
        f'<g id="n{number}" class="node {status}" transform="translate({x} {y})" data-node="{number}">'
        f"<title>{escape(node.op)} {escape(node.name)}: {status}</title>"
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="5"/>'
        f'<text x="8" y="15" class="op">{escape(_cut(node.op))}</text>'
        f'<text x="8" y="30">{escape(_cut(node.name))}</text>{mark}</g>'
    )


def _cut(text: str) -> str:
    """Keep the end of a long name: there it differs from its neighbours."""
    return text if len(text) <= SHOWN_CHARACTERS else "…" + text[1 - SHOWN_CHARACTERS :]


_RANK = {"device": 0, "host": 1, "refused": 2}


def _overview(places: Places, status: Mapping[str, str]) -> str:
    """One line a row, in the colour of its worst node; neighbours of one colour are one rectangle."""
    worst = ["device"] * places.rows
    for name, (row, _) in places.at.items():
        worst[row] = max(worst[row], status[name], key=_RANK.__getitem__)
    bars = "".join(
        f'<rect class="{kind}" x="0" width="1" y="{start}" height="{stop - start}"/>'
        for kind, start, stop in _runs(worst)
    )
    return (
        f'<svg id="overview" class="overview" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 {max(1, places.rows)}" '
        f'preserveAspectRatio="none" role="img" aria-label="overview: click to go there">{bars}</svg>'
    )


def _runs(kinds: list[str]) -> Iterator[tuple[str, int, int]]:
    start = 0
    for index in range(1, len(kinds) + 1):
        if index == len(kinds) or kinds[index] != kinds[start]:
            yield kinds[start], start, index
            start = index
