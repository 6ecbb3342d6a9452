"""What the live page keeps: bins, rows and one bound on the memory of all of it."""

from __future__ import annotations

import numpy as np
import pytest

from fsq_edge_runtime.backends.base import BackendSwitch
from fsq_edge_runtime.monitor.about import About
from fsq_edge_runtime.monitor.budget import Blocks, Budget
from fsq_edge_runtime.monitor.feed import HEALTH_S, MAX_EVENTS, MAX_RECORDS, MAX_SAMPLES, MORE_CHUNKS, EventList, Feed
from fsq_edge_runtime.monitor.signals import BIN_S, BLOCK_BINS, SignalHistory
from fsq_edge_runtime.monitor.windows import ABSTAINED, MISSED, ROW, WindowHistory
from fsq_edge_runtime.stream.records import Decision, Gap, StreamEvent

CHANNELS = (("acc_x", "g"), ("acc_y", "g"))
ABOUT = About("dog", ("walk", "trot"), CHANNELS, 50.0, 1.0, 1000.0, (3, 3), (1, 0, 0, 2, 0, 0, 0, 0, 5))


def decision(seq: int, stream: str = "rex", **changes: object) -> Decision:
    stages = (0, 0, 0, 0, 250_000)
    made = Decision(seq, stream, seq + 0.0, seq + 2.0, "trot", "trot", 0.75, 3, (), "onnx", None, None, None, stages)
    return made._replace(**changes)


def test_bins_hold_the_least_and_the_largest_value() -> None:
    signals = SignalHistory(2, 100.0, Budget())
    times = np.arange(400) / 100.0
    samples = np.stack([np.sin(times), np.arange(400) % 4], axis=1).astype(np.float32)
    for at in range(0, 400, 7):  # whatever the chunks are
        signals.add(samples[at : at + 7], times[at : at + 7])
    found = signals.view(0.0, 4.0, 4000)
    assert len(found.t) == 100
    assert found.step_s == BIN_S
    np.testing.assert_allclose(found.low[:, 1], 0.0)
    np.testing.assert_allclose(found.high[:, 1], 3.0)
    np.testing.assert_allclose(found.high[:, 0], samples[:, 0].reshape(100, 4).max(axis=1), rtol=1e-3, atol=1e-3)
    joined = signals.view(0.0, 4.0, 10)
    assert len(joined.t) == 10
    np.testing.assert_allclose(joined.low[:, 0], samples[:, 0].reshape(10, 40).min(axis=1), rtol=1e-3, atol=1e-3)


def test_untimed_missing_wild_and_backward_samples() -> None:
    signals = SignalHistory(2, 50.0, Budget())
    assert signals.add(np.full((5, 2), 2.0, np.float32), None) == (0, 2)
    wild = np.array([[np.nan, 1e30], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], dtype=np.float32)
    signals.add(wild, np.array([1.0, np.nan, 1e300, 0.5]))
    found = signals.view(0.0, 2.0, 1000)
    assert found.t.tolist() == [0.0, BIN_S, 2 * BIN_S, 0.48, 1.0]  # 0.5 lies in the bin that begins at 0.48
    assert np.isnan(found.low[-1, 0])
    assert found.high[-1, 1] == 6e4
    assert signals.add(np.ones((1, 2), np.float32), np.array([np.inf])) is None


def test_an_hour_is_kept_and_no_more() -> None:
    budget = Budget()
    signals = SignalHistory(2, 25.0, budget)
    for hour in range(3):
        times = 3600.0 * hour + np.arange(3600 * 25) / 25.0
        signals.add(np.ones((len(times), 2), np.float32), times)
    assert signals.oldest_s is not None
    assert 3 * 3600 - 2 * BLOCK_BINS * BIN_S - 3600 <= signals.oldest_s <= 2 * 3600
    assert budget.used < 1 << 20


def test_the_oldest_block_of_any_stream_makes_way() -> None:
    budget = Budget(1000)
    first, second = (Blocks(budget, list, 100, 10_000) for _ in range(2))
    for number in range(8):
        first.open(number)
    for number in range(8):
        second.open(number)
    assert budget.used == 1000
    assert [number for number, _ in first.between(0, 99)] == [6, 7]
    second.clear()
    assert budget.used == 200


def test_rows_come_back_in_order_and_a_lost_block_leaves_no_invented_rows() -> None:
    windows = WindowHistory(Budget(2 * 256 * ROW.itemsize))
    for at in range(0, 1000, 9):
        rows = np.zeros(9, dtype=ROW)
        rows["t"] = np.arange(at, at + 9)
        windows.add(rows)
    assert windows.last(5)["t"].tolist() == [1003.0, 1004.0, 1005.0, 1006.0, 1007.0]
    assert windows.view(900.0, 905.0)["t"].tolist() == [900.0, 901.0, 902.0, 903.0, 904.0, 905.0]
    assert len(windows.view(0.0, 100.0)) == 0


