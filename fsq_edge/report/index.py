"""Pages in a run or build folder: the index that lists them, and their links to each other."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape, unescape
from itertools import takewhile
from pathlib import Path
from typing import Final

from fsq_edge.report.document import Section, Table
from fsq_edge.report.html import SIBLINGS, render
from fsq_edge.report.parts import Verdict
from fsq_edge_runtime.files import write_file

INDEX: Final = "index.html"
# A folder with one of these is ours to put an index into; a page that goes elsewhere stays alone.
MARKS: Final = ("run.json", "export.json", "summary.json", "folds.json", "sweep.json", "score.json")
HEAD_BYTES: Final = 4096
MAX_PAGE_BYTES: Final = 4_000_000  # a larger one is not ours
_META = re.compile(r'<meta name="(fsq-edge-[a-z]+)" content="([^"]*)">')
_SIBLINGS = re.compile(f"{SIBLINGS[0]}.*?{SIBLINGS[1]}", re.DOTALL)
_GRAVITY: Final = ("good", "warning", "bad")


@dataclass(frozen=True, slots=True)
class Entry:
    """One page of an index.

    Attributes:
        path: relative to the index.
        title: of the page.
        state: ``good``, ``warning`` or ``bad``.
        verdict: its verdict in a word.
        about: its subtitle.
        made: version, time and machine.
    """

    path: str
    title: str
    state: str
    verdict: str
    about: str
    made: str


def write_page(path: Path, page: str) -> None:
    """Write a page whole; in a run or build folder, bring the index and the links of all pages up to date.

    Raises:
        UnavailableError: the folder cannot be written to.
    """
    write_file(path, page.encode())
    # The page of check needs no template, the index does.
    if _is_ours(path.parent) and path.name != INDEX and importlib.util.find_spec("jinja2") is not None:
        write_index(path.parent)


def write_index(folder: Path) -> None:
    """Write the index of a folder and of those of ours around it, and link the folder's pages to each other."""
    around = [folder, *takewhile(_is_ours, folder.resolve().parents)]
    for place in around:
        found = list(entries(place))
        if len(found) > 1 or place == around[-1]:
            write_file(place / INDEX, _index(place.resolve().name, found).encode())
    _link(folder, "../" * (len(around) - 1) + INDEX)


def _is_ours(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in MARKS)


def _index(name: str, found: list[Entry]) -> str:
    table = Table(
        ("report", "verdict", "about", "made"),
        [
            (f"[{entry.title}]({entry.path})", entry.verdict or None, entry.about, _time_of(entry.made))
            for entry in found
        ],
    )
    worst = max((_GRAVITY.index(entry.state) for entry in found), default=0)
    at = [f"{entry.title}: {entry.verdict}" for entry in found if entry.state == _GRAVITY[worst]]
    said = ("nothing against it", "with warnings", "not good")[worst]
    verdict = Verdict(_GRAVITY[worst], said, f"{'; '.join(at)}." if worst else "Every report is good.")
    return render(f"Reports of {name}", [Section("Reports", tables=[table])], verdict=verdict)


def _time_of(made: str) -> str:
    """Return the time alone, as one piece that no line breaks."""
    found = next((part for part in made.split(", ") if part.endswith("UTC")), made)
    return found.replace(" ", "\u00a0").replace("-", "\u2011")


def _link(folder: Path, index: str) -> None:
    """Put links to the index and to each other into the folder's pages; one that has them already is not touched."""
    pages = [entry for entry in entries(folder) if "/" not in entry.path]
    for own in pages:
        links = [f'<a href="{index}">All reports</a>']
        links += [
            f"<b>{escape(entry.title)}</b>"
            if entry is own
            else f'<a href="{escape(entry.path)}">{escape(entry.title)}</a>'
            for entry in pages
        ]
        text = f'{SIBLINGS[0]}<p class="siblings">{" ".join(links)}</p>{SIBLINGS[1]}'
        path = folder / own.path
        before = path.read_text(encoding="utf-8") if path.stat().st_size <= MAX_PAGE_BYTES else ""
        after = _SIBLINGS.sub(text.replace("\\", r"\\"), before, count=1)
        if after != before:
            write_file(path, after.encode())


def entries(folder: Path) -> Iterator[Entry]:
    """Yield the pages of ours: this folder's first, then those of the run and build folders in it."""
    for path in sorted(folder.glob("*.html")):
        if path.name != INDEX and (found := _read(path)) is not None:
            yield found
    for below in sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()):
        if _is_ours(below):
            for entry in entries(below):
                yield replace(entry, path=f"{below.name}/{entry.path}")


def _read(path: Path) -> Entry | None:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES).decode("utf-8", "replace")
    found = {name.removeprefix("fsq-edge-"): unescape(value) for name, value in _META.findall(head)}
    if "title" not in found:
        return None
    state = found.get("state", "")
    return Entry(
        path.name, found["title"], state if state in _GRAVITY else "good",
        *(found.get(key, "") for key in ("verdict", "about", "made")),
    )  # fmt: skip
