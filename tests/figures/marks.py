"""Reads the marks that say where the figures of a page come from, and compares those that are kept.

A mark is a comment in a page, one of

    <!-- figures: NAME.json PATH [PATH ...] [except NUMBER ...] -->    the block below it, against benchmarks/results
    <!-- figures: measured YYYY-MM by WHAT -->                         its section; the result is not kept
    <!-- figures: none, WHY -->                                        its section: settings, examples, sizes of formats

PATH leads to a part of the result, such as `contenders/MiniRocket`; `.` is all of it. Every number of the block with
three digits or more has to be a value of these parts, rounded as the page rounds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
MARK = re.compile(r"<!-- figures: (.+?) -->")
KEPT = re.compile(r"(\w+\.json)((?: (?!except\b)\S+)+)(?: except ((?:\S+ ?)+))?")
MEASURED = re.compile(r"measured 20\d\d-\d\d by \S.*")
NONE = re.compile(r"none, \S.*")
# What a measurement looks like in a sentence or a cell: a score, a time, a size, a share, a multiple.
LOOKS_MEASURED = re.compile(r"(?<![\w.])0\.\d{2,}\b|\d ?(?:µs|ms|MB|kB)\b|\d ?%|\b\d\.\d+ times\b")
NUMBER = re.compile(r"(?<![\w.,/-])[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w/]|,?\d|\.\d)")
SCALES = (1.0, 100.0, 1e-3, 1e3, 1e-6, 1e6)


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark and the lines below it up to the next blank one that follows text.

    Attributes:
        text: of the mark, without the comment's signs.
        block: what it stands above.
    """

    text: str
    block: str


def sections_of(page: str) -> Iterator[tuple[str, str]]:
    """Yield heading and text of the sections of a page; blocks of code are left out."""
    plain = re.sub(r"^```.*?^```$|^    [^\n]*$", "", page, flags=re.MULTILINE | re.DOTALL)
    parts = re.split(r"^(#+ .*)$", plain, flags=re.MULTILINE)
    yield from zip(["", *parts[1::2]], [parts[0], *parts[2::2]], strict=True)


def marks_of(text: str) -> list[Mark]:
    """Return the marks of a text with the blocks below them."""
    found = []
    for match in MARK.finditer(text):
        below = text[match.end() :].lstrip("\n")
        found.append(Mark(match[1], below.split("\n\n")[0]))
    return found


def differences(mark: Mark, results: Path = RESULTS) -> list[str]:
    """Return the numbers of a block that the kept result does not have.

    Raises:
        ValueError: the mark has none of the three forms, or its result or a path is not there.
    """
    if MEASURED.fullmatch(mark.text) or NONE.fullmatch(mark.text):
        return []
    form = KEPT.fullmatch(mark.text)
    if form is None or not (results / form[1]).is_file():
        raise ValueError(f"no mark for figures: {mark.text!r}")
    result = json.loads((results / form[1]).read_text())["result"]
    values = [value for path in form[2].split() for value in _numbers(_at(result, path))]
    excepted = set((form[3] or "").split())
    tokens = [token.replace(",", "") for token in NUMBER.findall(mark.block)]
    shown = [token for token in tokens if len(re.sub(r"\D", "", token)) > 2 and token not in excepted]
    return [token for token in shown if not any(_rounds_to(value, token) for value in values)]


def _at(value: Any, path: str) -> Any:
    for key in path.split("/"):
        if key != ".":
            try:
                named = key if isinstance(value, list) or key in value else key.replace("_", " ")
                value = value[int(named) if isinstance(value, list) else named]
            except (KeyError, IndexError) as error:
                raise ValueError(f"the result has no {path}") from error
    return value


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def _rounds_to(value: float, token: str) -> bool:
    decimals = len(token.partition(".")[2])
    return any(abs(abs(value) * scale - abs(float(token))) <= 0.5 * 10**-decimals * (1 + 1e-9) for scale in SCALES)
