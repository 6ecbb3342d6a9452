"""Fills the page: verdict, cut, findings, sums, drawing, and the facts behind a click on a node."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from string import Template
from typing import Any

from fsq_edge_compile.checker.checking import Examination
from fsq_edge_compile.checker.families.predicate import text
from fsq_edge_compile.checker.graph import Graph
from fsq_edge_compile.checker.page.drawing import draw
from fsq_edge_compile.checker.report import CheckReport, Finding
from fsq_edge_compile.checker.statistics import NodeSize, node_size
from fsq_edge_runtime.made import made_line

PAGE, LOOK = "page.html", "look.css"
SIBLINGS = "<!-- other reports --><!-- end of them -->"  # where fsq_edge.report.index puts the links to other reports
LEAST_HEIGHT = 340  # pixels of the pane, so that the facts of a node have room
_SAYS = {
    "full": "The whole graph runs on the device",
    "cut": "A part of it runs on the device, the rest on the host",
    "none": "Nothing of it runs on the device",
}


def render_page(examination: Examination) -> str:
    """Return the report as one HTML document, UTF-8, that refers to no other file or host."""
    report, graph = examination.report, examination.graph
    status = node_status(report)
    sizes = [node_size(graph, node) for node in graph.nodes]
    index = {node.name: number for number, node in enumerate(graph.nodes)}
    warned = {finding.node for finding in report.warnings}
    picture, overview, height = draw(graph, status, warned)
    source, look = (resources.files(__package__).joinpath(name).read_text(encoding="utf-8") for name in (PAGE, LOOK))
    return Template(source).substitute(
        look=look,
        siblings=SIBLINGS,
        height=f"min(82vh, {max(height + 2, LEAST_HEIGHT)}px)",
        title=escape(f"Check of {report.model} for {report.arch}"),
        subtitle=escape(
            f"DFC {report.dfc}; confidence {report.confidence}; shapes and rules only, nothing was compiled or run"
        ),
        state=_state(report),
        verdict=report.verdict,
        made=escape(made_line()),
        says=_says(report),
        facts=_facts(report, sizes),
        cut=_cut_points(report, index),
        findings=_findings(report.findings, index),
        operators=_operators(by_operator(graph, status, sizes)),
        graph=picture,
        overview=overview,
        data=_embedded(_node_facts(graph, report, status, sizes)),
    )


def _state(report: CheckReport) -> str:
    """Return how good the verdict is, in the words of the reports' look."""
    if report.verdict == "full":
        return "warning" if report.warnings else "good"
    return "warning" if report.verdict == "cut" else "bad"


def _says(report: CheckReport) -> str:
    """Return the verdict as a sentence, with what is left to look at."""
    counts = [
        _plural(len(some), name) for some, name in ((report.errors, "error"), (report.warnings, "warning")) if some
    ]
    return f"{_SAYS[report.verdict]}; {', '.join(counts) or 'no errors, no warnings'}."


def _plural(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"


def _facts(report: CheckReport, sizes: Sequence[NodeSize]) -> str:
    device = [size for size, node in zip(sizes, report.nodes, strict=True) if node.device]
    rows = (
        ("Nodes on the device", f"{len(device)} of {len(sizes)}"),
        ("Errors, warnings", f"{len(report.errors)}, {len(report.warnings)}"),
        ("MACs on the device", _of(sum(size.macs for size in device), sum(size.macs for size in sizes))),
        ("Parameters there", _of(sum(size.parameters for size in device), sum(size.parameters for size in sizes))),
        ("Largest activation there", f"{_count(max((size.activation for size in device), default=0))} values"),
    )
    return "".join(f'<div class="fact"><dt>{name}</dt><dd class="value">{value}</dd></div>' for name, value in rows)


def _of(part: int, whole: int) -> str:
    return _count(whole) if part == whole else f"{_count(part)} of {_count(whole)}"


def _count(value: int) -> str:
    """Return a count with three significant digits: 11.2 M."""
    for unit, size in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= size:
            return f"{value / size:.3g}\u00a0{unit}"
    return str(value)


def _link(name: str, index: dict[str, int]) -> str:
    shown = f"<code>{escape(name)}</code>"
    return f'<a href="#n{index[name]}">{shown}</a>' if name in index else shown


def _cut_points(report: CheckReport, index: dict[str, int]) -> str:
    if not report.end_nodes:
        return "<p>There is no device part.</p>"
    rows = (("start nodes", report.start_nodes), ("end nodes", report.end_nodes))
    items = "".join(f"<dt>{name}</dt><dd>{' '.join(_link(item, index) for item in nodes)}</dd>" for name, nodes in rows)
    return f'<dl class="cut">{items}</dl>'


def _findings(findings: Iterable[Finding], index: dict[str, int]) -> str:
    rows = "".join(
        f'<tr class="{finding.severity}"><td>{finding.severity}</td>'
        f"<td>{_link(finding.node, index) if finding.node else 'the file'}</td>"
        f"<td>{escape(finding.message)}<br><span>{escape(finding.fix)}</span></td>"
        f'<td><code title="{escape(finding.source)}">{escape(finding.rule)}</code><br>'
        f"<span>{finding.support}; stage {finding.stage}; confidence {finding.confidence}</span></td></tr>"
        for finding in findings
    )
    if not rows:
        return "<p>None.</p>"
    head = "<tr><th>severity</th><th>where</th><th>what, and the fix</th><th>rule</th></tr>"
    return _scrolling(f'<table id="findings"><thead>{head}</thead><tbody>{rows}</tbody></table>', "findings")


def _operators(rows: Iterable[OperatorRow]) -> str:
    names = ("nodes", "device", "host", "refused", "MACs", "parameters", "activation values")
    head = "<th>operator</th>" + "".join(f'<th class="number">{name}</th>' for name in names)
    body = "".join(
        f"<tr><td>{escape(row.op)}</td>"
        + "".join(f'<td class="number">{value}</td>' for value in (row.count, row.device, row.host, row.refused))
        + "".join(f'<td class="number">{_count(value)}</td>' for value in (row.macs, row.parameters, row.activation))
        + "</tr>"
        for row in rows
    )
    return _scrolling(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", "by operator")


def _scrolling(table: str, label: str) -> str:
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{label}">{table}</div>'


def _node_facts(
    graph: Graph, report: CheckReport, status: dict[str, str], sizes: Sequence[NodeSize]
) -> list[dict[str, Any]]:
    """What the side panel shows of each node."""
    found: dict[str, list[str]] = {}
    for finding in report.findings:
        found.setdefault(finding.node, []).append(
            f"{finding.severity}: {finding.message} ({finding.rule}). {finding.fix}"
        )
    return [
        {
            "name": node.name,
            "op": node.op,
            "status": status[node.name],
            "in": [f"{text(graph.shape(name))} {name}" for name in node.inputs if name],
            "out": [f"{text(graph.shape(name))} {name}" for name in node.outputs if name],
            "macs": _count(size.macs),
            "parameters": _count(size.parameters),
            "activation": _count(size.activation),
            "findings": found.get(node.name, []),
        }
        for node, size in zip(graph.nodes, sizes, strict=True)
    ]


def _embedded(value: object) -> str:
    """Return JSON that cannot end the script element it stands in."""
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return written.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


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
