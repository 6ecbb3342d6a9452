"""README and docs say what the program does: every command, option, import and link in them exists."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest

from fsq_edge.cli.bench import DEFAULT
from fsq_edge.cli.main import cli
from fsq_edge_compile.packing.bundle import build_bundle
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.manifest import Role
from tests.factories.build_folders import random_build

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CALL = re.compile(r"(?:^|[\s|;&])(?:fsq-edge|-m fsq_edge)\s")


def code_lines(text: str) -> Iterator[str]:
    """Yield the lines of indented and fenced blocks, continued lines joined."""
    fenced, held = False, ""
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            held += line.strip()
            if held.endswith("\\"):
                held = held[:-1] + " "
                continue
            yield held
            held = ""


def calls(page: Path) -> list[list[str]]:
    """Return the words behind ``fsq-edge`` in each command of the page."""
    found = []
    for line in code_lines(page.read_text()):
        if match := CALL.search(line):
            command = re.split(r"\s(?:\||>|&&|;)\s", line[match.end() :])[0]
            if words := shlex.split(command, comments=True):  # `pip install fsq-edge` names no verb
                found.append(words)
    return found


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that the words name and the words behind its name."""
    command: click.Command = cli
    while isinstance(command, click.Group):
        inner = command.get_command(click.Context(command), words[0]) if words else None
        if inner is not None:
            words = words[1:]
        elif command.name == "bench":  # `bench BUNDLE` is short for `bench measure BUNDLE`
            inner = command.get_command(click.Context(command), DEFAULT)
        elif words and not words[0].startswith("-"):
            raise AssertionError(f"no such verb: {words[0]}")
        if inner is None:
            break
        command = inner
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_exists_with_its_options(page: Path) -> None:
    for words in calls(page):
        if words[0] in {"VERB", "..."}:
            continue
        command, rest = resolve(words)
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        given = {word.split("=")[0] for word in rest if word.startswith("--") and word != "--"}
        assert given <= known | {"--help", "--version"}, f"{page.name}: fsq-edge {shlex.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_example_imports_what_exists(page: Path) -> None:
    for block in python_blocks(page):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{page.name}: from {node.module} import {alias.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_bundle_page_lists_the_paths_of_the_archive(tmp_path: Path) -> None:
    table = (ROOT / "docs" / "bundle.md").read_text().partition("| path |")[2].partition("\n\n")[0]
    documented = {name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    # A hef has a path of its own; no release writes a report.
    roles = {role.replace("-", "_") for role in get_args(Role)} - {"hef", "report"}
    assert {Path(name).stem for name in documented} == roles | {"manifest", "ARCH", "signature"}
    golden, built = Bundle.open(ROOT / "tests/golden/bundle_v1.fsqb"), build_bundle(random_build(tmp_path))
    paths = {re.sub(r"^hef/\w+", "hef/ARCH", entry.path) for held in (golden, built) for entry in held.manifest.files}
    assert "hef/ARCH.hef" in paths
    assert len(paths) >= 8
    assert paths <= documented


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    missing = [page.name for page in PAGES[1:] if page.name != "index.md" and f"({page.name})" not in index]
    assert not missing
