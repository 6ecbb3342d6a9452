"""The pages of the documentation that come with the installed package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fsq_edge_runtime.errors import MissingInputError

_PLACES = (Path(__file__).parent / "_pages", Path(__file__).parents[1] / "docs")  # installed, or a checkout

_MARK = re.compile(r"<!-- figures: [^\n]*? -->\n\n?")


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        name: of the file without its ending.
        title: its first heading.
        path: of the file, Markdown.
    """

    name: str
    title: str
    path: Path

    def text(self) -> str:
        """Return the page as Markdown, without the marks that say where its figures are from."""
        return _MARK.sub("", self.path.read_text(encoding="utf-8"))


def page_folder() -> Path:
    """Return the folder of the pages.

    Raises:
        MissingInputError: this installation has none.
    """
    for place in _PLACES:
        if place.is_dir():
            return place
    raise MissingInputError("this installation has no pages", hint="read them at the project's address")


def pages() -> list[Page]:
    """Return every page, the index first."""
    found = [Page(path.stem, _title(path), path) for path in sorted(page_folder().rglob("*.md"))]
    return sorted(found, key=lambda page: page.name != "index")


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return next((line[2:].strip() for line in file if line.startswith("# ")), path.stem)
