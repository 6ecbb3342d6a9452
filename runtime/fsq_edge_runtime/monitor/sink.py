"""The live page as a sink: records and samples in, a page in the browser out."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.monitor.about import About
from fsq_edge_runtime.monitor.feed import Feed
from fsq_edge_runtime.monitor.guard import App, Guard
from fsq_edge_runtime.monitor.web_app import TICK_S, MonitorApp
from fsq_edge_runtime.monitor.web_server import PageServer
from fsq_edge_runtime.stream.records import Record

TOKEN_VARIABLE: Final = "FSQ_EDGE_MONITOR_TOKEN"  # noqa: S105 - the name of a variable
LEAST_TOKEN: Final = 16  # characters


class MonitorSink:
    """Serves the live page; reads only, nothing on it changes the run.

    Args:
        host: address to listen on. On a loopback address, requests under a foreign host name are refused. On any other
            address a token is needed: the variable ``FSQ_EDGE_MONITOR_TOKEN``, or one that is drawn here.
        port: 0 takes a free one (see :attr:`port`).
        about: facts of the run.

    Attributes:
        name: ``http``.
        keep, keep_all, relieve: see :class:`fsq_edge_runtime.sinks.base.KeepsRecords`.
        take_chunks: see :class:`fsq_edge_runtime.sinks.base.TakesSamples`.
        port: the port in use.
        address: what to open in a browser, with the token where one is needed.

    Raises:
        UnavailableError: the extra ``monitor`` is not installed, or the address cannot be bound.
        UsageError: the token is too short.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, about: About | None = None) -> None:
        self.name = "http"
        feed = self._feed = Feed(about or About())
        self.keep, self.keep_all, self.relieve = feed.keep, feed.keep_all, feed.relieve
        self.take_chunks = feed.take_chunks
        local = _is_local(host)
        token = None if local else _token()
        app = MonitorApp(feed)

        def guarded(port: int) -> App:
            return Guard(app.asgi, local=local, token=token, cookie=f"fsq_edge_{port}")

        self._server = PageServer(host, port, guarded, app.tick, TICK_S)
        self.port = self._server.port
        shown = f"[{host}]" if ":" in host else host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - what is asked for; no browser can open it
            shown = socket.gethostname()
        self.address = f"http://{shown}:{self.port}/" + (f"?token={token}" if token else "")

    def write(self, record: Record) -> None:
        """Take a record; never blocks."""
        self.keep(record)
        self.relieve()

    @property
    def counters(self) -> dict[str, int]:
        """Return what happened so far, by name."""
        return self._feed.counters

    def read_facts(self, facts: Callable[[], dict[str, Any]]) -> None:
        """Ask for the run's counters here, once a second, on the page's thread."""
        self._feed.facts = facts

    def close(self) -> None:
        """Send the last news and stop serving."""
        self._server.close()


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token() -> str:
    given = os.environ.get(TOKEN_VARIABLE)
    if given is not None and (len(given) < LEAST_TOKEN or not given.isascii() or not given.isalnum()):
        raise UsageError(
            f"the token in {TOKEN_VARIABLE} is not {LEAST_TOKEN} or more letters and digits",
            hint=f"{TOKEN_VARIABLE}=$(openssl rand -hex 16)",
        )
    return given or secrets.token_urlsafe(16)
