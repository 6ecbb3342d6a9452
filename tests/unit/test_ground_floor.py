"""Array types, findings, scores, bounded reads and atomic writes are defined once, on the ground floor."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("runtime", "compile", "calibration", "fsq_edge", "benchmarks")
FLOOR = "runtime/fsq_edge_runtime"

# What is defined, the pattern that finds a definition, the only file that may hold one.
ONCE = {
    "array types": (r"^\w+(?:: TypeAlias)? = npt\.NDArray\b", f"{FLOOR}/arrays.py"),
    "Interval": (r"^class \w*Interval\b", f"{FLOOR}/scores.py"),
    "Finding": (r"^class \w*Finding\b(?!\(.*Finding\b)", f"{FLOOR}/findings.py"),
    "Severity": (r"^Severity\b.*=|^class \w*Severity\b", f"{FLOOR}/findings.py"),
    # A property that only calls it is no definition.
    "macro-F1": (r"^def \w*macro_f1\b", f"{FLOOR}/scores.py"),
    "the bootstrap": (r"^\s*def \w*bootstrap\w*\(", f"{FLOOR}/scores.py"),
    "atomic writes": (
        r"\bO_TMPFILE\b|\bmkstemp\(dir=\w+\.parent|\bNamedTemporaryFile\(|\bdef \w*atomic\w*\(",
        f"{FLOOR}/files.py",
    ),
    "bounded reads": (
        r"\.read\(\w*(?:limit|LIMIT|MAX)\w* \+ 1\)|\bdef read_(?:bounded|limited)\(",
        f"{FLOOR}/files.py",
    ),
}


@pytest.mark.parametrize("noun", ONCE)
def test_one_definition_of(noun: str) -> None:
    pattern, home = ONCE[noun]
    found = {
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    }
    elsewhere = sorted(line for line in found if not line.startswith(f"{home}:"))
    assert len(found) > len(elsewhere), f"{home} defines none: the pattern is out of date"
    assert not elsewhere, f"use {home} instead"
