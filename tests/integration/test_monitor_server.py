"""Who may read the live page, what it answers, and what it refuses."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from fsq_edge_runtime.errors import UnavailableError, UsageError
from fsq_edge_runtime.monitor import MonitorSink
from fsq_edge_runtime.monitor.about import About
from fsq_edge_runtime.monitor.sink import TOKEN_VARIABLE
from fsq_edge_runtime.monitor.web_app import MAX_VIEWERS, Viewer, page_files
from fsq_edge_runtime.stream.records import Decision
from tests.factories.live import eventually

pytest.importorskip("starlette", reason="the monitor extra is not installed")
pytest.importorskip("uvicorn", reason="the monitor extra is not installed")


@pytest.fixture
def monitor() -> Iterator[MonitorSink]:
    made = MonitorSink(about=About("dog", ("walk",), (("acc_x", "g"),)))
    yield made
    made.close()


def ask(sink: MonitorSink, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=20)
    connection.request(method, path, headers=headers)
    return connection.getresponse()


def test_the_page_is_its_own_files_only(monitor: MonitorSink) -> None:
    for place in page_files():
        answer = ask(monitor, f"/{place}")
        assert answer.status == 200
        assert "default-src 'none'" in (answer.getheader("Content-Security-Policy") or "")
        assert b"//cdn" not in answer.read()
    for path in ("/x", "/../etc/passwd", "/page/index.html", "/index.html", "/%2e%2e/sink.py"):
        assert ask(monitor, path).status == 404


def test_nothing_can_be_written(monitor: MonitorSink) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert ask(monitor, "/state", method).status == 405


def test_a_foreign_page_cannot_read_the_stream(monitor: MonitorSink) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example:80"):
        assert ask(monitor, "/events", Host=host).status == 403


def test_views_are_bounded(monitor: MonitorSink) -> None:
    monitor.write(Decision(0, "rex", 0.0, 2.0, "walk", "walk", 1.0, 0, (), "onnx", None, None, None, (0, 0, 0, 0, 0)))
    eventually(lambda: json.load(ask(monitor, "/state"))["streams"], "the stream is known")
    assert ask(monitor, "/view?stream=0&seconds=60&points=100").status == 200
    for query in (
        "seconds=1e9&points=10",
        "seconds=60&points=1e9",
        "seconds=nan&points=10",
        "points=10",
        "seconds=-1&points=5",
    ):
        assert ask(monitor, f"/view?stream=0&{query}").status == 400
    for query in ("stream=7&seconds=60&points=10", "seconds=60&points=10", "stream=x"):
        assert ask(monitor, f"/view?{query}").status == 404


def test_viewers_are_bounded_and_free_their_place(monitor: MonitorSink) -> None:
    held = [ask(monitor, "/events") for _ in range(MAX_VIEWERS)]
    assert {answer.status for answer in held} == {200}
    assert ask(monitor, "/events").status == 503
    for answer in held:
        answer.close()
    eventually(lambda: ask(monitor, "/events").status == 200, "a place is free again")
    assert monitor.counters["viewers"] > MAX_VIEWERS


def test_a_viewer_that_never_reads_gives_its_place_back(monitor: MonitorSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsq_edge_runtime.monitor.web_server.STALL_S", 0.2)
    with socket.socket() as never_reads:
        never_reads.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        never_reads.connect(("127.0.0.1", monitor.port))
        never_reads.sendall(b"GET /events?stream=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        held = [ask(monitor, "/events") for _ in range(MAX_VIEWERS - 1)]
        eventually(lambda: json.load(ask(monitor, "/state"))["full"], "every place is taken")

        def flooded() -> bool:
            """Write until the kernel's buffers are full; return whether a place is free again."""
            for number in range(200):
                stream, stages = f"{number} {'x' * 99}", (0, 0, 0, 0, 0)
                decision = Decision(0, stream, 0, 1, "walk", "walk", 1, 0, (), "onnx", None, None, None, stages)
                monitor.write(decision)
            return not json.load(ask(monitor, "/state"))["full"]

        eventually(flooded, "it is given up")
        assert ask(monitor, "/events").status == 200
    for answer in held:
        answer.close()


def test_a_slow_viewer_loses_the_oldest_news() -> None:
    viewer = Viewer(None)
    for number in range(100):
        viewer.ticks.append(str(number))
    assert next(iter(viewer.ticks)) == "75"


def test_beyond_this_machine_a_token_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "0123456789abcdef0123")
    sink = MonitorSink("0.0.0.0", 0)  # noqa: S104 - what is tested
    try:
        assert sink.address == f"http://{socket.gethostname()}:{sink.port}/?token=0123456789abcdef0123"
        for path in ("/", "/state", "/app.js", "/?token=0123456789abcdef0124", "/?token="):
            assert ask(sink, path).status == 401
        welcome = ask(sink, "/?token=0123456789abcdef0123", Host="board.local")
        assert (welcome.status, welcome.getheader("Location")) == (303, "/")
        cookie = welcome.getheader("Set-Cookie") or ""
        assert "HttpOnly; SameSite=Strict" in cookie
        assert ask(sink, "/state", Cookie=cookie.split(";")[0]).status == 200
        assert ask(sink, "/state", Authorization="Bearer 0123456789abcdef0123").status == 200
        assert ask(sink, "/state", Authorization="Bearer wrong").status == 401
    finally:
        sink.close()
    monkeypatch.delenv(TOKEN_VARIABLE)
    drawn = MonitorSink("0.0.0.0", 0)  # noqa: S104
    drawn.close()
    assert len(drawn.address.partition("?token=")[2]) >= 20
    monkeypatch.setenv(TOKEN_VARIABLE, "short")
    with pytest.raises(UsageError, match="16 or more"):
        MonitorSink("0.0.0.0", 0)  # noqa: S104


def test_an_address_in_use_is_unavailable(monitor: MonitorSink) -> None:
    with pytest.raises(UnavailableError, match="cannot serve"):
        MonitorSink("127.0.0.1", monitor.port)
