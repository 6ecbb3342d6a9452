"""The drawings of the pages: sound files that ask nobody, and figures that are right."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from fsq_edge_runtime.tail import FsqCodebook

DOCS = Path(__file__).parents[2] / "docs"
DRAWINGS = sorted((DOCS / "images").glob("*.svg"))
USED = re.findall(r"images/[\w-]+\.svg", "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")))


@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda drawing: drawing.stem)
def test_a_drawing_is_used_fits_a_phone_and_asks_nobody(drawing: Path) -> None:
    root = ElementTree.fromstring(drawing.read_text(encoding="utf-8"))
    assert f"images/{drawing.name}" in USED
    assert root.attrib["viewBox"].split()[2] == "360"  # the width of a page on a phone, so text keeps its size
    assert not [each.tag for each in root.iter() if each.tag.endswith(("script", "image", "use"))]


def test_the_drawn_code_is_the_code() -> None:
    drawing = (DOCS / "images/concept-fsq.svg").read_text(encoding="utf-8")
    t = [float(found.replace("−", "-")) for found in re.findall(r"t = ([−\d.]+)", drawing)]
    book = FsqCodebook([int(found) for found in re.findall(r"(\d+) levels", drawing)])
    digits = book.digits(np.float32(t))
    assert [int(found) for found in re.findall(r'font-weight="bold">(\d)<', drawing)] == digits.tolist()
    assert f"code {book.index(digits)} of {book.n_codes}" in drawing
    assert f"row {book.index(digits)}" in drawing
