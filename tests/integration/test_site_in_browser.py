"""The site that ``make docs`` built, opened from disk in a real Chromium: widths, schemes, requests, search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories.browser import Page, chromium

SITE = Path(__file__).parents[2] / "build" / "site"
WIDTHS = (390, 1280)
# What is wider than the page, pictures that leave it, and what was asked of another place than the disk.
SEEN = """
const width = document.documentElement.clientWidth
const pictures = [...document.querySelectorAll('main img, main svg')].map(each => each.getBoundingClientRect())
return {
  wide: document.documentElement.scrollWidth - width,
  pictures: pictures.filter(each => each.width && each.right > width + 1).length,
  asked: performance.getEntriesByType('resource').map(each => each.name).filter(name => !name.startsWith('file:')),
}
"""
GREY = """
const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number)
return (r + g + b) / 3
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    if not (SITE / "index.html").is_file():
        pytest.skip("no site: make docs builds it")
    with chromium() as page:
        yield page


def test_every_page_fits_both_widths_and_asks_nobody(browser: Page) -> None:
    found = []
    for width in WIDTHS:
        browser.size(width, 900)
        for path in sorted(SITE.rglob("*.html")):
            browser.open(path.as_uri())
            seen = browser.run(SEEN)
            if seen["wide"] > 0 or seen["pictures"] or seen["asked"]:
                found.append((path.name, width, seen))
    assert found == []
    assert browser.complaints() == []


def test_search_finds_a_word_without_a_server(browser: Page) -> None:
    browser.size(1280, 900)
    browser.open((SITE / "index.html").as_uri())
    browser.run("document.querySelector('label[for=__search]').click()")
    box = browser.driver.find_element("css selector", "input.md-search__input")
    browser.until(box.is_displayed, "the search box")
    box.send_keys("overlay")
    results = "return [...document.querySelectorAll('.md-search-result__item')].map(each => each.textContent)"
    browser.until(lambda: browser.run(results), "results")
    assert any("Made for this wearer" in text for text in browser.run(results))


def test_light_and_dark_follow_the_reader(browser: Page) -> None:
    greys = {}
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        browser.open((SITE / "concepts.html").as_uri())
        greys[scheme] = browser.run(GREY)
    assert greys["light"] > 200
    assert greys["dark"] < 60
