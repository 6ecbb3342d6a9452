"""A page in the browser that shows the stream: one HTML file and server-sent events, nothing to install."""

from __future__ import annotations

import contextlib
import queue
import threading
from http import HTTPStatus
from importlib.resources import files

from fsq_edge_runtime.sinks.files import json_line
from fsq_edge_runtime.sinks.web import Request, WebServer
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
        address: of the page, for a person to open.

    Raises:
        UnavailableError: the address cannot be bound.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.name = "http"
        self.counters = {"records": 0, "dropped": 0, "viewers": 0}
        self._viewers: set[queue.Queue[bytes | None]] = set()
        self._lock = threading.Lock()
        self._server = WebServer(host, port, {"/": _send_page, "/events": self._send_events})
        self.port = self._server.port
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self.port}/"

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
        self._server.close()
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

    def _send_events(self, request: Request) -> None:
        viewer = self.join()
        if viewer is None:
            request.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        try:
            request.send_response(HTTPStatus.OK)
            request.send_header("Content-Type", "text/event-stream")
            request.send_header("Cache-Control", "no-store")
            request.end_headers()
            while (event := _next(viewer)) is not None:
                request.wfile.write(event)
        except OSError:
            pass  # the viewer went away
        finally:
            self.leave(viewer)


def _send_page(request: Request) -> None:
    page = files("fsq_edge_runtime.sinks").joinpath("monitor.html").read_bytes()
    request.send(page, "text/html; charset=utf-8", Content_Security_Policy=_POLICY)


def _next(viewer: queue.Queue[bytes | None]) -> bytes | None:
    try:
        return viewer.get(timeout=HEARTBEAT_S)
    except queue.Empty:
        return b": still here\n\n"  # finds out whether the viewer is, too
