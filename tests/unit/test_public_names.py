"""The public interface keeps what a release has promised: names, methods, and calls that were possible."""

from __future__ import annotations

import re
from pathlib import Path

from tests.programs.public_names import public_lines

RECORD = Path(__file__).parents[1] / "golden" / "public" / "api.txt"


def by_name(lines: list[str]) -> dict[str, list[str] | None]:
    """Return path -> its parameters; None where it is no call."""
    found: dict[str, list[str] | None] = {}
    for line in lines:
        match = re.fullmatch(r"\s*(?:class )?([\w.]+)(?:\((.*)\))?", line)
        assert match is not None, line
        found[match[1]] = None if match[2] is None else [part for part in match[2].split(", ") if part]
    return found


def breaks(before: list[str], after: list[str]) -> bool:
    """Whether a call that was possible no longer is: a parameter is gone, moved, or a new one has no default."""
    if before == after or before == ["..."]:
        return False
    names = {part.rstrip("=") for part in after}
    gone = [part for part in before if part not in ("*",) and part.rstrip("=") not in names]
    lost_default = [part for part in before if part.endswith("=") and part not in after]
    new = [part for part in after if part.rstrip("=") not in {old.rstrip("=") for old in before}]
    positional = [part.rstrip("=") for part in before[: before.index("*") if "*" in before else None]]
    order = [part.rstrip("=") for part in after if part.rstrip("=") in positional]
    needed = [part for part in new if not part.endswith("=") and not part.startswith("*")]
    return bool(gone or lost_default or needed or order != [name for name in positional if name in order])


def test_every_recorded_name_is_there_and_takes_the_calls_it_took() -> None:
    recorded, present = by_name(RECORD.read_text().splitlines()), by_name(list(public_lines()))
    assert len(recorded) > 200
    gone = sorted(set(recorded) - set(present))
    broken = [name for name, calls in recorded.items() if calls is not None and name in present
              and (present[name] is None or breaks(calls, present[name] or []))]  # fmt: skip
    assert (gone, broken) == ([], []), "python -m tests.programs.public_names writes the record; CHANGELOG.md says why"


def test_the_comparison_tells_a_break_from_an_addition() -> None:
    assert not breaks(["a", "b="], ["a", "b=", "*", "c="])
    assert not breaks(["a", "*", "c="], ["a", "b=", "*", "c="])
    assert breaks(["a", "b="], ["a", "b"])
    assert breaks(["a", "b"], ["b", "a"])
    assert breaks(["a"], ["a", "b"])
    assert breaks(["a", "*", "c="], ["a"])
