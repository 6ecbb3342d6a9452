"""One report, two forms: Markdown and a self-contained page."""

import base64
import re
from html.parser import HTMLParser
from importlib import resources
from itertools import combinations

import numpy as np
import pytest

from fsq_edge.report.document import Section, Table, cell_text
from fsq_edge.report.html import render
from fsq_edge.report.markdown import to_markdown
from fsq_edge.report.palette import class_color, class_hatch
from fsq_edge.report.parts import Fact, Picture, Verdict
from fsq_edge.report.strip import svg_class

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><title>x</title></svg>'
GOOD = Verdict("good", "holds")
PNG = base64.b64encode(b"\x89PNG\r\n").decode()
SECTIONS = [
    Section("Numbers", facts=[Fact("Accuracy", "0.91", "n = 600"), Fact("Codes", "70")]),
    Section("Rows", tables=[Table(["class", "F1", "n"], [["a|b", 0.5, 1234], ["<i>", None, 2]], "per class")]),
    Section("Pictures", figures=[Picture(SVG, "a drawing", "drawing"), Picture(PNG, "a photo", "photo")]),
    Section("Words", "First\nline with `code` and **weight**.\n\n- one\n- [two](docs/a.md)"),
]


class Page(HTMLParser):
    """Collects tags and complains about ones that are not closed in order."""

    VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})

    def __init__(self, text):
        super().__init__()
        self.seen, self.open, self.ids = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def attributes(self, tag):
        return [attrs for name, attrs in self.seen if name == tag]


def test_markdown_has_every_part():
    text = to_markdown("Report", SECTIONS, subtitle="of a test", notices=["Look here."])
    assert text.startswith(
        "# Report\n\nof a test\n\n> **Look here.**\n\n## Numbers\n\n- **Accuracy**: 0.91 (n = 600)\n"
    )
    assert "- **Codes**: 70\n" in text
    assert (
        "**per class**\n\n| class | F1 | n |\n| --- | --- | --- |\n| a\\|b | 0.500 | 1,234 |\n| <i> | – | 2 |" in text
    )
    assert "![a drawing](figures/drawing.svg)" in text
    assert "![a photo](figures/photo.png)" in text
    assert text.endswith("- [two](docs/a.md)\n")


def test_a_picture_without_a_name_is_for_the_page_only():
    assert "![" not in to_markdown("t", [Section("s", figures=[Picture(SVG, "c")])])


def test_picture_files_stand_alone():
    drawing, photo = (Picture(image, "", "p") for image in (SVG, PNG))
    assert drawing.file_bytes().startswith(b'<svg style="background: #fff')
    assert photo.file_bytes() == b"\x89PNG\r\n"


def test_cells():
    assert [cell_text(cell) for cell in (1234567, 0.12345, None, "x", True)] == ["1,234,567", "0.123", "–", "x", "True"]


def test_the_page_is_well_formed_and_fetches_nothing():
    text = render("Report", SECTIONS, verdict=GOOD, subtitle="of a test", notices=["Look here."])
    page = Page(text)
    tags = {tag for tag, _ in page.seen}
    assert not tags & {"script", "link", "iframe", "object"}
    assert [attrs["src"][:22] for attrs in page.attributes("img")] == ["data:image/png;base64,"]
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert re.findall(r"https?://[^\"' ]+", text) == ["http://www.w3.org/2000/svg"]  # a name, not an address
    assert len(page.ids) == len(set(page.ids))
    anchors = [attrs["href"] for attrs in page.attributes("a") if attrs["href"].startswith("#")]
    assert anchors == ["#numbers", "#rows", "#pictures", "#words"]
    assert text.index("Look here.") < text.index("<h2>")
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_columns_of_numbers_are_set_flush_right():
    heads = Page(render("r", SECTIONS, verdict=GOOD)).attributes("th")
    assert [attrs.get("class") for attrs in heads] == [None, "number", "number"]
    units = Table(["a", "b", "c"], [["12.5 µs", "2.1 %", "1.3 MB"], ["1,234", "+0.5", "1 or 2"]])
    heads = Page(render("r", [Section("s", tables=[units])], verdict=GOOD)).attributes("th")
    assert [attrs.get("class") for attrs in heads] == ["number", "number", None]


def test_text_is_escaped_everywhere():
    evil = "<script>alert(1)</script>"
    section = Section(
        evil,
        f"{evil} `{evil}` **{evil}**",
        [Fact(evil, evil, evil)],
        [Table([evil], [[evil]], evil)],
        [Picture(SVG, evil)],
    )
    text = render(evil, [section], verdict=Verdict("bad", evil, evil), subtitle=evil, notices=[evil])
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 10
    Page(text)


