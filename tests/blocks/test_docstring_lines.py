"""Shell lines in docstrings name programs that exist, with options that these have; none of them needs to run here."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tests.blocks.finding import ROOT

SHARED = ROOT / "benchmarks/fsq_edge_benchmarks/suites/command.py"  # what run_command adds to every suite
LINE = re.compile(r"^\s*(?:\$ )?python -m (fsq_edge[\w.]*)(.*)$", re.MULTILINE)
PARTS = ("fsq_edge", "runtime", "compile", "calibration", "benchmarks")
SOURCES = [path for part in PARTS for path in (ROOT / part).rglob("*.py")]
LINES = [(path, *match.groups()) for path in SOURCES for match in LINE.finditer(path.read_text(encoding="utf-8"))]


def test_lines_are_found() -> None:
    assert len(LINES) > 15


@pytest.mark.parametrize(("path", "module", "rest"), LINES, ids=lambda value: getattr(value, "stem", None))
def test_a_line_names_a_module_and_options_that_exist(path: Path, module: str, rest: str) -> None:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    known = Path(spec.origin).read_text(encoding="utf-8") + SHARED.read_text(encoding="utf-8")
    for option in re.findall(r"--[a-z][a-z-]*", rest):
        named = f'"{option}"' in known or f'"{option[2:]}":' in known  # of a parser, or given to run_command
        assert named or option == "--help", f"{path}: {module} has no {option}"


def test_every_shell_line_of_a_docstring_is_of_this_form() -> None:
    form = re.compile(r"^\s*(?:\$ )?(?:fsq-edge [a-z]|make [a-z]).*$", re.MULTILINE)
    others = [f"{path.name}: {line}" for path in SOURCES for line in form.findall(path.read_text(encoding="utf-8"))]
    assert others == []
