"""Sums over a graph by operator, and the status of every node, as the page shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fsq_edge_compile.checker.graph import Graph
from fsq_edge_compile.checker.report import CheckReport
from fsq_edge_compile.checker.statistics import NodeSize


@dataclass(slots=True)
class OperatorRow:
    """Sums over the nodes of one operator.

    Attributes:
        op: operator type.
        device: nodes on the device.
        host: accepted nodes that stay on the host behind a cut.
        refused: nodes with an error.
        macs: multiply-accumulates.
        parameters: elements of constant inputs.
        activation: elements of the outputs.
    """

    op: str
    device: int = 0
    host: int = 0
    refused: int = 0
    macs: int = 0
    parameters: int = 0
    activation: int = 0

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return self.device + self.host + self.refused


def node_status(report: CheckReport) -> dict[str, str]:
    """Return ``device``, ``host`` or ``refused`` by node name."""
    return {node.name: "device" if node.device else "host" if node.accepted else "refused" for node in report.nodes}


def by_operator(graph: Graph, status: Mapping[str, str], sizes: Sequence[NodeSize]) -> list[OperatorRow]:
    """Return one row an operator, the most work first, then the most frequent."""
    rows: dict[str, OperatorRow] = {}
    for node, size in zip(graph.nodes, sizes, strict=True):
        row = rows.setdefault(node.op, OperatorRow(node.op))
        setattr(row, status[node.name], getattr(row, status[node.name]) + 1)
        row.macs += size.macs
        row.parameters += size.parameters
        row.activation += size.activation
    return sorted(rows.values(), key=lambda row: (-row.macs, -row.count, row.op))