def test_news_say_what_came_and_nothing_twice() -> None:
    feed = Feed(ABOUT)
    feed.take_chunks([("rex", np.ones((50, 2), np.float32), None)])
    feed.keep(BackendSwitch(None, "onnx", "no device"))
    feed.keep(decision(0))
    feed.keep(decision(1, label=None, quality=("stuck:acc_x",)))
    feed.keep(decision(2, missed="deadline", label=None, code=None, confidence=None))
    feed.keep(decision(3, label="unknown"))
    news = feed.collate()
    assert news["new"] == [[0, "rex"]]
    assert news["streams"][0][:2] == [0, [1, ABSTAINED, MISSED, -3]]
    assert news["streams"][0][6] == [2, 1, 1]
    assert news["flags"] == {1: ("stuck:acc_x",), 2: ("missed: deadline",)}
    assert [event["text"] for event in news["events"]] == ["onnx: no device"]
    past = feed.find(0)
    assert past is not None
    detail = past.news()
    assert detail["rows"]["latency"] == [250.0] * 4
    assert detail["curve"]["low"][0] == [1.0] * 25
    again = feed.collate()
    assert again["streams"] == again["new"] == again["events"] == []
    assert feed.state()["streams"][0][2] == [1, ABSTAINED, MISSED, -3]
    assert past.view(None, 60.0, 100)["rows"]["t"] == [2.0, 3.0, 4.0, 5.0]
    feed.keep(decision(0, "tom"))
    assert feed.collate()["new"] == [[1, "tom"]]


def test_counters_are_news_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("fsq_edge_runtime.monitor.feed.time.monotonic", lambda: now[0])
    feed = Feed(ABOUT)
    assert "health" not in feed.collate(), "nobody gives counters"
    feed.facts = lambda: {"sources": [], "sinks": []}
    said = []
    for _ in range(9):
        said.append("health" in feed.collate())
        now[0] += HEALTH_S / 4
    assert said == [True, False, False, False] * 2 + [True]


def test_the_news_of_a_quick_replay_have_a_bound() -> None:
    feed = Feed(ABOUT)
    for minutes, skipped in ((2, True), (0.5, None)):
        feed.take_chunks([("rex", np.ones((round(3000 * minutes), 2), np.float32), None)])
        feed.keep(decision(0))
        feed.collate()
        past = feed.find(0)
        assert past is not None
        detail = past.news()
        assert detail.get("skipped") is skipped
        assert len(detail["rows"]["t"]) == (0 if skipped else 1)
        assert (detail["curve"] is None) is (skipped is True)
        assert past.view(None, 60.0, 100)["rows"]["t"], "the page finds it there"


def test_what_waits_is_bounded_and_what_is_lost_is_counted() -> None:
    feed = Feed(ABOUT)
    for seq in range(MAX_RECORDS + 10):
        feed.keep(decision(seq))
        feed.relieve()
    chunk = np.ones((MAX_SAMPLES // 4, 2), np.float32)
    for _ in range(6):
        feed.take_chunks([("rex", chunk, None)])
        feed.relieve()
    assert feed.counters == {"records": MAX_RECORDS + 10, "dropped": 12, "viewers": 0}
    feed.collate()
    assert feed.counters["records"] == MAX_RECORDS + 10
    assert feed.state()["streams"][0][7][0] == MAX_RECORDS


def test_chunks_are_bounded_where_no_record_comes() -> None:
    feed, chunk = Feed(ABOUT), ("rex", np.ones((1, 2), np.float32), None)
    feed.take_chunks([chunk])
    feed.collate()
    for _ in range(2):
        feed.take_chunks([chunk] * (MAX_RECORDS + 1))
    assert len(feed._chunks) == MAX_RECORDS + MORE_CHUNKS
    feed.relieve()
    assert (len(feed._chunks), feed.dropped) == (MAX_RECORDS, MORE_CHUNKS)


def test_two_hundred_streams_of_an_hour_stay_within_the_budget() -> None:
    feed = Feed(ABOUT)
    samples = np.zeros((250, 2), np.float32)
    for minute in range(4):
        for number in range(200):
            feed.take_chunks([(f"{number}", samples, minute * 60.0 + np.arange(250) / 5.0)])
            for at in range(20):
                feed.keep(decision(at, f"{number}"))
        feed.collate()
    assert len(feed.streams) == 200
    assert feed._budget.used <= 32 << 20


def test_events_are_sentences() -> None:
    events = EventList()
    events.add(Gap("rex", "gap", 3.0, 8.5))
    drift = {
        "what": "mean:acc_x",
        "value": 2.5,
        "unit": "training sigmas",
        "usual": 0.1,
        "test": "change",
        "advice": "look",
        "t_end": 9.0,
    }
    events.add(StreamEvent("drift", "rex", drift))
    slow = {"what": "rate", "value": -0.2231, "unit": "log ratio to nominal", "usual": 0.0}
    events.add(StreamEvent("drift", "rex", drift | slow))
    strong = {"what": "gravity", "value": 0.4055, "unit": "log ratio to gravity", "usual": 0.0}
    events.add(StreamEvent("drift", "rex", drift | strong))
    rests = {"t_end": 9.0, "message": "rests: rex: rest for 21 s (limit 20 s)"}
    events.add(StreamEvent("alert", "rex", rests))
    assert events.add(StreamEvent("stats", "", {})) is None
    assert [event["text"] for event in events.latest] == [
        "gap of 5.50 s: no samples",
        "mean of acc_x is 2.5 training sigmas, usually 0.1 (change test): look",
        "rate is 80\u00a0% of nominal, usually 100\u00a0% (change test): look",
        "gravity is 150\u00a0% of 1 g, usually 100\u00a0% (change test): look",
        "rests: rest for 21 s (limit 20 s)",
    ]
    for _ in range(2 * MAX_EVENTS):
        events.add(Gap("rex", "clock", None, 1.0))
    assert len(events.latest) == MAX_EVENTS
