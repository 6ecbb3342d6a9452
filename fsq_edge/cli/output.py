"""What every verb shares: ``--json``, ``--quiet`` and tables."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fsq_edge.cli.output_guard import refuse_own_input
from fsq_edge.report.document import finite as finite
from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.extras import need as need
from fsq_edge_runtime.files import write_file

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_COLUMNS = 120  # where nobody can widen the window: log files, CI, pipes
F = TypeVar("F", bound=Callable[..., Any])


class Output:
    """What a verb writes: lines and tables for people, and one JSON object where ``--json`` asked for it.

    Args:
        json_to: file of the JSON object; ``-`` is standard output, where nothing else is printed then.
        quiet: print errors only.
    """

    def __init__(self, json_to: str | None = None, quiet: bool = False) -> None:
        self.json_to = json_to
        self.quiet = quiet

    @property
    def silent(self) -> bool:
        """Whether nothing is printed for people: with ``--quiet``, and when JSON goes to standard output."""
        return self.quiet or self.json_to == "-"

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks on."""
        return self.console.is_terminal

    @cached_property
    def console(self) -> Console:
        """The console for people."""
        from rich.console import Console  # a third of what `run` imports besides its runtime; it rarely prints

        shown = Console(quiet=self.silent, highlight=False, soft_wrap=False)
        if not shown.is_terminal and "COLUMNS" not in os.environ:
            shown.width = PIPE_COLUMNS
        return shown

    def print(self, *shown: Any, **style: Any) -> None:
        """Print tables, or text with rich's markup."""
        self.console.print(*shown, **style)

    def say(self, text: str) -> None:
        """Print text as it is: no markup, and no line is broken, so that a path or a command stays whole."""
        self.console.print(text, markup=False, soft_wrap=True)

    def say_next(self, *words: object) -> None:
        """Print the command that usually follows, as the shell takes it; capitals are for the reader to fill in."""
        self.say("next: " + shlex.join(map(str, words)))

    def write_json(self, value: dict[str, Any]) -> None:
        """Write the JSON object where it was asked for."""
        write_json(value, self.json_to)


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json FILE|-`` and ``--quiet`` to a verb, which takes both as its parameter ``output``."""

    @wraps(command)
    def verb(*args: Any, json_to: str | None, quiet: bool, **options: Any) -> Any:
        refuse_own_input()
        return command(*args, output=Output(json_to, quiet), **options)

    json_option = click.option(
        "--json", "json_to", metavar="FILE|-", help="Write one JSON object to FILE; - is standard output."
    )
    return click.option("--quiet", is_flag=True, help="Print errors only.")(json_option(verb))


def force_option(command: F) -> F:
    """Add ``--force [REASON]`` to a verb with a gate; given without a reason, that is what the record says."""
    option = click.option(
        "--force",
        metavar="[REASON]",
        is_flag=False,
        flag_value="no reason given",
        default="",
        help="Continue although a gate is shut, and record REASON. Write this option after the other arguments.",
    )
    return option(command)


def write_json(value: dict[str, Any], json_to: str | None) -> None:
    """Write one JSON object where ``--json`` asked for it; NaN and Inf become null; a file is replaced whole."""
    if json_to is None:
        return
    # In another encoding a character may be missing; JSON's own escapes can be printed in all of them.
    ascii_only = json_to == "-" and "utf" not in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    text = json.dumps(finite(value), indent=2, ensure_ascii=ascii_only, allow_nan=False) + "\n"
    if json_to == "-":
        click.echo(text, nl=False)
        return
    write_text(Path(json_to), text)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all (temporary name in the same folder, then rename).

    A device or a pipe (``/dev/null``, ``/dev/stdout``) is written to and stays what it is.

    Raises:
        UnavailableError: the file cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8") as stream:
                stream.write(text)
            return
    except OSError as error:
        raise UnavailableError(
            f"cannot write {path}: {error.strerror or error}", hint="check the path, its owner and the free space"
        ) from error
    require_folder(path)
    write_file(path, text.encode())


def write_report(path: Path, page: str) -> None:
    """Write a page as :func:`write_text` does; in a run or build folder, link it with the other reports there.

    Raises:
        UnavailableError: the file cannot be written.
    """
    from fsq_edge.report.index import write_page

    if path.exists() and not path.is_file():
        write_text(path, page)
    else:
        require_folder(path)
        write_page(path, page)


def require_folder(path: Path) -> None:
    """Refuse a file whose folder would need more than one new folder: a misspelt path makes no tree.

    Raises:
        UnavailableError: the folder and the one around it do not exist.
    """
    folder = path.parent
    if not folder.exists() and not folder.parent.exists():
        raise UnavailableError(f"cannot write {path}: the folder {folder} does not exist", hint=f"mkdir -p {folder}")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Return a plain table; every cell is shown as text."""
    from rich.table import Table

    shown = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(str(cell) for cell in row))
    return shown
