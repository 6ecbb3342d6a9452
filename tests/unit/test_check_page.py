"""The HTML page of a check: complete, of one file, safe from what the model says, and alive in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import onnx
import pytest

from fsq_edge_compile.checker.checking import Examination, examine
from fsq_edge_compile.checker.page import render_page
from fsq_edge_compile.checker.page.drawing import edges, place
from fsq_edge_compile.checker.page.page import by_operator, node_status
from fsq_edge_compile.checker.statistics import node_size
from tests.factories.onnx_graphs import GraphFactory, fsq_model, imu_encoder


def three_heads() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 16, 16])
    stem = graph.unary("Relu", graph.conv("x", 16))
    heads = [graph.add("Selu", graph.conv(stem, channels, (1, 1))) for channels in (4, 2, 1)]
    return graph.model(*heads)


def chain(nodes: int) -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 4, 8, 8])
    x = "x"
    while len(graph.nodes) < nodes:
        x = graph.unary("Selu" if len(graph.nodes) % 500 == 498 else "Relu", graph.conv(x, 4))
    return graph.model(x)


def classes(page: str) -> list[str]:
    return re.findall(r'<g id="n\d+" class="node (\w+)"', page)


@pytest.mark.parametrize("build", [fsq_model, three_heads])
def test_every_node_is_drawn_in_the_colour_of_its_place(build: object) -> None:
    examination = examine(build())  # type: ignore[operator] # one of the factories above
    page = render_page(examination)
    status = node_status(examination.report)
    assert classes(page) == [status[node.name] for node in examination.graph.nodes]
    assert {"device", "refused"} <= set(classes(page))
    assert page.count("<path ") == len(list(edges(examination.graph)))
    for name in (*examination.report.start_nodes, *examination.report.end_nodes):
        assert f"<code>{name}</code>" in page
    for finding in examination.report.findings:
        assert finding.rule in page


def test_the_page_refers_to_nothing_outside() -> None:
    page = render_page(examine(fsq_model()))
    assert "Content-Security-Policy" in page
    body = page.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|src=|@import|url\(", body)


def test_a_full_model_has_no_refused_node() -> None:
    graph = imu_encoder()
    page = render_page(examine(graph.model(graph.last)))  # type: ignore[attr-defined] # the factory's note
    assert set(classes(page)) == {"device"}


def test_names_from_the_file_stay_text() -> None:
    graph = GraphFactory("x", [1, 4, 8, 8])
    evil = "</script><script>document.title='taken'</script><b>\"'&"
    page = render_page(examine(graph.model(graph.add("Selu", graph.conv("x", 8), name=evil))))
    assert page.count("<script") == 2
    assert "<b>" not in page.split("</style>")[1].replace("<b>&#9679;</b>", "")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert json.loads(data[1])[1]["name"] == evil


def test_an_empty_graph_has_a_page_too() -> None:
    graph = GraphFactory("x", [1, 4, 8, 8])
    page = render_page(examine(graph.model(graph.add("Identity", "x"))))
    assert "Nothing of it runs on the device" in page


def test_no_two_nodes_share_a_place_and_edges_point_down() -> None:
    for model in (fsq_model(), three_heads(), chain(300)):
        graph = examine(model).graph
        places = place(graph)
        assert len(set(places.at.values())) == len(graph.nodes)
        assert all(places.at[before.name][0] < places.at[after.name][0] for before, after in edges(graph))
        assert all(0 <= row < places.rows and 0 <= lane < places.lanes for row, lane in places.at.values())


def test_sums_by_operator() -> None:
    examination = examine(three_heads())
    graph, status = examination.graph, node_status(examination.report)
    rows = {row.op: row for row in by_operator(graph, status, [node_size(graph, node) for node in graph.nodes])}
    conv = rows["Conv"]
    # 3 x 3 over 8 channels to 16, then 1 x 1 to 4, 2 and 1, on maps of 16 x 16.
    assert conv.macs == 16 * 16 * (16 * 8 * 9 + 7 * 16)
    assert conv.parameters == 16 * 8 * 9 + 16 + 7 * 16 + 7
    assert conv.activation == 16 * 16 * (16 + 7)
    assert (conv.count, conv.device, rows["Selu"].refused) == (4, 4, 3)


@pytest.fixture(scope="module")
def large() -> Examination:
    return examine(chain(2000))


def test_two_thousand_nodes_make_a_page_of_a_megabyte(large: Examination) -> None:
    page = render_page(large)
    assert len(classes(page)) == len(large.graph.nodes) >= 2000
    assert len(page) < 2e6


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed: the page runs in no browser")
def test_the_page_works_in_a_browser(large: Examination, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(render_page(large), encoding="utf-8")
    shown = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    # The script has opened the side panel on the first refused node.
    side = shown.split('id="side"')[1]
    assert "<h3>Selu</h3>" in side
    assert "on the host: refused" in side
    assert shown.count("chosen") >= 1
