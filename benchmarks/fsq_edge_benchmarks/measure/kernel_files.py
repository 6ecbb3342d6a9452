"""The small text files in which the kernel shows its state; one that is not there reads as empty."""

from __future__ import annotations

from pathlib import Path


def text(path: Path) -> str:
    """Return a file's content without surrounding blanks, empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def number(path: Path) -> int | None:
    """Return the whole number in a file, None where there is none."""
    try:
        return int(text(path))
    except ValueError:
        return None


def fields(path: Path) -> dict[str, str]:
    """Return the ``name: value`` lines of a file; the first of a name counts."""
    found: dict[str, str] = {}
    for line in text(path).splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return found
