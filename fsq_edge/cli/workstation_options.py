"""Options that several verbs of a workstation have: a folder to write, many files, the compiler's version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fsq_edge.cli.options import FILE_SUFFIXES, F, path_option

dfc_option = click.option(
    "--dfc",
    metavar="VERSION",
    help="Check for this compiler version, for example 3.33 (default: the chip's generation).",
)


def together(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Return several options as one decorator; the help shows them in this order."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def files_option(*names: str, help: str, **settings: Any) -> Callable[[F], F]:
    """Add an option that takes a file and may be given again."""
    return click.option(*names, multiple=True, type=click.Path(path_type=Path, dir_okay=False), help=help, **settings)


def folder_option(*names: str, help: str, **settings: Any) -> Callable[[F], F]:
    """Add an option that takes a folder to write to; what is or looks like a file is refused before any work."""

    def check(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
        if value is not None and (value.is_file() or value.suffix.lower() in FILE_SUFFIXES):
            raise click.BadParameter(f"{value} names a file, a folder is written", ctx, param)
        return value

    return path_option(*names, help=help, callback=check, **settings)
