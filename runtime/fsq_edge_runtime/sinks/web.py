"""One small HTTP server for the metrics: few connections, bounded requests, no answers for other web pages."""

from __future__ import annotations

import errno
import io
import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any

from fsq_edge_runtime.addresses import is_loopback
from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.ports import in_use_hint

MAX_CONNECTIONS = 32  # a few that scrape, each with a connection or two
REQUEST_S = 5.0  # for the whole of a request, however slowly it comes
REQUEST_BYTES = 16 * 1024
ANSWER_S = 10.0  # for one write
STARVED_S = 0.1  # wait when the process has no descriptor for one more connection

Answer = Callable[["Request"], None]


class WebServer:
    """Serves paths on a thread of its own.

    Args:
        host: address to listen on. On a loopback address, requests under a foreign host name are refused, so that no
            web page elsewhere can read an answer through the browser.
        port: 0 takes a free one (see :attr:`port`).
        paths: what answers ``GET`` of each path.

    Attributes:
        port: the port in use.

    Raises:
        UnavailableError: the address cannot be bound.
    """

    def __init__(self, host: str, port: int, paths: Mapping[str, Answer]) -> None:
        try:
            self._server = _Server((host, port), Request, paths)
        except (OSError, ValueError, OverflowError) as error:  # ValueError: a host name that no resolver takes
            reason = getattr(error, "strerror", None) or str(error)
            raise UnavailableError(
                f"cannot serve http:{host}:{port}: {reason}", hint=in_use_hint("tcp", port, error)
            ) from error
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="http", daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # past 5, as socketserver has it, a burst is dropped, and who knocked waits seconds

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], paths: Mapping[str, Answer]
    ) -> None:
        self.paths = paths
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    @cached_property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return ip_address(str(self.server_address[0])).is_loopback

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(STARVED_S)  # the connection stays in the queue: without a pause this would take a core
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a connection that is reset is the other side's affair."""


class _BoundedReader(io.RawIOBase):
    """Reads a request from a socket until its time or its bytes are used up."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._left = connection, REQUEST_BYTES
        self._deadline = time.monotonic() + REQUEST_S

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._connection.settimeout(left_s)
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count


class Request(BaseHTTPRequestHandler):
    """One request; one connection serves one."""

    server: _Server

    def setup(self) -> None:
        """Read through a bound."""
        super().setup()
        self.rfile = io.BufferedReader(_BoundedReader(self.connection))

    def do_GET(self) -> None:
        """Answer a known path, 403 for a foreign host name, else 404."""
        self.connection.settimeout(ANSWER_S)
        answer = self.server.paths.get(self.path)
        if self.server.is_local and not is_loopback(self.headers.get("Host") or ""):
            self.send_error(HTTPStatus.FORBIDDEN)
        elif answer is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            answer(self)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: standard error belongs to the command line."""

    def send(self, body: bytes, kind: str, **headers: str) -> None:
        """Send a whole answer; underscores in the names of headers are hyphens."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
