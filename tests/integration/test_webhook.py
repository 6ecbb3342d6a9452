"""A webhook gets every record once it is there, and its address stands in no output."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.sinks import open_sink
from fsq_edge_runtime.sinks.opening import redacted
from tests.factories.bundles import motion, random_bundle
from tests.factories.live import eventually, free_port
from tests.factories.receivers import Receiver
from tests.factories.records import decision

SECRET = "T0/B0/hunter2"  # noqa: S105 - that it is one is the point


def test_every_record_is_one_post_and_a_retry_has_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSQ_EDGE_WEBHOOK_TOKEN", "t0ken")
    receiver = Receiver([(503, {"Retry-After": "0"}), (500, {}), (204, {})])
    sink = open_sink(f"webhook:http://127.0.0.1:{receiver.port}/{SECRET}?a=b")
    for number in range(3):
        sink.write(decision(number))
    eventually(lambda: sink.counters["records"] == 3, "all records")
    sink.close()
    receiver.close()
    assert [body["seq"] for body in receiver.bodies()] == [0, 0, 0, 1, 2]
    keys = [headers["Idempotency-Key"] for _, headers, _ in receiver.requests]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert {path for path, _, _ in receiver.requests} == {f"/{SECRET}?a=b"}
    assert receiver.requests[0][1]["Authorization"] == "Bearer t0ken"
    assert receiver.requests[0][1]["Content-Type"] == "application/json"


def test_records_wait_for_a_receiver_that_starts_late_and_restarts() -> None:
    port = free_port()
    sink = open_sink(f"webhook:http://127.0.0.1:{port}/x")
    sink.write(decision(0))
    eventually(lambda: sink.counters["retries"], "nobody is there")
    first = Receiver(port=port)
    eventually(lambda: sink.counters["records"] == 1, "the first record")
    first.close()
    second = Receiver(port=port)
    for number in range(1, 4):
        sink.write(decision(number))
    eventually(lambda: sink.counters["records"] == 4, "the others")
    sink.close()
    second.close()
    # What was under way when the first went may come twice; none is missing.
    assert {body["seq"] for body in first.bodies() + second.bodies()} == {0, 1, 2, 3}


def test_a_receiver_that_hangs_never_holds_up_the_writer() -> None:
    free = threading.Event()
    receiver = Receiver(before=lambda: free.wait(20))
    sink = open_sink(f"webhook:http://127.0.0.1:{receiver.port}/x")
    for number in range(12_000):  # all of them, while the first waits for its answer
        sink.write(decision(number))
    assert len(sink._queue) in (9_999, 10_000)  # the sink's thread may take the first one late
    sink.close()
    free.set()
    receiver.close()
    assert sink.counters["errors"] >= 11_999


def test_an_address_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver()
    with pytest.raises(UsageError, match="HOOK: that variable is not set"):
        open_sink("webhook:env:HOOK")
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{receiver.port}/{SECRET}")
    sink = open_sink("webhook:env:HOOK")
    sink.write(decision(0))
    eventually(lambda: sink.counters["records"], "the record")
    sink.close()
    receiver.close()


@pytest.mark.parametrize(
    "place",
    [f"ftp://h/{SECRET}", f"//h/{SECRET}", f"http://h:x/{SECRET}", f"http://me:hunter2@h/{SECRET}", f"http:///{SECRET}",
     f"http://a..b/{SECRET}", f"http://me@h/{SECRET}", f"http://h/{SECRET} x", f"http://h/{SECRET}\n", SECRET],
)  # fmt: skip
def test_a_bad_address_is_refused_without_its_secret(place: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_sink(f"webhook:{place}")
    assert "hunter2" not in caught.value.message + caught.value.hint
    assert "hunter2" not in redacted(f"webhook:{place}")


def test_run_delivers_a_replay_whole_and_says_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random_bundle().save(tmp_path / "dog.fsqb")
    np.savez(tmp_path / "walk.npz", samples=motion(1000))
    receiver = Receiver([(500, {}), (204, {})])
    base = ["run", str(tmp_path / "dog.fsqb"), "--source", f"npz:{tmp_path / 'walk.npz'}"]
    assert run([*base, "--sink", f"webhook:http://127.0.0.1:{receiver.port}/{SECRET}", "--json", "-"]) == 0
    receiver.close()
    bodies = receiver.bodies()[1:]  # the first was answered by an error
    assert [body["seq"] for body in bodies if body["type"] == "decision"] == list(range(19))
    assert bodies[-1]["type"] == "end"
    assert run([*base, "--sink", f"webhook:http://127.0.0.1:{receiver.port}x/{SECRET}"]) == 64
    said = capsys.readouterr()
    assert "hunter2" not in said.out + said.err
