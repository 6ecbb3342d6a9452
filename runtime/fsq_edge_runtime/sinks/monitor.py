"""A page in the browser that shows the stream: one HTML file and server-sent events, nothing to install."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from ipaddress import ip_address
from typing import Any

from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.sinks.files import json_line
from fsq_edge_runtime.stream.records import Record

MAX_VIEWERS = 16
VIEWER_QUEUE = 512  # records; a viewer that is slower than the stream loses the oldest
HEARTBEAT_S = 1.0
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"


class MonitorSink:
    """Serves ``/`` (the page) and ``/events`` (every record as a server-sent event).

    Args:
        host: address to listen on. On a loopback address, requests under a foreign host name are refused, so that no
            web page elsewhere can read the stream through the browser.
        port: 0 takes a free one (see :attr:`port`).

    Attributes:
        name: ``http``.
        counters: records sent to viewers, records dropped, viewers seen.
        port: the port in use.

    Raises:
        UnavailableError: the address cannot be bound.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.name = "http"
        self.counters = {"records": 0, "dropped": 0, "viewers": 0}
        self._viewers: set[queue.Queue[bytes | None]] = set()
        self._lock = threading.Lock()
        try:
            self._server = _Server((host, port), _Handler, self)
        except OSError as error:
            raise UnavailableError(f"cannot serve http:{host}:{port}: {error.strerror or error}") from error
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="http", daemon=True).start()

    def write(self, record: Record) -> None:
        """Hand a record to every viewer; never blocks."""
        with self._lock:
            viewers = list(self._viewers)
        if viewers:
            event = b"data: " + json_line(record).encode() + b"\n"
            for viewer in viewers:
                self._offer(viewer, event)
            self.counters["records"] += 1

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            for viewer in self._viewers:
                self._offer(viewer, None)

    def join(self) -> queue.Queue[bytes | None] | None:
        """Return a new viewer's queue, or None when there are too many."""
        with self._lock:
            if len(self._viewers) >= MAX_VIEWERS:
                return None
            viewer: queue.Queue[bytes | None] = queue.Queue(VIEWER_QUEUE)
            self._viewers.add(viewer)
            self.counters["viewers"] += 1
            return viewer

    def leave(self, viewer: queue.Queue[bytes | None]) -> None:
        """Forget a viewer."""
        with self._lock:
            self._viewers.discard(viewer)

    def _offer(self, viewer: queue.Queue[bytes | None], event: bytes | None) -> None:
        while True:
            try:
                viewer.put_nowait(event)
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    viewer.get_nowait()
                    self.counters["dropped"] += 1
            else:
                return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], sink: MonitorSink) -> None:
        self.sink = sink
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    @cached_property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return ip_address(str(self.server_address[0])).is_loopback


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        """Answer the page, the events, or 404."""
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        if self.server.is_local and host not in ("localhost", "127.0.0.1", "[::1]"):
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path == "/":
            self._send_page()
        elif self.path == "/events":
            self._send_events()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: standard error belongs to the command line."""

    def _send_page(self) -> None:
        page = files("fsq_edge_runtime.sinks").joinpath("monitor.html").read_bytes()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.end_headers()
        self.wfile.write(page)

    def _send_events(self) -> None:
        viewer = self.server.sink.join()
        if viewer is None:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        try:
            while (event := self._next(viewer)) is not None:
                self.wfile.write(event)
        except OSError:
            pass  # the viewer went away
        finally:
            self.server.sink.leave(viewer)

    def _next(self, viewer: queue.Queue[bytes | None]) -> bytes | None:
        try:
            return viewer.get(timeout=HEARTBEAT_S)
        except queue.Empty:
            return b": still here\n\n"  # finds out whether the viewer is, too
