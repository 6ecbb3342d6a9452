"""The table of faults in the documentation names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (ROOT / "docs" / "fallback.md").read_text(encoding="utf-8"))


def test_the_table_is_there() -> None:
    assert len(NAMED) >= 25


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_of_the_table_exists(file: str, name: str) -> None:
    (path,) = (ROOT / "tests").rglob(file)
    functions = {
        node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)
    }
    assert name in functions
