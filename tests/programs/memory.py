"""How much memory this process has had at most."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mb() -> float:
    """Return the most resident memory since the program began, in MB.

    ``ru_maxrss`` would not do: a child inherits the peak of the process that started it.
    """
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.M)
    if found is None:
        raise RuntimeError("this system does not say how much memory a process had at most")
    return int(found[1]) / 1024
