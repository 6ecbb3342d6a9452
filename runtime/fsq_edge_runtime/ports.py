"""Which program holds a port, as far as this user may see it."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

_LISTENING = {"tcp": "0A", "udp": "07"}  # the states of /proc/net: a listening TCP socket, an unconnected UDP one


def in_use_hint(protocol: Literal["tcp", "udp"], port: int, error: BaseException) -> str:
    """Return what to do about a port that another program has; empty where that was not the error.

    Args:
        protocol: of the port.
        port: its number.
        error: what binding it raised.
    """
    if not isinstance(error, OSError) or error.errno != errno.EADDRINUSE:
        return ""
    program = find_holder(protocol, port)
    if program is None:
        kind = "l" if protocol == "tcp" else ""
        return f"take another port, or end the program that `ss -{kind}{protocol[0]}np 'sport = :{port}'` shows"
    return f"{program} has this port: end it, or take another port"


def find_holder(protocol: Literal["tcp", "udp"], port: int) -> str | None:
    """Return ``NAME (process NUMBER)`` of the program that listens on a port of this machine.

    None where nothing does, where the system has no ``/proc``, or where it is another user's.
    """
    inodes = set(_inodes(protocol, port))
    if not inodes:
        return None
    links = {f"socket:[{inode}]" for inode in inodes}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if str(descriptor.readlink()) in links:
                process = descriptor.parent.parent
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return None


def _inodes(protocol: str, port: int) -> Iterator[str]:
    for table in (protocol, f"{protocol}6"):
        with contextlib.suppress(OSError):
            for line in (Path("/proc/net") / table).read_text().splitlines()[1:]:
                words = line.split()
                if int(words[1].rpartition(":")[2], 16) == port and words[3] == _LISTENING[protocol]:
                    yield words[9]
