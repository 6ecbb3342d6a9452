"""The index of a folder's reports, the links between them, and what a page says of its making."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fsq_edge.report.document import Fact, Section, Verdict
from fsq_edge.report.html import render
from fsq_edge.report.index import INDEX, entries, write_index, write_page

PARTS = [Section("All", facts=[Fact("a", "1")])]


@pytest.fixture(autouse=True)
def reproducible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def page(title: str = "Parity <ladder>", verdict: Verdict | None = None) -> str:
    return render(title, PARTS, subtitle='about "it"', verdict=verdict)


def test_a_page_says_what_made_it_and_the_same_input_gives_the_same_page() -> None:
    made = page()
    assert re.search(r"Made by fsq-edge[ \d.]*, 2023-11-14 22:13 UTC, \w+ on \w+, Python 3\.\d+", made)
    assert made == page()


def test_a_page_of_a_build_folder_is_listed_and_links_back(tmp_path: Path) -> None:
    (tmp_path / "export.json").write_text("{}")
    write_page(tmp_path / "parity.html", page(verdict=Verdict("bad", "lost", "First at split.")))
    write_page(tmp_path / "check.html", page("Check"))
    assert f'<a href="{INDEX}">All reports of this folder</a>' in (tmp_path / "parity.html").read_text()
    index = (tmp_path / INDEX).read_text()
    assert '<a href="parity.html">parity.html</a>' in index
    assert "Parity &lt;ladder&gt;" in index
    assert "about &#34;it&#34;" in index
    assert "<td>lost</td>" in index
    assert [entry.path for entry in entries(tmp_path)] == ["check.html", "parity.html"]


def test_an_index_reaches_the_folders_right_below(tmp_path: Path) -> None:
    for name in ("fold-1", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "evaluation.html").write_text(page("Evaluation"))
    (tmp_path / "fold-1" / "run.json").write_text("{}")
    (tmp_path / "foreign.html").write_text("<title>not ours</title>")
    write_index(tmp_path)
    assert [entry.path for entry in entries(tmp_path)] == ["fold-1/evaluation.html"]


def test_a_page_elsewhere_stays_alone(tmp_path: Path) -> None:
    write_page(tmp_path / "mine.html", page())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.html"]
    assert "All reports" not in (tmp_path / "mine.html").read_text()


@pytest.mark.parametrize(("state", "word"), [("good", "holds"), ("warning", "PASS"), ("bad", "refused")])
def test_the_verdict_stands_first(state: str, word: str) -> None:
    made = render("T", PARTS, verdict=Verdict(state, word, "For a <reason>."))  # type: ignore[arg-type]  # parametrized
    assert f'<p class="verdict {state}"><strong>{word}</strong>For a &lt;reason&gt;.</p>' in made
    assert made.index(word + "</strong>") < made.index("<h2>")


def test_a_cell_that_looks_like_markup_is_text() -> None:
    from fsq_edge.report.document import Table

    rows = [["<b>x</b>", "[y](javascript:alert(1))", "`z` [a](b.html)"]]
    made = render("T", [Section("S", tables=[Table(("a", "b", "c"), rows)])])
    assert "&lt;b&gt;x&lt;/b&gt;" in made
    assert "href" not in made
