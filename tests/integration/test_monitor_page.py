"""The monitor as a browser sees it, and what it refuses."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.sinks.monitor import MAX_VIEWERS, VIEWER_QUEUE, MonitorSink
from fsq_edge_runtime.sources.base import Chunk
from fsq_edge_runtime.sources.iterable import IterableSource
from fsq_edge_runtime.stream.records import StreamEvent
from tests.factories.bundles import motion, random_bundle
from tests.factories.live import PATIENCE_S, eventually

SAFE = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture
def monitor() -> Iterator[MonitorSink]:
    made = MonitorSink()
    yield made
    made.close()


def get(sink: MonitorSink, path: str, host: str = "localhost") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=20)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    return connection.getresponse()


def test_a_browser_shows_streams_labels_flags_and_events(monitor: MonitorSink, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("the browser 'chromium' is not installed (apt install chromium)")
    stop = threading.Event()

    def chunks() -> Iterator[Chunk]:
        """Two streams, one of them broken, until the page has been open for a while."""
        left, deadline = 40, time.monotonic() + PATIENCE_S
        for at in range(0, 1 << 20, 50):
            left -= monitor.counters["viewers"] > 0
            if left < 0 or time.monotonic() > deadline:
                return
            rows, times = motion(50, seed=at), np.arange(at, at + 50) / 50 + (at >= 1000)
            yield Chunk("rex", rows, times, time.monotonic_ns())
            broken = rows.copy()
            broken[:, 1] = np.nan
            yield Chunk("<b>bella</b>", broken, times, time.monotonic_ns())
            stop.wait(0.02)

    address = f"http://127.0.0.1:{monitor.port}/"
    with random_bundle().open_session(backend="onnx", deadline_ms=0.0) as session:
        runner = Runner(session, [IterableSource(chunks(), live=True)], [monitor])
        # Virtual time stands still while the stream is open; the page is written out soon after it has ended.
        command = [browser, *SAFE, f"--user-data-dir={tmp_path}", "--virtual-time-budget=3000", "--dump-dom", address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as viewer:
            runner.run(stop)
            time.sleep(0.2)
            monitor.close()
            try:
                page, _ = viewer.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                viewer.kill()
                raise
    shown = page.decode()
    assert '<td class="">rex</td>' in shown
    assert "&lt;b&gt;bella&lt;/b&gt;" in shown  # a stream's name is text, not markup
    assert "abstained" in shown
    assert "missing:acc_y" in shown
    assert "class-" in shown


def test_a_foreign_page_cannot_read_the_stream_and_other_paths_do_not_exist(monitor: MonitorSink) -> None:
    assert get(monitor, "/").status == 200
    assert "default-src 'none'" in (get(monitor, "/").getheader("Content-Security-Policy") or "")
    for host in ("evil.example", "", "127.0.0.1.evil.example:80"):
        assert get(monitor, "/events", host).status == 403
    for path in ("/x", "/../etc/passwd", "/events?x"):
        assert get(monitor, path).status == 404


def test_viewers_are_bounded_and_a_slow_one_loses_the_oldest(monitor: MonitorSink) -> None:
    viewers = [monitor.join() for _ in range(MAX_VIEWERS)]
    assert get(monitor, "/events").status == 503
    for number in range(VIEWER_QUEUE + 100):
        monitor.write(StreamEvent("stats", "", {"n": number}))
    assert monitor.counters["dropped"] == 100 * MAX_VIEWERS
    assert viewers[0] is not None
    first = viewers[0].get_nowait()
    assert first is not None
    assert json.loads(first.removeprefix(b"data: "))["n"] == 100
    monitor.leave(viewers[0])
    reply = get(monitor, "/events")
    assert reply.status == 200
    monitor.write(StreamEvent("stats", "", {"n": 7}))
    seen = reply.readline()
    while not seen.startswith(b"data: "):
        seen = reply.readline()
    assert json.loads(seen[6:])["n"] == 7
    eventually(lambda: monitor.counters["viewers"] == MAX_VIEWERS + 1, "the new viewer is counted")


def test_an_address_in_use_is_unavailable(monitor: MonitorSink) -> None:
    with pytest.raises(UnavailableError, match="cannot serve"):
        MonitorSink("127.0.0.1", monitor.port)
