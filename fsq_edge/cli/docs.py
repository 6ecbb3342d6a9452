"""``fsq-edge docs``: the pages that come with the package, read and searched without a network."""

from __future__ import annotations

import click

from fsq_edge.cli.output import Output, output_options, table
from fsq_edge.pages import Page, page_folder, pages
from fsq_edge_runtime.errors import MissingInputError, did_you_mean

SHOWN_LINES = 200


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
    raise MissingInputError(f"there is no page {name!r}", hint=hint)


def _lines_with(words: str) -> list[tuple[str, int, str]]:
    wanted = words.casefold().split()
    return [
        (page.name, number, line)
        for page in pages()
        for number, line in enumerate(page.text().splitlines(), 1)
        if all(word in line.casefold() for word in wanted)
    ]
