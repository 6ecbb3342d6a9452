"""Receivers of records: an HTTP server that answers as it is told, a real InfluxDB and a real VictoriaMetrics."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.factories.live import eventually, free_port


class Receiver:
    """Takes POSTs on loopback and keeps them.

    Args:
        answers: (status, headers) by the number of the request; the last one goes on for ever.
        port: 0 takes a free one.
        context: encrypts.
        before: called before each answer.
    """

    def __init__(
        self,
        answers: list[tuple[int, dict[str, str]]] | None = None,
        port: int = 0,
        context: ssl.SSLContext | None = None,
        before: Callable[[], object] = lambda: None,
    ) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self._answers, self._before = answers or [(204, {})], before
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((self.path, dict(self.headers), body))
                receiver._before()
                status, headers = receiver._answers[min(len(receiver.requests), len(receiver._answers)) - 1]
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def get_request(self) -> tuple[socket.socket, object]:
                request, address = super().get_request()
                if context is not None:  # else left open to the collector where the other side broke off
                    receiver._connections.append(request)
                return request, address

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self._connections: list[socket.socket] = []
        self._server = Server(("127.0.0.1", port), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:
            connection.close()

    def bodies(self) -> list[dict[str, object]]:
        return [json.loads(body) for _, _, body in list(self.requests)]


class Influx:
    """A real InfluxDB of version 1 on loopback ports, with one database and, if wanted, one user."""

    def __init__(self, folder: Path, *, password: str = "") -> None:
        program = shutil.which("influxd")
        if program is None:
            pytest.skip("InfluxDB's server 'influxd' is not installed (apt install influxdb)")
        self._program, self._folder, self._password = program, folder, password
        self.port, self.udp_port, self._rpc = free_port(), free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        (folder / "influxdb.conf").write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{self._rpc}"\n'
            f'[meta]\ndir = "{folder}/meta"\n[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
            f'[http]\nbind-address = "127.0.0.1:{self.port}"\nlog-enabled = false\n'
            f"auth-enabled = {'true' if password else 'false'}\n"
            f'[[udp]]\nenabled = true\nbind-address = "127.0.0.1:{self.udp_port}"\ndatabase = "dogs"\n'
            'precision = "n"\nbatch-size = 1\nbatch-timeout = "100ms"\n'
        )

    def start(self) -> None:
        with (self._folder / "influxd.log").open("ab") as log:
            command = [self._program, "-config", str(self._folder / "influxdb.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(self._answers, f"influxd on port {self.port}")
        # It opens UDP after HTTP; the system's table has the ports in hexadecimal.
        table, opened = Path("/proc/net/udp"), f":{self.udp_port:04X} "
        eventually(lambda: opened in table.read_text(), f"influxd on UDP port {self.udp_port}")
        if self._password:
            first = f"CREATE USER me WITH PASSWORD '{self._password}' WITH ALL PRIVILEGES"  # needs no user, once
            with contextlib.suppress(urllib.error.HTTPError):
                self._ask({"q": first})
        self.query("CREATE DATABASE dogs")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def query(self, text: str) -> list[dict[str, object]]:
        """Return the rows of the first series."""
        wanted = {"db": "dogs", "q": text, "epoch": "ns"}
        result = self._ask(wanted, "me" if self._password else "")["results"][0]
        rows = [(series["columns"], row) for series in result.get("series", []) for row in series["values"]]
        return [dict(zip(columns, row, strict=True)) for columns, row in rows]

    def _ask(self, wanted: dict[str, str], user: str = "") -> dict[str, list[dict[str, list[dict[str, list[object]]]]]]:
        pair = base64.b64encode(f"{user}:{self._password}".encode()).decode()
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/query", urllib.parse.urlencode(wanted).encode(),
            {"Authorization": f"Basic {pair}"} if user else {},
        )  # fmt: skip
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 - see above
            return json.load(answer)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=1) as answer:
                return answer.status == 204
        except OSError:
            return False


class VictoriaMetrics:
    """A real VictoriaMetrics on a loopback port, which takes what InfluxDB 2 takes at ``/api/v2/write``."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("victoria-metrics")
        if program is None:
            pytest.skip("VictoriaMetrics' server 'victoria-metrics' is not installed (apt install victoria-metrics)")
        self._command = [program, f"-storageDataPath={folder}", "-retentionPeriod=100y"]
        self._folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            command = [*self._command, f"-httpListenAddr=127.0.0.1:{self.port}"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(self._answers, f"victoria-metrics on port {self.port}")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def exported(self, name: str) -> list[dict[str, object]]:
        """Return every series of a name: ``metric`` (its tags), ``values`` and ``timestamps`` (milliseconds)."""
        wanted = urllib.parse.urlencode({"match[]": name, "reduce_mem_usage": "1"})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/export?{wanted}", timeout=10) as answer:
            return [json.loads(line) for line in answer.read().splitlines()]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False
