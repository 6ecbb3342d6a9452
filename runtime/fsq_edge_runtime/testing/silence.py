"""Calls that a fake device does not answer for a while: set in the process of the fake, or from another by a file."""

from __future__ import annotations

import json
import time
from pathlib import Path

from fsq_edge_runtime.files import read_bounded, write_file

MAX_BYTES = 4096


class Silence:
    """Until when each call goes unanswered, on the monotonic clock, which all processes of a machine share.

    Args:
        path: a file that holds it, so that a test can silence the device of a child process; None keeps it in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._until: dict[str, float] = {}

    def begin(self, seconds: float, *calls: str) -> None:
        """Leave these calls unanswered from now on for so many seconds."""
        until = self._read()
        until.update(dict.fromkeys(calls, time.monotonic() + seconds))
        if self._path is None:
            self._until = until
        else:
            write_file(self._path, json.dumps(until).encode())

    def end(self) -> None:
        """Let the device answer everything again; a call that waits already goes on waiting."""
        self._until = {}
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def left_s(self, call: str) -> float:
        """Return for how many seconds this call still goes unanswered, 0 when it does not."""
        return max(0.0, self._read().get(call, 0.0) - time.monotonic())

    def _read(self) -> dict[str, float]:
        if self._path is None:
            return self._until
        if not self._path.exists():
            return {}
        return dict(json.loads(read_bounded(self._path, MAX_BYTES)))
