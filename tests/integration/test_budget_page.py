"""The budget page in a real browser: on a phone, a laptop and a large screen."""

from __future__ import annotations

from pathlib import Path

from fsq_edge.cli.main import run
from fsq_edge_runtime.sinks.files import JsonlSink, Output
from tests.factories.browser import chromium
from tests.factories.records import decision

WIDTHS = (390, 1280, 1920)
START = 1_711_839_600.0  # a midnight of Berlin
# Text of a picture as it is shown, in CSS pixels.
SMALLEST = (
    "return Math.min(...[...document.querySelectorAll('figure svg')].map(svg => "
    "svg.getBoundingClientRect().width / svg.viewBox.baseVal.width * 9))"
)


def test_the_page_fits_and_its_pictures_can_be_read(tmp_path: Path) -> None:
    sink = JsonlSink(Output(tmp_path / "log.jsonl"))
    for number in range(2000):
        label = ("rest", "walk", "trot", None)[number // 37 % 4]
        sink.write(decision(number, label, t_end=START + 60.0 * number, length=60.0, stream="rex-with-a-long-name"))
    sink.close()
    page_file = tmp_path / "budget.html"
    words = ["budget", str(tmp_path / "log.jsonl"), "--zone", "Europe/Berlin", "--html", str(page_file), "--quiet"]
    assert run(words) == 0
    with chromium() as page:
        for width in WIDTHS:
            page.size(width, 900)
            page.open(page_file.as_uri())
            assert page.run("return document.documentElement.scrollWidth") == width
            assert page.run("return document.querySelectorAll('figure svg').length") == 3
            assert page.run(SMALLEST) >= 8
            assert page.complaints() == []
