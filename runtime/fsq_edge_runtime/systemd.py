"""Talking to systemd: ready, alive, stopping. Does nothing where there is no systemd."""

from __future__ import annotations

import contextlib
import os
import socket
import time

WATCHDOG_VARIABLE = "WATCHDOG_USEC"
SOCKET_VARIABLE = "NOTIFY_SOCKET"


def notify(state: str) -> bool:
    """Send one state, e.g. ``READY=1``, ``WATCHDOG=1`` or ``STOPPING=1``; return whether somebody listens.

    Source: sd_notify(3); a datagram to the socket that NOTIFY_SOCKET names, ``@`` for the abstract namespace.
    """
    address = os.environ.get(SOCKET_VARIABLE, "")
    if not address.startswith(("/", "@")):
        return False
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        return True
    return False


def watchdog_interval_s() -> float | None:
    """Return how often to send ``WATCHDOG=1``: twice per period that systemd allows; None without a watchdog."""
    try:
        period = int(os.environ.get(WATCHDOG_VARIABLE, "0")) / 1e6
    except ValueError:
        return None
    return period / 2 if period > 0 else None


class Watchdog:
    """Reports to systemd that the process is well, as often as it asks for."""

    def __init__(self) -> None:
        self._interval_s = watchdog_interval_s()
        self._next = time.monotonic()

    def beat(self) -> None:
        """Say so if it is time."""
        if self._interval_s is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._interval_s
            notify("WATCHDOG=1")
