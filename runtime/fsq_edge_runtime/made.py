"""What made a page: the version, the time and the machine, in one line."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version

EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"  # of reproducible-builds.org: the same input then gives the same page


def installed_version(package: str = "fsq-edge") -> str:
    """Return the version of an installed package; empty where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def program() -> str:
    """Return the program with its version."""
    return f"fsq-edge {installed_version()}".rstrip()


def made_line() -> str:
    """Return version, time (UTC, to the minute), machine and Python."""
    given = os.environ.get(EPOCH_VARIABLE, "")
    at = time.gmtime(float(given) if given.isdecimal() else time.time())
    machine = f"{platform.system()} on {platform.machine()}, Python {platform.python_version()}"
    return f"{program()}, {time.strftime('%Y-%m-%d %H:%M UTC', at)}, {machine}"
