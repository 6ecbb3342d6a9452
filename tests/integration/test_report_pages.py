"""The pages of reports in a real browser: nothing is cut off from a phone to a wide screen, chart text can be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fsq_edge.data.quality.report import to_html
from fsq_edge.data.timeline import timeline_section
from fsq_edge.report.document import Fact, Picture, Section, Table, Verdict
from fsq_edge.report.html import render
from tests.factories.browser import Page, chromium

pytest.importorskip("jinja2", reason="the report extra is not installed")

OUTSIDE = """
return [...document.querySelectorAll('main *')].filter(e => {
  const box = e.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !e.closest('.scroll, .view');
}).map(e => e.tagName + '.' + (e.className.baseVal ?? e.className))"""
SMALLEST = """
return [...document.querySelectorAll('svg text')].map(e => {
  const svg = e.ownerSVGElement, wide = svg.viewBox.baseVal.width;
  return parseFloat(getComputedStyle(e).fontSize) * (wide ? svg.getBoundingClientRect().width / wide : 1);
}).reduce((a, b) => Math.min(a, b), 99)"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page with everything that a report can hold, the quality page, and that of the check."""
    from fsq_edge.data.quadruped import make_quadruped
    from fsq_edge.data.quality import DataQualityMonitor
    from fsq_edge.report.canvas import STYLE, new_figure, svg_text
    from fsq_edge_compile.checker.checking import examine
    from fsq_edge_compile.checker.page import render_page
    from tests.factories.bundles import device_graph

    mpl = pytest.importorskip("matplotlib", reason="the report extra is not installed")
    folder = tmp_path_factory.mktemp("pages")
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(8.0, 3.0)
        axes.plot([1, 2], [3, 4])
        axes.set_xlabel("time, s")
        chart = svg_text(figure, "chart")
    wide = Table([f"column {k}" for k in range(14)], [["a long cell with words"] * 14] * 5, "wide")
    long = "a_name_without_any_blank_" * 8
    parts = [Section("Everything", f"`{long}` {long}", [Fact("fact", long, "note")] * 5, [wide], [Picture(chart, "c")])]
    all_of_it = render(long, parts, subtitle=long, notices=[long], verdict=Verdict("bad", "lost", long))
    data = make_quadruped(0, animals=2, seconds=60.0)
    monitor = DataQualityMonitor()
    metrics = monitor.analyze(data)
    quality = to_html([(metrics, monitor.findings(metrics))], [timeline_section(data)])
    model = folder / "model.onnx"
    model.write_bytes(device_graph((12, 2, 50)))
    written = {"all": all_of_it, "quality": quality, "check": render_page(examine(str(model)))}
    for name, text in written.items():
        (folder / f"{name}.html").write_text(text)
        assert len(text) < 2_000_000
    return {name: folder / f"{name}.html" for name in written}


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["all", "quality", "check"])
def test_nothing_is_cut_off_and_charts_can_be_read(
    page: Page, pages: dict[str, Path], name: str, scheme: str, width: int
) -> None:
    page.size(width, 900)
    page.scheme(scheme)
    page.open(pages[name].as_uri())
    assert page.run("return document.documentElement.scrollWidth") == width
    assert page.run(OUTSIDE) == []
    assert page.run(SMALLEST) >= 11
    light = page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")
    assert page.complaints() == []


def test_what_scrolls_can_be_reached_by_key_and_is_whole_on_paper(page: Page, pages: dict[str, Path]) -> None:
    page.size(390, 900)
    page.open(pages["all"].as_uri())
    wide = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    assert page.run(f"return {wide}.length") >= 2
    assert page.run("return [...document.querySelectorAll('.scroll table')].every(t => t.parentNode.tabIndex === 0)")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert page.run("return getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
        assert page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
