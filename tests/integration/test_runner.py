"""Sources, a session and sinks together: nothing blocks sensing, everything is bounded, counted and drained."""

from __future__ import annotations

import csv
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fsq_edge_runtime.backends import Missed, OnnxBackend
from fsq_edge_runtime.errors import BackendError, DataError, UsageError
from fsq_edge_runtime.runner import ChunkQueue, Runner
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.sinks import open_sink
from fsq_edge_runtime.sinks.base import CallbackSink
from fsq_edge_runtime.sinks.files import CsvSink, JsonlSink, Output
from fsq_edge_runtime.sinks.queued import QueuedSink
from fsq_edge_runtime.sources.base import Chunk
from fsq_edge_runtime.sources.iterable import IterableSource
from fsq_edge_runtime.stream.records import Decision, StreamEvent
from tests.factories.bundles import motion, random_bundle
from tests.factories.live import eventually
from tests.factories.streams import lines


def chunk(stream: str, samples: np.ndarray, times: np.ndarray | None = None) -> Chunk:
    return Chunk(stream, samples, times, time.monotonic_ns())


def gateway_chunks(streams: int = 5, n: int = 400) -> list[Chunk]:
    rows = [motion(n, seed=one) for one in range(streams)]
    return [
        chunk(f"dog-{one}", rows[one][at : at + 20], np.arange(at, at + 20) / 50)
        for at in range(0, n, 20)
        for one in range(streams)
    ]


def ran(sources, **options):
    """Run to the end; return the records and the facts."""
    records: list = []
    live = any(source.live for source in sources)
    with random_bundle().open_session(backend="onnx", deadline_ms=0.0) as session:
        facts = Runner(session, sources, [CallbackSink(records.append)], **options).run(threading.Event())
    return records, facts, live


def test_a_live_run_and_a_replay_give_the_same_decisions() -> None:
    found = {}
    for live in (False, True):
        records, facts, _ = ran([IterableSource(gateway_chunks(), live=live)])
        assert facts["windows"] == facts["decided"] == 5 * 7
        assert facts["received"] == facts["accepted"] == 5 * 400
        assert lines(records)[-1]["type"] == "end"
        by_stream: dict = {}
        for line in lines(records)[:-1]:
            by_stream.setdefault(line["stream"], []).append(line)
        found[live] = by_stream
    assert found[False] == found[True]


def test_several_sources_without_ids_get_their_own_streams() -> None:
    records, facts, _ = ran([IterableSource([motion(200, seed=one)], live=True) for one in range(3)])
    assert facts["streams"] == 3
    assert {line["stream"] for line in lines(records)[:-1]} == {"0", "1", "2"}
    with random_bundle().open_session(backend="onnx") as session, pytest.raises(UsageError, match="paced"):
        Runner(session, [IterableSource([]), IterableSource([], live=True)], [])


def test_a_stream_too_many_closes_the_one_that_was_silent_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("runner", "session"):
        monkeypatch.setattr(f"fsq_edge_runtime.{module}.MAX_STREAMS", 3)
    order = ["a", "b", "c", "a", "d", "e", "a"]
    chunks = [chunk(name, motion(100, seed=number)) for number, name in enumerate(order)]
    records, facts, _ = ran([IterableSource(chunks)])
    assert (facts["streams"], facts["forgotten"]) == (3, 2)
    assert facts["received"] == 700  # counters do not go back
    assert facts["windows"] == 4 + 5  # a kept its place: windows at 100, 150, 200, 250 and 300 samples
    assert [line["seq"] for line in lines(records)[:-1] if line["stream"] == "a"] == [0, 1, 2, 3, 4]
    records, facts, _ = ran([IterableSource([chunk(str(at), motion(100)) for at in range(20)], live=True)])
    assert facts["decided"] == 20


def test_the_queue_between_sources_and_engine_is_bounded_and_the_newest_wins() -> None:
    queue = ChunkQueue(limit=25)  # thirty samples that come together take the place of eight that come alone
    for number in range(10):
        queue.put(chunk("dog", np.full((30, 6), number, np.float32)))
    lost, chunks = queue.take(0.0)
    assert lost == {"dog": 210}
    assert [int(one.samples[0, 0]) for one in chunks] == [7, 8, 9]
    assert queue.take(0.0) == ({}, [])
    queue.put(chunk("dog", np.zeros((500, 6), np.float32)))  # the newest is kept however large
    assert [len(one.samples) for one in queue.take(0.0)[1]] == [500]


