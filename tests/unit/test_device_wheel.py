"""The wheel for a device holds what its verbs reach, and nothing there imports at its top what the wheel leaves out."""

import ast
from pathlib import Path

import pytest

from fsq_edge.device_wheel import KEPT, _page, _program

ROOT = Path(__file__).parents[2]
PLACES = (ROOT, ROOT / "runtime", ROOT / "compile", ROOT / "calibration", ROOT / "benchmarks")
BEGIN = ("fsq_edge.cli", "fsq_edge.__main__")  # what a person starts


def modules(kept: bool) -> dict[str, ast.Module]:
    found = {}
    for place in PLACES:
        for path in sorted(place.glob("fsq_edge*/**/*.py")):
            name = str(path.relative_to(place))
            if not kept or KEPT.fullmatch(name):
                found[name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")] = ast.parse(
                    path.read_text()
                )
    return found


@pytest.fixture(scope="module")
def device() -> dict[str, ast.Module]:
    return modules(kept=True)


def imported(nodes: list[ast.stmt] | list[ast.AST]) -> set[str]:
    """Return the modules of ours that import statements name, or may: ``from a import b`` gives ``a`` and ``a.b``."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.startswith("fsq_edge")}


def test_every_module_of_the_wheel_is_reached_from_a_verb(device: dict[str, ast.Module]) -> None:
    reached, left = set(), [name for name in device if name.startswith(BEGIN)]
    while left:
        name = left.pop()
        if name in device and name not in reached:
            reached.add(name)
            texts = {node.value for node in ast.walk(device[name]) if isinstance(node, ast.Constant)}  # lazy names
            lazy = {f"{name}.{text}" for text in texts if isinstance(text, str) and text.isidentifier()}
            left += [*imported(list(ast.walk(device[name]))), *lazy, *(set(device) & texts), name.rpartition(".")[0]]
    assert sorted(set(device) - reached) == []


def test_what_is_imported_at_the_top_is_in_the_wheel(device: dict[str, ast.Module]) -> None:
    whole = modules(kept=False)
    lacking = {
        f"{name}: {one}" for name, tree in device.items() for one in imported(tree.body) & set(whole) - set(device)
    }
    assert sorted(lacking) == []


def test_the_page_loses_only_indentation_and_comments() -> None:
    for path in sorted((ROOT / "runtime/fsq_edge_runtime/monitor/page").glob("*.*")):
        text = path.read_text()
        assert not [line for line in text.splitlines() if line.count("`") % 2], "a text over several lines"
        assert "<pre" not in text
        code = [line.split() for line in text.splitlines() if line.strip() and not line.strip().startswith("//")]
        assert [line.split() for line in _page(text).splitlines()] == code


def test_a_module_loses_only_comments_and_no_line_moves() -> None:
    for path in sorted((ROOT / "runtime/fsq_edge_runtime").glob("**/*.py")):
        whole, cut = path.read_text(), _program(path.read_text())
        assert ast.dump(ast.parse(cut), include_attributes=True) == ast.dump(ast.parse(whole), include_attributes=True)
        assert len(cut) <= len(whole)


@pytest.mark.parametrize("character", ["\f", "\x1c", "\x85", "\u2028"])
def test_a_character_that_ends_a_line_of_a_text_ends_none_of_a_module(character: str) -> None:
    whole = f'first = """a{character}b"""  # one\n\nsecond = "#"  # two\n'
    assert _program(whole) == f'first = """a{character}b"""\n\nsecond = "#"\n'
