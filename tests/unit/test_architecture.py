"""The map names places that exist: every journey has at most eight, and each resolves."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import click
import pytest

MAP = Path(__file__).parents[2] / "docs" / "architecture.md"
JOURNEYS = {
    part.partition("\n")[0]: re.findall(r"^\d+\. `([\w.]+)` \S.*\.$", part, flags=re.MULTILINE)
    for part in re.split(r"^## ", MAP.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
}


def place(name: str) -> object:
    """Return what ``package.module.Class.function`` names."""
    words = name.split(".")
    for cut in range(len(words) - 1, 0, -1):
        try:
            found: object = importlib.import_module(".".join(words[:cut]))
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
            continue
        for word in words[cut:]:
            found = getattr(found, word)
        return found
    raise AssertionError(f"no module in {name}")


def test_every_numbered_line_is_on_a_journey() -> None:
    assert len(JOURNEYS) >= 6
    numbered = re.findall(r"^\d+\. ", MAP.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(numbered) == sum(map(len, JOURNEYS.values())), "a line that names no place"


@pytest.mark.parametrize("journey", JOURNEYS)
def test_every_place_of_a_journey_exists(journey: str) -> None:
    names = JOURNEYS[journey]
    assert 3 <= len(names) <= 8
    for name in names:
        found = place(name)
        found = found.callback if isinstance(found, click.Command) else found
        assert callable(found), name
        assert name.startswith(found.__module__), f"{name} is defined in {found.__module__}"
