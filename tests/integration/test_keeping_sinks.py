"""Sinks that only keep a record when it is written: nothing is lost, the order stays, and what waits is bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fsq_edge_runtime.monitor.about import About
from fsq_edge_runtime.monitor.feed import MAX_RECORDS, Feed
from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.sinks.base import CallbackSink
from fsq_edge_runtime.sinks.prometheus import MetricsSink
from fsq_edge_runtime.sources.base import Chunk
from fsq_edge_runtime.sources.iterable import IterableSource
from fsq_edge_runtime.stream.records import RELIEF, Decision, Record, StreamEvent
from tests.factories.bundles import motion, random_bundle
from tests.factories.streams import batched

pytest.importorskip("prometheus_client", reason="the metrics extra is not installed")
WINDOWS = 700


class FeedSink:
    """What the page keeps, without its server."""

    def __init__(self, feed: Feed) -> None:
        self.name, self.feed = "http", feed
        self.keep, self.keep_all, self.relieve = feed.keep, feed.keep_all, feed.relieve

    def write(self, record: Record) -> None:
        raise AssertionError("the runner keeps and relieves")

    @property
    def counters(self) -> dict[str, int]:
        return self.feed.counters

    def close(self) -> None:
        """Nothing is held."""


def values(sink: MetricsSink) -> dict[str, float]:
    """Return what is served, added up over labels; a histogram by its count."""
    found: dict[str, float] = {}
    for family in sink.collect():
        for sample in family.samples:
            if not sample.name.endswith(("_bucket", "_sum")):
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


@pytest.fixture
def run() -> Iterator[tuple[list[Record], MetricsSink, Feed, list[dict[str, float]]]]:
    """Return the records of a run, its metrics, its page's feed and what was scraped meanwhile."""
    records: list[Record] = []
    scraped: list[dict[str, float]] = []
    samples = np.concatenate([motion(350, seed=seed) for seed in range(WINDOWS * 50 // 350 + 1)])
    with random_bundle().open_session("onnx", deadline_ms=0.0) as session:
        session.watch_drift()
        feed = Feed(About.of(session))
        source = IterableSource([samples[at : at + 50] for at in range(0, len(samples), 50)])
        runner = Runner(session, [source], [CallbackSink(records.append), FeedSink(feed)])
        metrics = MetricsSink("127.0.0.1", 0, runner.health)
        runner.attach(metrics)
        done = threading.Event()

        def look_on() -> None:
            while not done.wait(0.002):
                scraped.append(values(metrics))
                feed.collate()

        thread = threading.Thread(target=look_on)
        thread.start()
        try:
            runner.run(threading.Event())
        finally:
            done.set()
            thread.join(10)
            metrics.close()
        yield records, metrics, feed, scraped


def test_every_record_is_counted_once_while_others_read(run: Any) -> None:
    records, metrics, feed, scraped = run
    decided = sum(isinstance(record, Decision) and record.label is not None for record in records)
    final = values(metrics)
    assert decided > WINDOWS - 10
    assert metrics.counters == {"records": len(records)}
    assert feed.counters == {"records": len(records), "dropped": 0, "viewers": 0}
    for name in ("fsq_edge_labels_total", "fsq_edge_decision_seconds_count", "fsq_edge_confidence_count"):
        assert final[name] == decided
    assert final["fsq_edge_last_window_timestamp_seconds"] > 0
    for name in ("fsq_edge_labels_total", "fsq_edge_sink_total", "fsq_edge_confidence_count"):
        course = [one.get(name, 0.0) for one in scraped]
        assert course == sorted(course), f"{name} goes back, which Prometheus takes for a restart"


def test_the_page_has_every_window_in_order(run: Any) -> None:
    records, _, feed, _ = run
    feed.collate()
    past = feed.find(0)
    assert past is not None
    ends = [record.t_end for record in records if isinstance(record, Decision)]
    assert past.view(None, 1e9, 10)["rows"]["t"][-len(ends) :] == pytest.approx(ends)


def test_a_runner_relieves_sinks_so_that_no_more_than_their_bound_waits() -> None:
    calls: list[int] = []
    feed = Feed(About())

    class Counting(FeedSink):
        def __init__(self) -> None:
            super().__init__(feed)
            self.relieve = lambda: calls.append(len(records))

    records: list[Record] = []
    with random_bundle().open_session("onnx", deadline_ms=0.0) as session:
        source = IterableSource([motion(50, seed=seed) for seed in range(200)])
        Runner(session, [source], [CallbackSink(records.append), Counting()]).run(threading.Event())
    assert calls == list(range(RELIEF, len(records) + 1, RELIEF))


def test_whoever_takes_the_place_of_on_record_sees_streams_pushed_together_and_then_the_runner_again() -> None:
    together: list[Record] = []
    each: list[Record] = []
    seen: list[Record] = []
    chunks = [{f"s{number}": motion(50, seed=number) for number in range(10)} for _ in range(6)]
    with random_bundle().open_session("onnx", deadline_ms=0.0) as session:
        session.report_to(each.append, together.extend)
        session.push_many(chunks[0])
        session.push_many(chunks[1])
        handed_on = session.on_record
        session.on_record = seen.append
        session.push_many(chunks[2])
        session.on_record = handed_on
        session.push_many(chunks[3])
    assert (len(together), len(seen), len(each)) == (20, 10, 0)


@pytest.mark.parametrize("error", [BrokenPipeError, ValueError])
@pytest.mark.parametrize("drift", [False, True])
def test_a_sink_that_fails_among_windows_of_many_streams_takes_none_from_the_others(
    error: type[Exception], drift: bool
) -> None:
    first: list[Record] = []
    last: list[Record] = []
    feed = Feed(About())
    streams, samples = 90, motion(400)

    def fail(record: Record) -> None:
        if len(first) > 3 * streams + 5:
            raise error("gone")

    with batched(random_bundle()).open_session("onnx", deadline_ms=0.0) as session:
        if drift:
            session.watch_drift()
        now = time.monotonic_ns()
        rounds = [(number, samples[at : at + 50]) for at in range(0, 400, 50) for number in range(streams)]
        source = IterableSource([Chunk(f"dog {number}", part, None, now) for number, part in rounds], live=True)
        sinks = [CallbackSink(first.append), CallbackSink(fail), FeedSink(feed), CallbackSink(last.append)]
        with pytest.raises(error, match="gone"):
            Runner(session, [source], sinks).run(threading.Event())
        decided = session.totals.decided
    assert decided > 3 * streams
    assert last == first
    assert list(feed._records) == first
    assert sum(isinstance(record, Decision) for record in first) == decided
    assert getattr(first[-1], "kind", "") == "end"


def test_a_page_that_nobody_reads_counts_what_it_drops_however_records_come() -> None:
    feed, written = Feed(About()), 0
    draw = np.random.default_rng(0)
    with random_bundle().open_session("onnx") as session:
        runner = Runner(session, [IterableSource([])], [FeedSink(feed)])
        record = StreamEvent("stats", "", {})
        while written < MAX_RECORDS + 2000:
            together = int(draw.integers(1, RELIEF + 1))
            runner._emit(record)
            runner._emit_all([record] * together)
            written += 1 + together
    assert feed.counters["records"] == written
    assert feed.dropped + RELIEF >= 2000
