"""The live page as a browser sees it."""

from __future__ import annotations

import functools
import http.client
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from fsq_edge_runtime.monitor import MonitorSink
from fsq_edge_runtime.monitor.about import About
from fsq_edge_runtime.monitor.web_app import MAX_VIEWERS
from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.sources.base import Chunk
from fsq_edge_runtime.sources.iterable import IterableSource
from fsq_edge_runtime.stream.records import Decision, Gap, StreamEvent
from tests.factories.browser import Page, chromium
from tests.factories.bundles import IMU, motion, random_bundle

pytest.importorskip("starlette", reason="the monitor extra is not installed")
pytest.importorskip("uvicorn", reason="the monitor extra is not installed")

ABOUT = About("dog", ("walk", "trot", "rest"), IMU, 50.0, 0.1, 100.0, (8, 6, 5), tuple(range(240)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as made:
        yield made


@pytest.fixture
def page(browser: Page) -> Page:
    browser.size(1000, 700)
    browser.scheme("light")
    return browser


@pytest.fixture
def monitor() -> Iterator[MonitorSink]:
    made = MonitorSink(about=ABOUT)
    yield made
    made.close()


def feed(monitor: MonitorSink, streams: int, seq: int, label: str = "walk", seconds: float = 0.1) -> None:
    """Write one window of each stream, and the samples that belong to it."""
    begin = seq * seconds
    samples = motion(max(1, round(50 * seconds)), seed=seq % 97)
    times = begin + np.arange(len(samples)) / 50.0
    for number in range(streams):
        monitor.take_chunks([(f"dog {number}", samples, times)])
        stages = (0, 0, 0, 0, 200_000 + 1000 * (seq % 50))
        monitor.write(
            Decision(
                seq,
                f"dog {number}",
                begin - 1.9,
                begin + seconds,
                label,
                label,
                0.9,
                seq % 240,
                (),
                "onnx",
                None,
                None,
                None,
                stages,
            )
        )


def test_a_run_is_shown(page: Page) -> None:
    bundle, stop = random_bundle(), threading.Event()

    def chunks() -> Iterator[Chunk]:
        """Two streams, one of them broken and interrupted."""
        for at in range(0, 1 << 20, 50):
            rows, times = motion(50, seed=at), np.arange(at, at + 50) / 50 + (at >= 1000)
            yield Chunk("rex", rows, times, time.monotonic_ns())
            broken = rows.copy()
            broken[:, 1] = np.nan
            yield Chunk("<b>bella</b>", broken, times, time.monotonic_ns())
            if stop.wait(0.02):
                return

    with bundle.open_session(backend="onnx", deadline_ms=0.0) as session:
        monitor = MonitorSink(about=About.of(session))
        runner = Runner(session, [IterableSource(chunks(), live=True)], [monitor], opening=session.opening)
        thread = threading.Thread(target=runner.run, args=(stop,))
        thread.start()
        try:
            page.open(monitor.address)
            page.until(lambda: page.text("#streams").count("class-"), "labels in the list")
            assert page.text("#streams b") == "<b>bella</b>"  # a stream's name is text, not markup
            page.until(lambda: page.text("#label") == "abstained", "the broken stream abstains")
            assert "missing:acc_y" in page.text("#flags")
            page.run("document.querySelectorAll('#streams button')[1].click()")
            page.until(lambda: page.text("#label").startswith("class-"), "the sound stream has a label")
            seen = page.text("#since")
            page.until(lambda: page.text("#since") != seen, "labels change")
            page.until(lambda: page.run("return fsqEdge.held().bins") > 100, "signals")
            page.until(lambda: "gap" in page.text("#events"), "the gap is an event")
            assert "backend onnx" in page.text("#backend")
            assert page.text("#bundle") == "· random"
            assert "decided" in page.text("#health")
            assert "of 240 codes" in page.text("#map-note")
        finally:
            stop.set()
            thread.join(10)
        page.until(lambda: page.text("#state") == "ended", "the end is said")
        monitor.close()
    assert page.complaints() == []


def test_the_page_comes_back_after_the_server_was_restarted(page: Page) -> None:
    first = MonitorSink(about=ABOUT)
    feed(first, 1, 0, "walk")
    page.open(first.address)
    page.until(lambda: page.text("#label") == "walk", "a first label")
    page.until(lambda: "largest 200 µs of 1 in view" in page.text(".latency .head"), "one window has no percentile")
    first.close()
    page.until(lambda: "lost" in page.text("#state"), "the loss is said")
    assert page.run("return Number(getComputedStyle(document.querySelector('main')).opacity)") < 1, "and seen"
    second = MonitorSink("127.0.0.1", first.port, ABOUT)
    try:
        feed(second, 1, 0, "rest")
        page.until(lambda: page.text("#label") == "rest" and page.text("#state") == "live", "the new run's label")
    finally:
        second.close()


def test_an_hour_in_fast_motion_does_not_grow_the_page_and_can_be_scrolled_back(
    page: Page, monitor: MonitorSink
) -> None:
    page.open(monitor.address)
    page.until(lambda: monitor.counters["viewers"] > 0, "the page follows")
    held = []
    for seq in range(3600):
        feed(monitor, 1, seq, "walk" if seq % 60 < 30 else "trot", 1.0)
        time.sleep(0.001)
        if seq % 1200 == 1199:
            monitor.write(Gap("dog 0", "gap", seq, seq + 1))
            time.sleep(0.5)
            held.append(page.run("return fsqEdge.held()"))
    assert 60 <= held[-1]["rows"] <= 65 + 500
    assert held[-1]["bins"] <= 65 * 25 + 500
    assert held[-1]["events"] <= 800
    page.until(lambda: page.text("#where").endswith("1:00:00"), "an hour has passed")
    assert page.text("#clock") == "(h:min:s of the source)", "nobody takes it for a time of day"
    page.run("document.getElementById('changes').click()")
    script = "return [...document.querySelectorAll('#events li')].map(e => e.textContent.split(/label|gap/)[0])"
    page.until(lambda: len(page.run(script)) > 3, "label changes are events, too")
    ends = [functools.reduce(lambda s, part: 60 * s + int(part), text.split(":"), 0) for text in page.run(script)]
    assert ends == sorted(ends, reverse=True), "the newest first, gaps in their place among label changes"
    page.run("const s = document.getElementById('position'); s.value = 1800; s.dispatchEvent(new Event('input'))")
    page.until(lambda: page.text("#where").startswith("30:00"), "half an hour back")
    page.until(lambda: page.run("return fsqEdge.held().bins") >= 1400, "the signals of then are drawn")
    assert page.text("#pause") == "Live"
    page.run("document.getElementById('pause').click()")
    page.until(lambda: page.text("#where").endswith("1:00:00"), "live again")


def test_what_comes_while_the_page_asks_for_the_past_is_not_lost(page: Page, monitor: MonitorSink) -> None:
    for seq in range(100):
        feed(monitor, 1, seq)
    page.open(monitor.address)
    page.until(lambda: page.run("return fsqEdge.held().rows") == 100, "all windows are there")
    page.run(
        "const f = window.fetch;"
        "window.fetch = async (a) => { const r = await f(a); await new Promise(d => setTimeout(d, 900)); return r; }"
    )
    page.run("document.getElementById('pause').click()")
    page.run("document.getElementById('pause').click()")
    for seq in range(100, 104):
        time.sleep(0.2)
        feed(monitor, 1, seq)
    page.until(lambda: page.run("return fsqEdge.held().rows") == 104, "the late ones, too")


def test_one_page_too_many_says_so_and_comes_when_there_is_room(page: Page, monitor: MonitorSink) -> None:
    feed(monitor, 1, 0)
    page.open("about:blank")  # the page of the test before gives its place back
    others = []
    for _ in range(MAX_VIEWERS):
        connection = http.client.HTTPConnection("127.0.0.1", monitor.port, timeout=20)
        connection.request("GET", "/events")
        others.append(connection.getresponse())
    assert {other.status for other in others} == {200}
    page.open(monitor.address)
    page.until(lambda: page.text("#state").startswith("as many pages are open as"), "it waits")
    for other in others:
        other.close()
    page.until(lambda: page.text("#state") == "live" and page.text("#label") == "walk", "it has a place")


def test_two_hundred_streams_are_listed_searched_and_drawn(page: Page, monitor: MonitorSink) -> None:
    still = _frames_of_a_blank_page(page)
    page.open(monitor.address)
    stop = threading.Event()

    def supply() -> None:
        for seq in range(1 << 20):
            feed(monitor, 200, seq)
            if stop.wait(0.1):
                return

    thread = threading.Thread(target=supply)
    thread.start()
    try:
        page.until(lambda: page.text("#count") == "200 of 200 streams", "all are listed")
        page.until(lambda: page.run("return fsqEdge.figures.rows") > 20, "windows come")
        for _ in range(3):  # a machine that has no time for the page is not the page's doing: the best of three
            before, begun = page.run("return fsqEdge.figures"), time.monotonic()
            time.sleep(2.0)
            after, passed = page.run("return fsqEdge.figures"), time.monotonic() - begun
            rate, work_ms, reloads = ((after[name] - before[name]) / passed for name in ("frames", "workMs", "reloads"))
            if rate >= min(20, 0.5 * still) and work_ms < 500 and not reloads:
                break
        assert rate >= min(20, 0.5 * still), f"{rate:.0f} frames a second, a blank page has {still:.0f}"
        assert work_ms < 500, "more than half the page's time is work"
        assert not reloads, "no tick was lost"
        page.run("const s = document.getElementById('search'); s.value = 'dog 19'; s.dispatchEvent(new Event('input'))")
        page.until(lambda: page.text("#count") == "11 of 200 streams", "19 and 190 to 199")
        page.run("document.querySelectorAll('#streams button')[10].click()")
        page.until(lambda: page.text("#name") == "dog 199", "the chosen stream")
        page.until(lambda: page.run("return fsqEdge.held().bins") > 10, "its signals")
    finally:
        stop.set()
        thread.join(10)


def _frames_of_a_blank_page(page: Page) -> float:
    """Return the frames a second that this machine draws when there is nothing to do."""
    page.open("about:blank")
    page.run("window.n = 0; (function f() { n++; requestAnimationFrame(f); })()")
    begun = time.monotonic()
    time.sleep(1.0)
    return page.run("return n") / (time.monotonic() - begun)


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen(page: Page, monitor: MonitorSink, width: int, scheme: str) -> None:
    for seq in range(100):
        feed(monitor, 3, seq, "trot")
    monitor.write(
        StreamEvent(
            "drift",
            "dog 0",
            {
                "what": "mean:acc_x",
                "value": 2.0,
                "unit": "training sigmas",
                "usual": 0.0,
                "test": "change",
                "advice": "look " * 40,
                "t_end": 9.0,
            },
        )
    )
    page.size(width, 900)
    page.scheme(scheme)
    page.open(monitor.address)
    page.until(lambda: page.text("#label") == "trot", "a label")
    page.until(lambda: "look" in page.text("#drifted"), "the alarm")
    page.until(lambda: "99th percentile 2" in page.text(".latency .head"), "a hundred windows have one")
    assert page.run("return document.documentElement.scrollWidth") == width
    wide = (
        "return [...document.querySelectorAll('body *')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.id || e.tagName)"
    )
    assert page.run(wide) == []
    ground = page.run("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def test_seconds_are_rounded_before_they_are_minutes(page: Page, monitor: MonitorSink) -> None:
    page.open(monitor.address)
    text = "return import('/labels.js').then(m => [59.98, 3599.6, -59.7, 61.4].map(t => m.timeText(t)))"
    assert page.run(text) == ["1:00", "1:00:00", "-1:00", "1:01"]


def test_keys_move_through_streams_and_time(page: Page, monitor: MonitorSink) -> None:
    for seq in range(900):
        feed(monitor, 3, seq)
    page.open(monitor.address)
    page.until(lambda: page.text("#label") == "walk", "a label")
    press = "dispatchEvent(new KeyboardEvent('keydown', {{key: '{}', bubbles: true}}))"
    page.run("document.body." + press.format("j"))
    page.until(lambda: page.text("#name") == "dog 1", "the next stream")
    page.run("document.body." + press.format("ArrowLeft"))
    page.until(lambda: page.text("#where") == "0:00 – 1:00", "half a window back")
    assert page.text("#pause") == "Live"
    page.run("document.body." + press.format("p"))
    page.until(lambda: page.text("#where") == "0:30 – 1:30", "live")
    page.run("document.body." + press.format(","))
    page.until(
        lambda: page.text("#readout").startswith("at 1:29.95: walk 90 %, 249 µs, code"), "the latest window is read"
    )
    page.run("document.body." + press.format(","))
    page.until(lambda: page.text("#readout").startswith("at 1:29.85"), "the window before it")
    assert page.run("return document.getElementById('cursor').hidden") is False


def test_the_tab_key_stops_once_at_the_list_of_streams(page: Page, monitor: MonitorSink) -> None:
    feed(monitor, 40, 0)
    page.open(monitor.address)
    page.until(lambda: page.text("#count") == "40 of 40 streams", "all are listed")
    stops = (
        "return [...document.querySelectorAll('#streams button')].filter(e => e.tabIndex === 0).map(e => e.innerText)"
    )
    page.until(lambda: len(page.run(stops)) == 1 and "dog 0" in page.run(stops)[0], "the chosen one")
    page.run("document.querySelector('#streams button').focus()")
    page.key("ArrowDown")
    page.key("ArrowDown")
    page.key("Enter")
    page.until(lambda: page.text("#name") == "dog 2", "arrow keys move in the list, Enter chooses")
    assert "dog 2" in page.run(stops)[0]


def test_a_silent_stream_is_not_shown_as_if_it_spoke(
    page: Page, monitor: MonitorSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monitor, 2, 0)
    page.open(monitor.address)
    page.until(lambda: page.text("#label") == "walk", "a label")
    assert page.text("#since") == ""
    monkeypatch.setattr("fsq_edge_runtime.monitor.past.monotonic", lambda: time.monotonic() + 600.0)
    page.open(monitor.address)  # what the server knows of the time before this page
    page.until(lambda: page.text("#since") == "no window for 10 min", "the silence is said")
    page.until(lambda: page.text("#streams i") == "silent for 10 min, was walk", "in the list, too")
    feed(monitor, 1, 1)
    page.until(lambda: page.text("#since") == "" and page.text("#streams i") == "walk 90 %", "dog 0 speaks again")
    page.run("const s = document.getElementById('which'); s.value = 'silent'; s.dispatchEvent(new Event('change'))")
    page.until(lambda: page.text("#count") == "1 of 2 streams" and page.text("#streams b") == "dog 1", "the silent one")


def test_a_past_shorter_than_the_span_leaves_the_slider_at_its_right_end(page: Page, monitor: MonitorSink) -> None:
    for seq in range(100):
        feed(monitor, 1, seq)
    page.open(monitor.address)
    page.until(lambda: page.run("return document.getElementById('position').disabled"), "nothing to go back to")
    page.until(lambda: page.run("const s = document.getElementById('position'); return s.value === s.max"), "live")
    entries = page.run("return [...document.querySelectorAll('#legend > span')].map(e => e.textContent)")
    assert entries == ["walk", "trot", "rest", "unknown", "abstained", "missed", "gap", "▼drift"]
    fills = page.run("return [...document.querySelectorAll('.swatch')].slice(1, 7).map(e => e.style.backgroundImage)")
    assert len(set(fills)) == 6, "unknown, abstained and missed are told apart, too"
