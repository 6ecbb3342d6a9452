"""What the site adds while it is built: the command reference, the Python reference, pages that the menu forgot."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / part) for part in (".", "runtime", "calibration", "compile", "benchmarks")]
WORKER = "https://unpkg.com/iframe-worker/shim"
PACKAGES = ("fsq_edge_runtime", "fsq_edge_calibration", "fsq_edge_compile", "fsq_edge")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put pages that the menu does not name under its last heading, so that a new page is never lost."""
    named = set(re.findall(r"[\w/-]+\.md", str(config.nav)))
    docs = Path(config.docs_dir)
    missing = sorted(str(path.relative_to(docs)) for path in docs.rglob("*.md") if "_site" not in path.parts)
    more = [name for name in missing if name not in named]
    if more and config.nav is not None:
        config.nav.append({"More": more})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made of the code."""
    files.append(File.generated(config, "reference/commands.md", content="\n".join(command_reference())))
    files.append(File.generated(config, "reference/python.md", content="\n".join(python_reference())))
    for name in ("site.css", "frame-worker.js"):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / "docs/_site" / name)))
    return files


def on_post_page(output: str, page: Page, **rest: Any) -> str:
    """Let the search, opened from disk, take its stand-in for a worker from the site in place of a web address."""
    return output.replace(WORKER, "../" * page.url.count("/") + "frame-worker.js")


def on_post_template(output: str, template_name: str, **rest: Any) -> str:
    """Leave out the page for addresses that are not found: opened from disk it would ask the network for a script."""
    return "" if template_name == "404.html" else output


def on_page_content(html: str, **rest: Any) -> str:
    """Put drawings into the page, where they take the colours of its scheme; the file alone follows the system."""

    def drawing(image: re.Match[str]) -> str:
        svg = (ROOT / "docs" / image[2]).read_text(encoding="utf-8")
        return re.sub(r"<style>.*?</style>\n", "", svg).replace("<svg ", f'<svg role="img" aria-label="{image[1]}" ', 1)

    return re.sub(r'<img alt="([^"]*)" src="(images/[\w-]+\.svg)" ?/?>', drawing, html)


def on_page_markdown(markdown: str, config: MkDocsConfig, **rest: Any) -> str:
    """Let links out of docs/ lead to the repository."""
    return re.sub(r"\]\(\.\./([\w./-]+)\)", rf"]({config.extra['repository']}/blob/main/\1)", markdown)


def command_reference() -> Iterator[str]:
    """Yield the page of all verbs, made of the command line itself."""
    from fsq_edge.cli.main import VERBS, cli, grouped_verbs

    yield "# Commands\n"
    yield "Made of the command line itself: what `fsq-edge VERB --help` prints, with every option.\n"
    root = click.Context(cli, info_name="fsq-edge")
    for heading, verbs in grouped_verbs().items():
        yield f"## {heading}\n"
        for verb in verbs:
            command = _found(cli, root, verb)
            yield f"### fsq-edge {verb}\n"
            yield f"{VERBS[verb][1][:1].upper()}{VERBS[verb][1][1:]}.\n"
            yield from _command(command, click.Context(command, parent=root, info_name=verb))


def _found(group: click.Group, context: click.Context, name: str) -> click.Command:
    command = group.get_command(context, name)
    if command is None:
        raise LookupError(f"{context.command_path} lists {name} and does not have it")
    return command


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield from _usage(command, context)
        return
    yield f"{_prose(command.help or '')}\n"
    for name in command.list_commands(context):
        inner = _found(command, context, name)
        inside = click.Context(inner, parent=context, info_name=name)
        yield f"#### {inside.command_path}\n"
        yield from _command(inner, inside)


def _usage(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"    {context.command_path} {' '.join(command.collect_usage_pieces(context))}\n"
    yield f"{_prose(command.help or '')}\n"
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            name, text = (_cell(part) for part in record)
            if text:
                rows.append(f"| <code>{name}</code> | {text} |")
    if rows:
        yield "\n".join(["| option | |", "|---|---|", *rows]) + "\n"
    if command.epilog:
        yield f"{_prose(command.epilog)}\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;").replace("|", "&#124;")


def _prose(text: str) -> str:
    """Return a help text as Markdown; a paragraph that click keeps as it is becomes a block."""
    parts = []
    for part in re.split(r"\n\s*\n", re.sub(r"\n[ \t]+", "\n", text.strip())):
        lines = part.replace("\b\n", "").splitlines()
        parts.append("\n".join(f"    {line}" for line in lines) if part.startswith("\b") else " ".join(lines))
    return "\n\n".join(parts).replace("<", "&lt;")


def python_reference() -> Iterator[str]:
    """Yield the page of every public name: those in ``__all__`` of the packages and of the packages in them."""
    yield "# Python\n"
    yield "Every name in `__all__` of the packages, from its docstring.\n"
    for package in public_packages():
        module = importlib.import_module(package)
        yield f"## {package}\n"
        yield f"{(module.__doc__ or '').strip()}\n"
        for name in sorted(module.__all__, key=str.lower):
            yield f"::: {package}.{name}\n    options: {{heading_level: 3}}\n"


def public_packages() -> Iterator[str]:
    """Yield the packages that say what is public."""
    for package in PACKAGES:
        found = [package]
        path = importlib.import_module(package).__path__
        found += [f"{package}.{inner.name}" for inner in pkgutil.iter_modules(path) if inner.ispkg]
        for name in found:
            spec = importlib.util.find_spec(name)
            if spec is not None and spec.origin and "__all__ = " in Path(spec.origin).read_text(encoding="utf-8"):
                yield name
