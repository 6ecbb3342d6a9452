"""Pages in a run or build folder, and the index that lists them."""

from __future__ import annotations

import html
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fsq_edge.report.document import Section, Table
from fsq_edge.report.html import SIBLINGS, render
from fsq_edge_runtime.files import write_file

INDEX: Final = "index.html"
# A folder with one of these is ours to put an index into; a page that goes elsewhere stays alone.
MARKS: Final = ("run.json", "export.json", "summary.json", "folds.json")
HEAD_BYTES: Final = 4096
_META = re.compile(r'<meta name="(fsq-edge-[a-z]+)" content="([^"]*)">')
_LINK: Final = f'<a href="{INDEX}">All reports of this folder</a>'


@dataclass(frozen=True, slots=True)
class Entry:
    """One page of an index.

    Attributes:
        path: relative to the index.
        title: of the page.
        verdict: its verdict, or empty.
        about: its subtitle.
        made: version, time and machine.
    """

    path: str
    title: str
    verdict: str
    about: str
    made: str


def write_page(path: Path, page: str) -> None:
    """Write a page whole; in a run or build folder, link it to the folder's index and bring that up to date.

    Raises:
        UnavailableError: the folder cannot be written to.
    """
    folder = path.parent
    ours = any((folder / mark).exists() for mark in MARKS) and path.name != INDEX
    ours = (
        ours and importlib.util.find_spec("jinja2") is not None
    )  # the page of check needs no template, the index does
    write_file(path, (page.replace(SIBLINGS, _LINK, 1) if ours else page).encode())
    if ours:
        write_index(folder)


def write_index(folder: Path) -> None:
    """Write the index of the pages in a folder and in the run and build folders right below it."""
    rows = [(entry.title, entry.verdict or None, entry.about, f"[{entry.path}]({entry.path})", entry.made) for entry in
            entries(folder)]  # fmt: skip
    table = Table(("report", "verdict", "about", "page", "made by"), rows)
    name = folder.resolve().name
    write_file(folder / INDEX, render(f"Reports of {name}", [Section("Reports", tables=[table])]).encode())


def entries(folder: Path) -> Iterator[Entry]:
    """Yield the pages of ours, this folder's first."""
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and any((path / m).exists() for m in MARKS)]
    for place in (folder, *below):
        for path in sorted(place.glob("*.html")):
            if path.name == INDEX:
                continue
            with path.open("rb") as file:
                head = file.read(HEAD_BYTES).decode("utf-8", "replace")
            found = {name: html.unescape(value) for name, value in _META.findall(head)}
            if "fsq-edge-title" in found:
                about = (found.get(f"fsq-edge-{key}", "") for key in ("title", "verdict", "about", "made"))
                yield Entry(str(path.relative_to(folder)), *about)
