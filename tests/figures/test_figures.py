"""No stale figure: what a page shows of a measurement is what is kept, or says when and by what it was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsq_edge.cli.docs import pages
from tests.figures.marks import LOOKS_MEASURED, MARK, ROOT, Mark, differences, marks_of, sections_of

# Written by programs that have tests of their own, or lists of constants.
MADE = {"benchmarks.md", "networks.md", "hailort-status.md"}
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in MADE)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_section_with_measurements_says_where_they_are_from(page: Path) -> None:
    bare = [heading for heading, text in sections_of(page.read_text())
            if LOOKS_MEASURED.search(MARK.sub("", text)) and not MARK.search(text)]  # fmt: skip
    assert bare == [], f"{page.name}: put a mark into these sections, see tests/figures/marks.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_figure_differs_from_the_result_that_is_kept(page: Path) -> None:
    for mark in marks_of(page.read_text()):
        assert differences(mark) == [], f"{page.name}: {mark.text}"


def test_a_figure_that_drifts_is_seen(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps({"result": {"a b": {"f1": 0.91144, "us": 24037.6}, "c": [0.5, 3]}}))
    assert differences(Mark("one.json a_b", "| 0.911 | 24,038 | 12 |"), tmp_path) == []
    assert differences(Mark("one.json a_b", "| 0.912 | 24,038 |"), tmp_path) == ["0.912"]
    assert differences(Mark("one.json a_b except 777", "777 of 91.1 %"), tmp_path) == []
    assert differences(Mark("one.json c", "| 0.911 |"), tmp_path) == ["0.911"]
    for text in ("two.json .", "one.json gone", "measured by hand", "none"):
        with pytest.raises(ValueError, match=r"no mark|has no"):
            differences(Mark(text, ""), tmp_path)


def test_a_section_without_a_mark_is_seen() -> None:
    page = "# Title\n\nText.\n\n## Cost\n\nIt takes 3.2 µs.\n\n    0.91 in a block of code\n"
    found = [heading for heading, text in sections_of(page) if LOOKS_MEASURED.search(text)]
    assert found == ["## Cost"]


def test_the_pages_of_the_package_are_shown_without_marks() -> None:
    shown = next(page for page in pages() if page.name == "accuracy").text()
    assert not MARK.search(shown)
    assert "0.911" in shown
