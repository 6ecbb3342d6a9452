"""``fsq-edge docs``: the pages that come with the package, read and searched without a network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import click

from fsq_edge.cli.output import Output, output_options, table
from fsq_edge_runtime.errors import MissingInputError, did_you_mean

SHOWN_LINES = 200
_PLACES = (Path(__file__).parents[1] / "_pages", Path(__file__).parents[2] / "docs")  # installed, or a checkout
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


@click.command("docs", epilog="Exit codes: 0; 66 there is no such page, or no line has the words of --search.")
@click.argument("page", required=False)
@click.option("--search", metavar="WORDS", help="Print the lines of all pages that hold these words.")
@click.option("--path", "only_path", is_flag=True, help="Print the path of PAGE, or of the folder of all pages.")
@output_options
def command(page: str | None, search: str | None, only_path: bool, output: Output) -> None:
    """Show the pages of the documentation; with PAGE, that page; they come with the package."""
    if search is not None:
        found = list(_lines_with(search))
        if not found:
            raise MissingInputError(f"no page has {search!r}", hint="fsq-edge docs lists the pages")
        for name, number, line in found[:SHOWN_LINES]:
            output.say(f"{name}:{number}: {line.strip()}")
        output.write_json({"schema_version": 1, "lines": [list(entry) for entry in found]})
        return
    if page is None:
        if only_path:
            output.say(str(page_folder()))
        else:
            output.print(table("", ["page", "about"], [(found.name, found.title) for found in pages()]))
            output.say("fsq-edge docs PAGE shows one")
        output.write_json({"schema_version": 1, "pages": {found.name: found.title for found in pages()}})
        return
    chosen = _page(page)
    if only_path:
        output.say(str(chosen.path))
    elif output.is_terminal:
        from rich.markdown import Markdown

        output.print(Markdown(chosen.text()))
    elif not output.silent:
        click.echo(chosen.text(), nl=False)
    output.write_json({"schema_version": 1, "page": chosen.name, "path": str(chosen.path)})


def _page(name: str) -> Page:
    known = {page.name: page for page in pages()}
    if name.removesuffix(".md") in known:
        return known[name.removesuffix(".md")]
    hint = did_you_mean(name, known) or f"fsq-edge docs --search {name}"
    if "index" not in known:  # the device's part of the package
        hint = f"a device has {', '.join(known)}; all pages are on a workstation and at the project's address"
    raise MissingInputError(f"there is no page {name!r}", hint=hint)


def _lines_with(words: str) -> list[tuple[str, int, str]]:
    wanted = words.casefold().split()
    return [
        (page.name, number, line)
        for page in pages()
        for number, line in enumerate(page.text().splitlines(), 1)
        if all(word in line.casefold() for word in wanted)
    ]
