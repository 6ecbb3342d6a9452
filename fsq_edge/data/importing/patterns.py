"""Patterns of file names, with parts taken from the name."""

from __future__ import annotations

import re

from fsq_edge_runtime.errors import DataError

_PART = re.compile(r"\{([A-Za-z_]\w*)\}|(\*\*/?)|(\*)|(\?)")


def name_pattern(pattern: str) -> re.Pattern[str]:
    """Return the expression of a pattern such as ``{subject}_{session}.csv`` or ``day*/**/*_acc.csv``.

    Raises:
        DataError: a name stands in it twice.
    """
    expression, at, seen = "", 0, set()
    for part in _PART.finditer(pattern):
        expression += re.escape(pattern[at : part.start()])
        at = part.end()
        if part.group(1):
            if part.group(1) in seen:
                raise DataError(f"files: the pattern {pattern!r} has {{{part.group(1)}}} twice")
            seen.add(part.group(1))
            expression += f"(?P<{part.group(1)}>[^/]+?)"
        elif part.group(2):
            expression += "(?:.*/)?" if part.group(2).endswith("/") else ".*"
        else:
            expression += "[^/]*" if part.group(3) else "[^/]"
    expression += re.escape(pattern[at:])
    return re.compile(expression if "/" in pattern else f"(?:.*/)?{expression}")


def match_name(pattern: str, name: str) -> dict[str, str] | None:
    """Return the parts that a name gives, or None where the pattern does not fit; case counts.

    Example:
        >>> match_name("{subject}_{session}.csv", "day1/rex_morning.csv")
        {'subject': 'rex', 'session': 'morning'}
    """
    found = name_pattern(pattern).fullmatch(name)
    return None if found is None else found.groupdict()
