"""No verb writes over what it reads: the paths of its options are compared before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from fsq_edge_runtime.errors import UsageError

WRITTEN = frozenset((
    "--out", "--json", "--report", "--html", "--png", "--fix", "--write-baseline", "--correction-out", "--sink",
))  # fmt: skip


def refuse_own_input() -> None:
    """Refuse an output of the running verb that is a file which it reads.

    Verbs that change a bundle in place may name it as ``--out``, and a baseline may be written again.

    Raises:
        UsageError: it is one, or two sinks write to one file.
    """
    context = click.get_current_context()
    written: list[tuple[click.Parameter, Path]] = []
    read: list[tuple[click.Parameter, Path]] = []
    for parameter in context.command.params:
        name = parameter.opts[-1]
        guessed = name == "--map" and context.params.get("guess")
        side = written if name in WRITTEN or guessed else read
        side += [(parameter, path) for path in _files(context.params.get(parameter.name or ""))]
    sinks = [name for name in map(_file_of_sink, context.params.get("sink_texts") or ()) if name]
    if len(set(sinks)) < len(sinks):
        twice = next(name for name in sinks if sinks.count(name) > 1)
        raise UsageError(f"two sinks write to {twice}", hint="give each a file of its own")
    for output, path in written:
        for source, other in read:
            in_place = source.name == "bundle" and output.name == "out" and not output.required
            if path.samefile(other) and not in_place and source.name != "baseline":
                said = f"{path} is read, and would be written over"
                raise UsageError(said, hint="give another name for what is written")


def _file_of_sink(text: str) -> str:
    """Return the absolute path that a sink such as ``jsonl:FILE?append`` writes to; empty where it is no file."""
    kind, _, name = text.partition("?")[0].partition(":")
    if kind not in ("jsonl", "csv", "influx") or name in ("", "-") or "://" in name:
        return ""
    path = Path(name).resolve()
    return str(path) if path.is_file() or not path.exists() else ""  # a device takes any number


def _files(value: object) -> Iterator[Path]:
    """Yield the files that a parameter names, also as ``csv:FILE?append``, and those of a dataset folder."""
    for one in value if isinstance(value, tuple) else (value,):
        text = str(one) if isinstance(one, str | Path) else ""
        for name in {text, text.partition(":")[2].partition("?")[0]}:
            try:
                if name and (Path(name) / "dataset.json").is_file():
                    yield from (part for part in Path(name).iterdir() if part.suffix in (".json", ".npz"))
                elif name and Path(name).is_file():
                    yield Path(name)
            except (OSError, ValueError):  # a text that is no path
                continue