def test_little_markdown_is_read_and_no_more():
    text = render(
        "r", [Section("s", "A `b<` **c** [d](https://e.org/f) [g](javascript:h) # i\n\n- j\n- k")], verdict=GOOD
    )
    assert (
        '<p>A <code>b&lt;</code> <strong>c</strong> <a href="https://e.org/f">d</a> [g](javascript:h) # i</p>' in text
    )
    assert "<ul><li>j</li><li>k</li></ul>" in text


@pytest.mark.parametrize("image", ["<img src=x>", "not base64!", '"><script>'])
def test_a_picture_that_is_none_is_refused(image):
    with pytest.raises(ValueError, match="picture"):
        render("r", [Section("s", figures=[Picture(image)])], verdict=GOOD)


def test_a_row_that_does_not_fit_its_columns_is_refused():
    with pytest.raises(ValueError, match="2 cells under 1 columns"):
        render("r", [Section("s", tables=[Table(["a"], [["b", "c"]])])], verdict=GOOD)


def test_an_empty_table_keeps_its_head():
    assert '<th scope="col">a</th>' in render("r", [Section("s", tables=[Table(["a"], [])])], verdict=GOOD)


def test_long_tables_and_many_pictures_are_mostly_behind_a_click():
    rows = [[k] for k in range(50)]
    text = render("r", [Section("s", tables=[Table(["a"], rows)], figures=[Picture(SVG)] * 13)], verdict=GOOD)
    Page(text)
    assert "<summary>30 more rows</summary>" in text
    assert "<summary>7 more pictures</summary>" in text
    few = render("r", [Section("s", tables=[Table([name], []) for name in "abcde"])], verdict=GOOD)
    assert "<summary>3 more tables</summary>" in few
    assert all(f'<th scope="col">{name}</th>' in few for name in "abcde")
    assert all(f">{k}</td>" in text for k in range(50))
    assert "<details>" not in render("r", [Section("s", tables=[Table(["a"], rows[:40])])], verdict=GOOD)


def test_a_class_has_the_color_of_the_live_page_and_a_pattern_beyond_seven():
    script = resources.files("fsq_edge_runtime.monitor").joinpath("page/labels.js").read_text()
    colors = re.findall("#[0-9a-f]{6}", script.partition("const COLORS = [")[2].partition("]")[0])
    assert [class_color(number).lower() for number in range(7)] == colors
    looks = {(class_color(number), class_hatch(number)) for number in range(28)}
    assert len(looks) == 28, "28 classes are told apart"
    assert "dash" not in svg_class(0, 0, 10, 10, 6, "a")
    assert 'stroke-dasharray="3 3"' in svg_class(0, 0, 10, 10, 14, "<b>")
    assert "&lt;b&gt;" in svg_class(0, 0, 10, 10, 14, "<b>")


def test_a_number_keeps_its_unit_on_its_line_and_percent_is_written_in_one_way():
    facts = [Fact("Flips", "1.55%", "95 % of 968; 37 µs of `12 ms`")]
    page = render("Units", [Section("Numbers", "Lasts 20 s, 5%.", facts)], verdict=Verdict("good", "ok", "in `a b`."))
    assert "1.55\u00a0%" in page
    assert "95\u00a0% of 968; 37\u00a0µs" in page
    assert "Lasts 20\u00a0s, 5\u00a0%." in page
    assert "in <code>a b</code>." in page


def _seen(color, missing):
    """Return a color in CIE Lab as an eye sees it that lacks one kind of cone (Vienot, Brettel and Mollon 1999)."""
    share = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    cones = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    long, medium, short = cones @ linear
    if missing == "medium":
        medium = 0.494207 * long + 1.24827 * short
    elif missing == "long":
        long = 2.02344 * medium - 2.52581 * short
    linear = np.clip(np.linalg.solve(cones, [long, medium, short]), 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("missing", ["none", "medium", "long"])
def test_colors_are_told_apart_with_any_common_color_vision(missing):
    script = resources.files("fsq_edge_runtime.monitor").joinpath("page/draw.js").read_text()
    lines = [re.findall("#[0-9a-f]{6}", part) for part in re.findall(r"(?:light|dark): \[(.*?)\]", script)]
    assert [len(colors) for colors in lines] == [6, 6]
    for colors in ([class_color(number) for number in range(7)], *lines):
        for one, other in combinations(colors, 2):
            assert np.linalg.norm(_seen(one, missing) - _seen(other, missing)) > 14, f"{one} and {other}"
