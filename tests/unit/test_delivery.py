"""Delivery to a receiver that is slow, away, full or choosy: the stream never waits, and memory is bounded."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from fsq_edge_runtime.sinks import delivery
from fsq_edge_runtime.sinks.delivery import BusyError, DeliverySink, RefusedError
from fsq_edge_runtime.stream.records import Record, StreamEvent
from tests.factories.live import eventually


def event(number: int) -> StreamEvent:
    return StreamEvent("stats", "", {"n": number})


def render(record: Record, arrived_ns: int) -> str | None:
    return str(record.to_dict()["n"]) if record.kind == "stats" else None


class Far:
    """A receiver that raises what it is given, one after the other, and then takes everything."""

    def __init__(self, *troubles: Exception) -> None:
        self.troubles, self.taken, self.asked = list(troubles), [], 0

    def __call__(self, batch: Sequence[str]) -> None:
        self.asked += 1
        if self.troubles:
            raise self.troubles.pop(0)
        self.taken.append(list(batch))

    def items(self) -> list[int]:
        return [int(item) for batch in self.taken for item in batch]


def test_records_arrive_in_order_in_batches_and_once() -> None:
    far = Far(ConnectionRefusedError("away"), BusyError(0.01))
    sink = DeliverySink("far", render, far, batch=4)
    for number in range(10):
        sink.write(event(number))
    eventually(lambda: sink.counters["records"] == 10, "all records")
    sink.close()
    assert far.items() == list(range(10))
    assert max(map(len, far.taken)) <= 4
    assert sink.counters == {"records": 10, "dropped": 0, "refused": 0, "retries": 2, "errors": 0}
    assert sink.error is None


def test_while_nobody_takes_anything_the_newest_win_and_nothing_waits() -> None:
    free = threading.Event()
    sink = DeliverySink("far", render, lambda batch: free.wait(20), limit=10)  # hangs: this thread goes on
    sink.write(event(0))
    eventually(lambda: sink._under_way, "the first batch is under way")
    for number in range(1, 1000):
        sink.write(event(number))
    assert [record.facts["n"] for record, _ in sink._queue] == list(range(990, 1000))
    assert sink.counters["dropped"] == 989
    sink.close()
    free.set()
    assert sink.counters["errors"] == 1000
    assert sink.error is not None


def test_a_batch_that_is_refused_is_given_up_and_the_others_arrive() -> None:
    far = Far(RefusedError("400"))
    sink = DeliverySink("far", render, far)
    for number in range(3):
        sink.write(event(number))
    eventually(lambda: sink.counters["records"] == 2, "the others")
    sink.close()
    assert far.items() == [1, 2]
    assert sink.counters["refused"] == sink.counters["errors"] == 1
    assert "400" in str(sink.error)


def test_a_record_that_cannot_be_written_down_costs_itself_alone() -> None:
    def strict(record: Record, arrived_ns: int) -> str:
        if record.facts["n"] == 1:
            raise ValueError("Out of range float values are not JSON compliant")
        return str(record.facts["n"])

    far = Far()
    sink = DeliverySink("far", strict, far, batch=10)
    for number in range(3):
        sink.write(event(number))
    eventually(lambda: sink.counters["records"] == 2, "the others")
    sink.close()
    assert far.items() == [0, 2]
    assert sink.counters["refused"] == 1


def test_a_batch_that_a_receiver_chokes_on_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "MAX_TRIES", 3)
    monkeypatch.setattr(delivery, "LONGEST_WAIT_S", 0.01)
    far = Far(*[BusyError(0.001)] * 3)
    sink = DeliverySink("far", render, far)
    sink.write(event(0))
    sink.write(event(1))
    eventually(lambda: far.items() == [1], "the next record")
    sink.close()
    assert sink.counters["dropped"] == 1


def test_a_replay_waits_and_loses_nothing() -> None:
    far = Far(ConnectionResetError("away"))
    sink = DeliverySink("far", render, far, limit=3, live=False)
    for number in range(50):
        sink.write(event(number))
    sink.write(StreamEvent("end"))  # waits for the rest
    assert far.items() == list(range(50))
    sink.close()
    assert sink.counters["errors"] == 0


def test_a_replay_gives_up_a_receiver_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "PATIENCE_S", 0.2)
    sink = DeliverySink("far", render, Far(*[ConnectionRefusedError(111, "away")] * 100), limit=1, live=False)
    sink.write(event(0))
    eventually(lambda: sink._under_way, "the first record is under way")
    sink.write(event(1))
    with pytest.raises(OSError, match="away"):
        sink.write(event(2))
    sink.close()
    assert sink.counters["records"] == 0


def test_a_replay_that_is_stopped_no_longer_waits() -> None:
    stop = threading.Event()
    sink = DeliverySink("far", render, Far(*[OSError("away")] * 100), limit=1, live=False, stop=stop)
    stop.set()
    for number in range(5):
        sink.write(event(number))
    sink.close()
    assert sink.counters["errors"] == 5
