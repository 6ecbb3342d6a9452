"""A bundle read again while its stream runs: a new session is opened beside the old one and takes over its streams."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from fsq_edge_runtime.backends.base import PROCESSOR_BACKENDS
from fsq_edge_runtime.errors import FsqEdgeError
from fsq_edge_runtime.files import first_line
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.stream.records import StreamEvent
from fsq_edge_runtime.systemd import notify

Open = Callable[[str | None], Session]


class Reloader:
    """Opens the next session on a thread of its own, so that the stream goes on meanwhile.

    Where the session runs on a device, which one program can open once, the CPU stands in until the new session has the
    device.

    Args:
        session: the one that runs; closed with this one, or with the one that replaces it.
        open_session: reads everything again and opens a session, on the backend of that name; None is the user's
            choice.

    Attributes:
        session: the one that runs now.
    """

    def __init__(self, session: Session, open_session: Open) -> None:
        self.session = session
        self._open_session = open_session
        self._wanted = threading.Event()
        self._ready: tuple[Session | None, str] | None = None  # the session, or why there is none
        self._opening: threading.Thread | None = None
        self._retired: Session | None = None  # to be closed before the device is asked for
        self._standing_in = False  # the CPU, until the device is free
        self._next_stands_in = False

    def request(self) -> None:
        """Ask for a reload; may be called by a signal's handler, and any number of times."""
        self._wanted.set()

    def step(self) -> StreamEvent | None:
        """Do what is due between two pushes; return a ``reload`` record when a reload succeeded or failed."""
        if self._opening is None:
            if not (self._wanted.is_set() or self._standing_in):
                return None
            if not self._standing_in:
                self._wanted.clear()
                notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            self._start()
            return None
        if self._ready is None:
            return None
        fresh, why = self._ready
        self._opening, self._ready = None, None
        return self._finish(fresh, why)

    def close(self) -> None:
        """Close the session that runs, and one that was opened meanwhile."""
        if self._opening is not None:
            self._opening.join(0.2)
            if self._ready is not None and self._ready[0] is not None:
                self._ready[0].close()
        self._close_retired()
        self.session.close()

    def _close_retired(self) -> None:
        retired, self._retired = self._retired, None
        if retired is not None:
            retired.close()

    def _start(self) -> None:
        on_device = self.session.backend.name not in PROCESSOR_BACKENDS
        backend = "onnx" if on_device and not self._standing_in else None
        self._opening = threading.Thread(target=self._open, args=(backend,), name="reload", daemon=True)
        self._next_stands_in = backend is not None
        self._opening.start()

    def _open(self, backend: str | None) -> None:
        try:
            self._close_retired()
            self._ready = self._open_session(backend), ""
        except FsqEdgeError as error:
            self._ready = None, error.message
        except Exception as error:  # noqa: BLE001 - whatever it is, the stream goes on with what it has
            self._ready = None, first_line(error)

    def _finish(self, fresh: Session | None, why: str) -> StreamEvent:
        former = self.session
        if fresh is not None:
            try:
                fresh.continue_from(former)
            except FsqEdgeError as error:
                fresh.close()
                fresh, why = None, error.message
        if fresh is None:
            self._standing_in = False
            notify("READY=1")
            return self._event(former, False, why)
        self.session, self._retired = fresh, former
        self._standing_in = self._next_stands_in
        if not self._standing_in:
            # Letting a device go may take longer than a hop: the stream does not wait for it.
            threading.Thread(target=self._close_retired, name="retired", daemon=True).start()
            notify("READY=1")
        return self._event(fresh, True, fresh.backend_reason)

    def _event(self, session: Session, accepted: bool, reason: str) -> StreamEvent:
        facts: dict[str, Any] = {"accepted": accepted, "reason": reason, "bundle": session.bundle.manifest.name}
        facts |= {"manifest_sha256": session.bundle.manifest.digest(), "backend": session.backend.name}
        return StreamEvent("reload", "", facts)
