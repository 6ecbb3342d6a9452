"""Strangers at the page and the metrics: slow, many, rude, under a foreign name. The stream hears nothing of it."""

from __future__ import annotations

import contextlib
import http.client
import resource
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from fsq_edge_runtime.monitor import MonitorSink, web_server
from fsq_edge_runtime.sinks import web
from fsq_edge_runtime.sinks.prometheus import MetricsSink
from tests.factories.live import eventually

FACTS = dict.fromkeys(
    ("streams", "accepted", "duplicate", "late", "bad_time", "paused", "overrun", "decided", "abstained", "missed",
     "skipped", "interpolated", "imputed", "gaps", "clock_jumps", "segments"), 0,
)  # fmt: skip


@pytest.fixture(params=["page", "metrics"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    if request.param == "page":
        pytest.importorskip("uvicorn", reason="the monitor extra is not installed")
        sink: MonitorSink | MetricsSink = MonitorSink()
    else:
        pytest.importorskip("prometheus_client", reason="the metrics extra is not installed")
        sink = MetricsSink("127.0.0.1", 0, lambda: {**FACTS, "sources": [], "sinks": []})
    yield sink.port
    sink.close()


def status(port: int, path: str = "/", host: str = "localhost") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        return connection.getresponse().status


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "127.0.0.1:1", "127.8.8.8", "[::1]", "[::1]:80"])
def test_this_machine_is_answered(port: int, host: str) -> None:
    assert status(port, host=host) == 200


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::2]"])
def test_a_foreign_name_is_refused(port: int, host: str) -> None:
    assert status(port, host=host) == 403


def test_resets_print_nothing(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(100):
        with connect(port) as one:
            one.sendall(b"GET / HTTP/1.1\r\n" + b"Host: localhost\r\n\r\n" * (number % 2))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    eventually(lambda: _answers(port), "it serves on, once it has noticed who went away")
    assert capfd.readouterr() == ("", "")


def test_a_request_that_drips_is_ended_in_time(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "REQUEST_S", 0.5)
    monkeypatch.setattr(web_server, "REQUEST_S", 0.5)
    with connect(port) as one, pytest.raises(OSError):
        _drip(one)


def _drip(one: socket.socket) -> None:
    """Send for three seconds, or more where the machine stands still."""
    for _ in range(60):
        one.sendall(b"G")
        time.sleep(0.05)


def test_a_request_without_end_is_cut(port: int) -> None:
    with connect(port) as one, contextlib.suppress(OSError):
        one.sendall(b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * (4 << 20))
        assert not one.recv(1 << 16).startswith(b"HTTP/1.0 200")
    assert status(port) == 200


def test_connections_are_bounded(port: int) -> None:
    held = [connect(port) for _ in range(web.MAX_CONNECTIONS)]
    time.sleep(0.3)
    with connect(port) as one:
        assert one.recv(1) == b"", "closed at once"
    for one in held:
        one.close()
    eventually(lambda: _answers(port), "room again")


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return status(port) == 200
    return False


def test_no_descriptor_left_does_not_take_a_core(port: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    waiting = connect(port)
    opened = socket.socket()
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened.fileno() + 1, hard))
    spares = []
    try:
        with contextlib.suppress(OSError):
            while True:
                spares.append(socket.socket())
        opened.connect(("127.0.0.1", port))  # accepting it needs a descriptor that is not there
        spent = []
        for _ in range(5):  # a server that spins takes its core in each; what else this process does, in some
            begun = time.process_time()
            time.sleep(0.5)
            spent.append(time.process_time() - begun)
        assert min(spent) < 0.15
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in (*spares, waiting, opened):
            one.close()
    eventually(lambda: _answers(port), "it serves again")
