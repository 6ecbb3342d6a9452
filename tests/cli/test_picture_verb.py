"""``fsq-edge picture``: a report as a PNG, and what it refuses."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from fsq_edge.cli.main import run
from fsq_edge.report.document import Section
from fsq_edge.report.html import render
from fsq_edge.report.parts import Fact, Verdict
from fsq_edge_runtime.errors import UnavailableError

pytest.importorskip("jinja2", reason="the report extra is not installed")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "made here.html"
    path.write_text(render("T", [Section("S", facts=[Fact("a", "1")] * 60)], verdict=Verdict("good", "holds")))
    return path


def png_size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", head[16:])
    return width, height


def test_a_picture_shows_the_whole_page_at_its_width(page: Path, tmp_path: Path) -> None:
    from fsq_edge.report.browser import find_chromium

    try:
        find_chromium()
    except UnavailableError:
        pytest.skip("no Chromium (apt install chromium)")
    assert run(["picture", str(page), "--json", str(tmp_path / "p.json")]) == 0
    width, height = png_size(tmp_path / "made here.png")
    assert width == 1280
    assert height > 900  # taller than the window
    assert json.loads((tmp_path / "p.json").read_text())["bytes"] == (tmp_path / "made here.png").stat().st_size
    assert run(["picture", str(page), "--width", "390", "--dark", "--out", str(tmp_path / "d.png"), "--quiet"]) == 0
    narrow = png_size(tmp_path / "d.png")
    assert narrow[0] == 390
    assert narrow[1] > height


def test_what_is_no_report_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "foreign.html").write_text("<title>x</title>")
    assert run(["picture", str(tmp_path / "foreign.html")]) == 65
    assert "is no report of fsq-edge" in capsys.readouterr().err
    assert run(["picture", str(tmp_path / "none.html")]) == 66


@pytest.mark.parametrize(("browser", "said"), [("", "apt install chromium"), ("true", "ended"), ("cat", "ended")])
def test_without_a_working_browser_it_says_what_to_install(
    page: Path, browser: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fsq_edge.report.browser.NAMES", ())
    monkeypatch.setenv("FSQ_EDGE_CHROMIUM", browser)
    assert run(["picture", str(page)]) == 69
    assert said in capsys.readouterr().err
    assert not page.with_suffix(".png").exists()