def test_the_queue_lets_young_chunks_wait_for_others_and_old_ones_not(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, slept = ChunkQueue(), []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        queue.put(chunk("cat", np.zeros((1, 6), np.float32)))

    monkeypatch.setattr("fsq_edge_runtime.runner.time.sleep", sleep)
    for arrived_ns, least, most in ((time.monotonic_ns(), 0.0, 60.0), (0, 0.0, 0.0), (2**62, 60.0, 60.0)):
        queue.put(chunk("dog", np.zeros((1, 6), np.float32))._replace(arrived_ns=arrived_ns))
        assert [one.stream for one in queue.take(0.0, 60.0)[1]] == ["dog", "cat"]
        assert least <= slept[-1] <= most
    assert slept[0] > 0, "the first was young"
    assert queue.take(0.0, 60.0) == ({}, []), "nothing waits where nothing is there"
    assert len(slept) == 3


def test_the_queue_gives_fewer_samples_than_are_wanted_only_when_the_time_is_up() -> None:
    queue, one = ChunkQueue(), chunk("dog", np.zeros((1, 6), np.float32))
    queue.want(3)
    for _ in range(2):
        queue.put(one)
    begun = time.monotonic()
    assert len(queue.take(0.05)[1]) == 2
    assert time.monotonic() - begun >= 0.05
    for _ in range(3):
        queue.put(one)
    assert len(queue.take(60.0)[1]) == 3
    queue.put(one)
    queue.want(1)
    assert len(queue.take(60.0)[1]) == 1, "what is wanted became less"
    queue.want(100)
    queue.put(chunk("dog", np.zeros((0, 6), np.float32))._replace(taught="walk"))
    assert len(queue.take(60.0)[1]) == 1, "a lesson does not wait"
    assert queue.take(0.0) == ({}, [])


@pytest.mark.parametrize(("deadline_ms", "holds"), [(0.0, True), (None, True), (60.0, False)])
def test_single_samples_wake_the_engine_when_a_window_is_due(deadline_ms, holds, monkeypatch) -> None:
    rows, taken, records, take = motion(400), [], [], ChunkQueue.take

    def counted(queue, *times):
        found = take(queue, *times)
        taken.append(len(found[1]))
        return found

    def sensor():
        for row in rows:
            time.sleep(0.002)
            yield row[None]
            if holds:
                eventually(lambda: runner._queue.waiting < runner._queue._wanted, "the engine took what woke it")

    monkeypatch.setattr(ChunkQueue, "take", counted)
    with random_bundle().open_session("onnx", deadline_ms=deadline_ms) as session:
        expected = [record.code for record in random_bundle().open_session("onnx", deadline_ms=0.0).push(rows)]
        runner = Runner(session, [IterableSource(sensor(), live=True)], [CallbackSink(records.append)])
        runner.run(threading.Event())
    decisions = [one for one in records if isinstance(one, Decision)]
    assert len(decisions) == len(expected)
    # A busy machine may keep no deadline of 60 ms.
    assert [one.code for one in decisions] == [
        None if one.missed and deadline_ms == 60.0 else code for one, code in zip(decisions, expected, strict=True)
    ]
    assert sum(taken) == len(rows)
    assert (runner._queue._wanted > 1) is holds
    if holds:
        assert sum(map(bool, taken)) < len(rows) / 4
        assert taken.count(1) > 1, "the last sample of a window comes alone"


@pytest.mark.parametrize(
    ("asked_s", "deadline_ms", "waits_s"), [(0.02, None, 0.02), (9.0, None, 0.5), (9.0, 80.0, 0.04), (9.0, 0.0, 9.0)]
)
def test_samples_wait_at_most_half_the_deadline(asked_s: float, deadline_ms: float | None, waits_s: float) -> None:
    with random_bundle().open_session("onnx", deadline_ms=deadline_ms) as session:
        runner = Runner(session, [IterableSource([], live=True)], [], max_wait_s=asked_s)
        assert runner._gather_s == pytest.approx(waits_s)


def test_waiting_changes_no_answer() -> None:
    found = []
    for wait_s in (0.0, 0.05):
        records, _, _ = ran([IterableSource(gateway_chunks(), live=True)], max_wait_s=wait_s)
        found.append([(one.stream, one.seq, one.label, one.code) for one in records if isinstance(one, Decision)])
    assert sorted(found[0]) == sorted(found[1])
    assert len(found[0]) == 5 * 7


def test_a_slow_engine_loses_the_oldest_and_says_so() -> None:
    bundle = random_bundle()
    opened = threading.Event()

    class Stalls(OnnxBackend):
        def infer(self, frame):
            begun.set()
            opened.wait(20)
            return super().infer(frame)

    rows, begun = motion(3000), threading.Event()

    def chunks():
        yield rows[:150]
        begun.wait(20)
        for at in range(150, 3000, 50):
            yield rows[at : at + 50]
        opened.set()  # the sensor was never held up, though the engine stood still

    records: list = []
    session = Session(bundle, Stalls(bundle.read("encoder")), deadline_ms=0.0)
    runner = Runner(session, [IterableSource(chunks(), live=True)], [CallbackSink(records.append)])
    runner._queue = ChunkQueue(400)
    facts = runner.run(threading.Event())
    assert facts["overrun"] > 1000
    assert facts["received"] == 3000 == facts["accepted"] + facts["overrun"]
    assert any(line["type"] == "gap" and line["cause"] == "overrun" for line in lines(records))
    windows = [line["seq"] for line in lines(records) if line["type"] == "decision"]
    assert windows == list(range(len(windows)))


def test_what_was_read_before_the_stop_is_drained() -> None:
    stop = threading.Event()

    def chunks():
        for at in range(0, 3000, 50):
            yield motion(3000)[at : at + 50]
            if at == 2950:
                stop.set()

    with random_bundle().open_session(backend="onnx", deadline_ms=0.0) as session:
        facts = Runner(session, [IterableSource(chunks(), live=True)], []).run(stop)
    assert facts["received"] == facts["accepted"] == 3000
    assert facts["decided"] == (3000 - 100) // 50 + 1


def test_a_slow_sink_never_blocks_and_its_drops_are_counted() -> None:
    class Hangs:
        name = "hangs"

        def __init__(self) -> None:
            self.counters = {"records": 0}
            self.free = threading.Event()
            self.closed = False

        def write(self, record) -> None:
            self.free.wait(20)
            self.counters["records"] += 1

        def close(self) -> None:
            self.closed = True

    slow = Hangs()
    sink = QueuedSink(slow, limit=50)
    for number in range(1000):
        sink.write(StreamEvent("stats", "", {"n": number}))
    assert sink.counters["dropped"] >= 949
    slow.free.set()
    sink.close()
    eventually(lambda: slow.closed, "the slow sink is closed")
    assert sink.counters["records"] + sink.counters["dropped"] == 1000


def test_a_queued_sink_counts_errors_and_gives_up_on_a_closed_pipe(caplog: pytest.LogCaptureFixture) -> None:
    class Full(CallbackSink):
        def __init__(self, error: OSError) -> None:
            super().__init__(lambda record: None, "full")
            self._error = error

        def write(self, record) -> None:
            raise self._error

    disk = QueuedSink(Full(OSError(28, "No space left on device")))
    for _ in range(3):
        disk.write(StreamEvent("stats"))
    eventually(lambda: disk.counters["errors"] == 3, "three errors")
    disk.close()
    pipe = QueuedSink(Full(BrokenPipeError()))
    pipe.write(StreamEvent("stats"))
    eventually(lambda: pipe.error, "the broken pipe")
    with pytest.raises(BrokenPipeError):
        pipe.write(StreamEvent("stats"))
    pipe.close()
    said = "warning: full: No space left on device; records are lost until it can be written"
    assert caplog.messages == [said], "while the run lasts, and once"


def test_a_run_that_fails_still_ends_with_its_counters() -> None:
    bundle = random_bundle()

    class Dies(OnnxBackend):
        def infer(self, frame):
            raise BackendError("the device is gone")

    for live in (False, True):
        records: list = []
        session = Session(bundle, Dies(bundle.read("encoder")))
        runner = Runner(session, [IterableSource([motion(300)], live=live)], [CallbackSink(records.append)])
        with pytest.raises(BackendError, match="gone"):
            runner.run(threading.Event())
        assert lines(records)[-1]["type"] == "end"

    def bad():
        yield motion(200)
        yield np.zeros((10, 5), np.float32)

    for live in (False, True):
        records = []
        session = Session(bundle, OnnxBackend(bundle.read("encoder")))
        runner = Runner(session, [IterableSource(bad(), live=live)], [CallbackSink(records.append)])
        with pytest.raises(DataError, match="5 channels"):
            runner.run(threading.Event())
        assert lines(records)[-1]["type"] == "end"
        assert lines(records)[-1]["decided"] >= 1


def test_missed_windows_are_records_and_the_run_goes_on() -> None:
    bundle = random_bundle()

    class Stumbles(OnnxBackend):
        calls = 0

        def infer(self, frame):
            self.calls += 1
            if self.calls % 3 == 0:
                raise Missed("backend", "it stumbled")
            return super().infer(frame)

    records: list = []
    session = Session(bundle, Stumbles(bundle.read("encoder")), deadline_ms=0.0)
    facts = Runner(session, [IterableSource([motion(650)])], [CallbackSink(records.append)]).run(threading.Event())
    assert (facts["windows"], facts["missed"], facts["decided"]) == (12, 4, 8)
    assert [line["seq"] for line in lines(records)[:-1]] == list(range(12))


def test_stats_and_heartbeat_while_live() -> None:
    beats: list = []
    records: list = []
    stop = threading.Event()

    def chunks():
        for at in range(0, 5000, 10):
            if stop.is_set():
                return
            yield motion(10, seed=at)
            time.sleep(0.01)

    with random_bundle().open_session(backend="onnx", deadline_ms=0.0) as session:
        runner = Runner(session, [IterableSource(chunks(), live=True)], [CallbackSink(records.append)],
                        stats_s=0.05, heartbeat=lambda: beats.append(1))  # fmt: skip
        thread = threading.Thread(target=runner.run, args=(stop,))
        thread.start()
        eventually(lambda: sum(line["type"] == "stats" for line in lines(records)) >= 2, "two stats")
        stop.set()
        thread.join()
    assert beats
    assert lines(records)[-1]["type"] == "end"


def test_files_get_whole_lines_and_events_stay_out_of_csv(tmp_path: Path) -> None:
    records, _, _ = ran([IterableSource([motion(300), (motion(200), np.arange(200) / 50 + 100)])])
    jsonl = JsonlSink(Output(tmp_path / "out.jsonl"), latency=False, scores=True)
    table = CsvSink(Output(tmp_path / "out.csv"))
    for sink in (jsonl, table):
        for record in records:
            sink.write(record)
        sink.close()
        sink.close()
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(found) == len(records)
    assert all(abs(sum(line["probabilities"]) - 1) < 1e-5 for line in found if line["type"] == "decision")
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert len(rows) == 1 + sum(line["type"] in ("decision", "missed") for line in found)
    assert rows[0].startswith("type,seq,stream,t_start")
    several = CsvSink(Output(tmp_path / "labels.csv"))
    for record in records:
        several.write(record._replace(labels=("a", "b")) if isinstance(record, Decision) else record)
    several.close()
    cells = list(csv.DictReader((tmp_path / "labels.csv").read_text(encoding="utf-8").splitlines()))
    assert len(cells) == len(rows) - 1
    assert {row["labels"] for row in cells if row["label"]} == {"a b"}
    again = open_sink(f"jsonl:{tmp_path / 'out.jsonl'}?append", queued=False)
    again.write(records[0])
    again.close()
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == len(records) + 1


@pytest.mark.parametrize("text", ["jsonl:", "jsonl:x?zip", "tsv:x", "http:host", "http:h:99999", "mqtt://h"])
def test_a_sink_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_sink(text)
    assert caught.value.hint
