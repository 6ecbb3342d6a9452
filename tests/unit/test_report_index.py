"""The index of a folder's reports, the links between them, and what a page says of its making."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fsq_edge.report.document import Section
from fsq_edge.report.html import render
from fsq_edge.report.index import INDEX, entries, write_index, write_page
from fsq_edge.report.parts import Fact, Verdict

PARTS = [Section("All", facts=[Fact("a", "1")])]


@pytest.fixture(autouse=True)
def reproducible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


GOOD = Verdict("good", "holds")


def page(title: str = "Parity <ladder>", verdict: Verdict = GOOD) -> str:
    return render(title, PARTS, subtitle='about "it"', verdict=verdict)


def test_a_page_says_what_made_it_and_the_same_input_gives_the_same_page() -> None:
    made = page()
    assert re.search(r"Made by fsq-edge[ \d.]*, 2023-11-14 22:13 UTC, \w+ on \w+, Python 3\.\d+", made)
    assert made == page()


def test_pages_of_a_build_folder_are_listed_and_link_to_each_other(tmp_path: Path) -> None:
    (tmp_path / "export.json").write_text("{}")
    write_page(tmp_path / "parity.html", page(verdict=Verdict("bad", "lost", "First at split.")))
    write_page(tmp_path / "check.html", page("Check"))
    parity, check = ((tmp_path / name).read_text() for name in ("parity.html", "check.html"))
    assert f'<a href="{INDEX}">All reports</a> <a href="check.html">Check</a> <b>Parity &lt;ladder&gt;</b>' in parity
    assert f'<a href="{INDEX}">All reports</a> <b>Check</b> <a href="parity.html">Parity &lt;ladder&gt;</a>' in check
    index = (tmp_path / INDEX).read_text()
    assert '<a href="parity.html">Parity &lt;ladder&gt;</a>' in index
    assert "about &#34;it&#34;" in index
    assert "<td>lost</td>" in index
    assert "<strong>not good</strong>Parity &lt;ladder&gt;: lost.</p>" in index
    assert [entry.path for entry in entries(tmp_path)] == ["check.html", "parity.html"]
    before = (tmp_path / "check.html").stat().st_mtime_ns
    write_index(tmp_path)
    assert (tmp_path / "check.html").stat().st_mtime_ns == before  # links that are there already are not written again


def test_an_index_reaches_the_folders_of_ours_below_and_pages_link_to_the_uppermost(tmp_path: Path) -> None:
    for name in ("fold-1/evaluation", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "folds.json").write_text("{}")
    (tmp_path / "fold-1" / "run.json").write_text("{}")
    (tmp_path / "fold-1" / "evaluation" / "summary.json").write_text("{}")
    (tmp_path / "other" / "mine.html").write_text(page())
    (tmp_path / "foreign.html").write_text("<title>not ours</title>")
    write_page(tmp_path / "fold-1" / "evaluation" / "evaluation.html", page("Evaluation"))
    assert [entry.path for entry in entries(tmp_path)] == ["fold-1/evaluation/evaluation.html"]
    assert '<a href="fold-1/evaluation/evaluation.html">Evaluation</a>' in (tmp_path / INDEX).read_text()
    assert '<a href="../../index.html">All' in (tmp_path / "fold-1" / "evaluation" / "evaluation.html").read_text()
    assert not (tmp_path / "fold-1" / INDEX).exists()  # it would list the one page alone


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
    made = render("T", [Section("S", tables=[Table(("a", "b", "c"), rows)])], verdict=GOOD)
    assert "&lt;b&gt;x&lt;/b&gt;" in made
    assert "href" not in made
