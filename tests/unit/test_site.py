"""The site's generated pages: every command with every option, every public name with a docstring, every page in it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
import yaml

from fsq_edge.cli.main import VERBS, cli

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs/_site/hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, f"{path} {name}")
    else:
        yield path, command


def test_the_command_reference_has_every_command_and_option(hooks: ModuleType) -> None:
    text = "\n".join(hooks.command_reference())
    for verb in VERBS:
        assert f"### fsq-edge {verb}\n" in text
    for path, command in commands(cli, "fsq-edge"):
        assert f"    {path.removesuffix(' measure')}" in text, path
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.opts[0] in text, (path, parameter.opts)


def test_every_public_name_has_a_docstring_and_is_in_the_reference(hooks: ModuleType) -> None:
    text = "\n".join(hooks.python_reference())
    bare = []
    for package in hooks.public_packages():
        module = importlib.import_module(package)
        for name in module.__all__:
            assert f"::: {package}.{name}\n" in text
            value = getattr(module, name)
            if (inspect.isclass(value) or inspect.isfunction(value)) and not inspect.getdoc(value):
                bare.append(f"{package}.{name}")
    assert bare == []


def test_the_menu_names_pages_that_exist_each_once() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    named = re.findall(r"[\w/-]+\.md", str(nav))
    assert len(named) == len(set(named))
    for name in named:
        assert name.startswith("reference/") or (ROOT / "docs" / name).is_file(), name


def test_no_page_asks_the_network(hooks: ModuleType) -> None:
    class Shown:
        url = "reference/commands.html"

    page = f'<script src="{hooks.WORKER}"></script>'
    assert hooks.on_post_page(page, Shown()) == '<script src="../frame-worker.js"></script>'
    assert (ROOT / "docs/_site/frame-worker.js").is_file()
    text = (ROOT / "mkdocs.yml").read_text()
    assert "font: false" in text
    assert not re.search(r"^repo_url:", text, re.MULTILINE)  # the theme would ask the host for stars on every page
