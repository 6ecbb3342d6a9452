"""Options that many verbs have, on a device too: a path, a bundle, and a value whose default the help shows."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from fsq_edge_runtime.errors import UsageError, did_you_mean

F = TypeVar("F", bound=Callable[..., Any])
FILE_SUFFIXES = frozenset((
    ".csv", ".fsqb", ".gz", ".hef", ".html", ".json", ".md", ".npy", ".npz", ".onnx", ".pdf", ".tar", ".txt", ".yaml",
    ".yml", ".zip",
))  # fmt: skip


class PartGroup(click.Group):
    """A group with commands that only the whole package has; such a one is imported when it is called.

    Args:
        elsewhere: name of such a command -> the module that defines it as ``command``.
        settings: as for ``click.Group``.
    """

    def __init__(self, *, elsewhere: Mapping[str, str], **settings: Any) -> None:
        super().__init__(**settings)
        self.elsewhere = elsewhere

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands that this installation has."""
        there = [name for name, module in self.elsewhere.items() if importlib.util.find_spec(module)]
        return sorted([*self.commands, *there])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; on a device, one that is elsewhere raises ``ModuleNotFoundError``."""
        if cmd_name not in self.elsewhere:
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module(self.elsewhere[cmd_name]).command
        return command


def path_option(*names: str, help: str, **settings: Any) -> Callable[[F], F]:
    """Add an option that takes a path; its value is a ``Path``, or None where it was not given.

    Args:
        names: of the option, and of its parameter where that differs.
        help: a sentence.
        settings: as for ``click.option``.
    """
    return click.option(*names, type=click.Path(path_type=Path), help=help, **settings)


def default_option(name: str, default: object, kind: Any, help: str, **settings: Any) -> Callable[[F], F]:
    """Add an option with a default that the help shows.

    Args:
        name: of the option.
        default: its value where it was not given.
        kind: a click type, such as ``click.IntRange(0)``; None takes text.
        help: a sentence that names the unit.
        settings: as for ``click.option``.
    """
    return click.option(name, default=default, show_default=True, type=kind, help=help, **settings)


def backend_option(default: str, help: str) -> Callable[[F], F]:
    """Add ``--backend``, whose value is where the network runs."""
    return default_option("--backend", default, click.Choice(["auto", "hailo", "onnx", "onnx-int8"]), help)


def bundle_option(*names: str, help: str, **settings: Any) -> Callable[[F], F]:
    """Add an option that takes a bundle to write: a file ``NAME.fsqb``, or a folder without a suffix."""

    def check(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
        if value is not None and value.suffix.lower() in FILE_SUFFIXES - {".fsqb"} and not value.is_dir():
            meant = value.with_suffix(".fsqb")
            raise click.BadParameter(f"{value} does not name a bundle, did you mean {meant}?", ctx, param)
        return value

    return path_option(*names, help=help, callback=check, **settings)


def names_of(*known: str) -> Callable[[click.Context, click.Parameter, str | None], tuple[str, ...] | None]:
    """Return a callback that reads names parted by commas, each once; None where the option was not given.

    Args:
        known: the names that are allowed; none allows any.
    """

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        if any(not part.strip() for part in value.split(",")) and value.strip(", "):
            raise click.BadParameter(f"an empty name between commas in {value!r}, write them as A,B", ctx, param)
        names = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
        if not names:
            raise click.BadParameter(f"no name in {value!r}, write them as A,B", ctx, param)
        unknown = [name for name in names if known and name not in known]
        if unknown:
            meant = did_you_mean(unknown[0], known)
            none = f"{unknown[0]!r} is none of {', '.join(known)}"
            raise click.BadParameter(f"{none}; {meant}" if meant else none, ctx, param)
        return names

    return read


def overlays_by_stream(texts: Sequence[str]) -> dict[str, Path | None]:
    """Return overlays by stream from texts such as ``rex=rex.fsqo``; the empty name stands for all others.

    Args:
        texts: ``[STREAM=]PATH``; ``STREAM=`` alone gives None.

    Raises:
        UsageError: two for one stream.
    """
    found: dict[str, Path | None] = {}
    for text in texts:
        stream, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            stream, path = "", text
        if stream in found:
            raise UsageError(f"two overlays for {stream or 'all streams'}", hint="--overlay STREAM=P.fsqo")
        found[stream] = Path(path) if path else None
    return found
