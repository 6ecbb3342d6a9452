"""Every report in a real browser: nothing is cut off at any width, text can be read, axes are named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fsq_edge.report.document import Section, Table
from fsq_edge.report.html import render
from fsq_edge.report.parts import Fact, Picture, Verdict
from tests.factories.browser import Page, chromium
from tests.factories.page_faults import CUT_OFF, TOO_FAINT, TOO_SMALL, UNLABELLED
from tests.factories.report_pages import NAMES, make_pages

for module in ("jinja2", "matplotlib", "optuna"):
    pytest.importorskip(module, reason=f"{module} is not installed, which a report needs")

MOST_BYTES = 2_000_000
MOST_PIXELS = 13_000  # of height


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def pages(page: Page, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every report, and a page with everything that one can hold; the browser comes first, for without it all skip."""
    from matplotlib import rc_context

    from fsq_edge.report.canvas import STYLE, new_figure, svg_text

    folder = tmp_path_factory.mktemp("pages")
    with rc_context(STYLE):
        figure, axes = new_figure(8.0, 3.0)
        axes.plot([1, 2], [3, 4])
        axes.set(xlabel="time, s", ylabel="value")
        chart = svg_text(figure, "chart")
    wide = Table([f"column {k}" for k in range(14)], [["a long cell with words"] * 14] * 50, "wide")
    long = "a_name_without_any_blank_" * 8
    parts = [Section("Everything", f"`{long}` {long}", [Fact("fact", long, "note")] * 5, [wide], [Picture(chart, "c")])]
    everything = render(long, parts, subtitle=long, notices=[long], verdict=Verdict("bad", "lost", long))
    (folder / "everything.html").write_text(everything)
    return {"everything": folder / "everything.html", **make_pages(folder)}


@pytest.mark.parametrize("name", ["everything", *NAMES])
def test_a_report_can_be_read_from_a_phone_to_a_wide_screen(page: Page, pages: dict[str, Path], name: str) -> None:
    assert pages[name].stat().st_size < MOST_BYTES
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        for width in (390, 1280, 1920):
            page.size(width, 900)
            page.open(pages[name].as_uri())
            assert page.run("return document.documentElement.scrollWidth") == width
            assert page.run(CUT_OFF) == []
            assert page.run(TOO_SMALL) == []
            assert page.run("return document.documentElement.scrollHeight") < MOST_PIXELS
        light = page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert light == (scheme == "light")
        page.run("document.querySelectorAll('details').forEach(e => e.open = true)")
        assert page.run(TOO_FAINT) == []
        assert page.run(UNLABELLED) == []
    assert page.complaints() == []
    assert page.run("return document.querySelector('.verdict strong').textContent")
    assert page.text("footer").startswith("Made by fsq-edge")


def test_what_scrolls_can_be_reached_by_key_and_is_whole_on_paper(page: Page, pages: dict[str, Path]) -> None:
    page.size(390, 900)
    page.open(pages["everything"].as_uri())
    wide = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    assert page.run(f"return {wide}.length") >= 2
    assert page.run("return [...document.querySelectorAll('.scroll table')].every(t => t.parentNode.tabIndex === 0)")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert page.run("return getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
        assert page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        closed = "document.querySelector('details table').checkVisibility({contentVisibilityAuto: true})"
        assert page.run(f"return {closed}")  # what a click unfolds is printed without one
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_the_links_between_reports_lead_somewhere(page: Page, pages: dict[str, Path]) -> None:
    page.open(pages["parity"].as_uri())
    links = page.run("return [...document.querySelectorAll('.siblings a')].map(a => a.href)")
    assert len(links) == 4  # the index and the other three of the BUILD folder
    page.open(links[0])
    links += page.run("return [...document.querySelectorAll('td a')].map(a => a.href)")
    assert all(Path(link.removeprefix("file://")).is_file() for link in links)
