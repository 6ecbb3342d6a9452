"""What a source has to say about its input: one line a fact, each said once."""

from __future__ import annotations

import logging
from collections.abc import Callable

_log = logging.getLogger("fsq_edge_runtime.sources")


class Notices:
    """Says facts that a person should know and that are no errors, such as how a file's times were read.

    Args:
        write: called with each line; None writes to the log of this package, as a warning.

    Attributes:
        lines: what was said.
    """

    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        self._write = _log.warning if write is None else write
        self._kinds: set[str] = set()
        self.lines: list[str] = []

    def say(self, kind: str, line: str) -> None:
        """Say ``line``, unless something of this kind was said before."""
        if kind in self._kinds:
            return
        self._kinds.add(kind)
        self.lines.append(line)
        self._write(line)
