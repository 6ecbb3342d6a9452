"""``fsq-edge run`` with a device that fails: exit codes, causes, and a record for every window."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge_runtime.backends.fallback import FallbackBackend
from fsq_edge_runtime.backends.fallback_policy import FallbackPolicy
from fsq_edge_runtime.backends.selection import open_backend
from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.sinks.prometheus import MetricsSink
from fsq_edge_runtime.sources.iterable import IterableSource
from fsq_edge_runtime.testing import Fault, FaultScript, fake_hailo_platform, installed
from tests.factories.bundles import motion
from tests.factories.hailo_rig import answered, make_rig
from tests.factories.live import eventually

WINDOWS = 40
Outcome = tuple[int, list[dict[str, Any]], str]


@pytest.fixture
def stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a bundle on the fake; return the exit code, the records and what was said."""

    def go(rig: Any, choice: str) -> Outcome:
        rig.bundle.save(tmp_path / "dog.fsqb")
        header = ",".join(channel.name for channel in rig.bundle.preprocess.channels)
        samples = motion(50 * WINDOWS + 50)
        np.savetxt(tmp_path / "in.csv", samples, delimiter=",", header=header, comments="")
        out = tmp_path / "out.jsonl"
        arguments = ["run", str(tmp_path / "dog.fsqb"), "--source", f"csv:{tmp_path / 'in.csv'}", "--backend", choice]
        with installed(rig.fake):
            code = run([*arguments, "--sink", f"jsonl:{out}"])
        rig.fake.chip.check()
        records = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
        return code, records, capsys.readouterr().err

    return go


def kinds(records: list[dict[str, Any]], *wanted: str) -> list[dict[str, Any]]:
    return [record for record in records if record["type"] in wanted]


@pytest.mark.parametrize("generation", [4, 5])
def test_auto_goes_on_when_the_device_is_lost(stream: Callable[..., Outcome], generation: int) -> None:
    rig = make_rig(generation, faults=FaultScript({25: Fault("lost", status=96, reopens=9)}))
    code, records, _ = stream(rig, "auto")
    assert code == 0
    assert [record["seq"] for record in kinds(records, "decision", "missed")] == list(range(WINDOWS))
    served = [record["backend"] for record in kinds(records, "decision")]
    assert (served[0], served[-1]) == ("hailo-fake", "onnx")
    begun, lost = kinds(records, "backend")[:2]
    assert begun["to"] == "hailo-fake"
    assert (lost["from"], lost["to"], lost["code"]) == ("hailo-fake", "onnx", 96)
    assert "HAILO_DEVICE_NOT_CONNECTED" in lost["cause"]
    device = records[-1]["device"]
    assert device["serving"] == "onnx"
    assert device["switches"] == 1
    assert 0 < device["on_device"] < WINDOWS


def test_hailo_ends_with_the_cause_when_the_device_fails_under_way(stream: Callable[..., Outcome]) -> None:
    code, records, said = stream(make_rig(4, faults=FaultScript({25: Fault("fail", status=63)})), "hailo")
    assert code == 69
    assert "63 HAILO_STREAM_ABORT" in said
    assert "hint: " in said
    assert "Traceback" not in said
    *decisions, lost = kinds(records, "decision", "missed")
    assert 0 < len(decisions) < WINDOWS
    assert {(record["type"], record["backend"]) for record in decisions} == {("decision", "hailo-fake")}
    assert (lost["type"], lost["seq"]) == ("missed", len(decisions)), "the window that it failed on is told of"
    end = records[-1]
    assert end["type"] == "end"
    assert end["decided"] + end["missed"] == end["windows"]


@pytest.mark.parametrize("status", [16, 36, 73, 74, 76, 87, 97])
def test_a_refused_device_is_69_with_cause_and_fix_or_the_cpu(stream: Callable[..., Outcome], status: int) -> None:
    code, records, said = stream(make_rig(4, faults=FaultScript(opens=[status])), "hailo")
    assert (code, records) == (69, [])
    assert f"HailoRT status {status} " in said
    assert "hint: " in said
    code, records, _ = stream(make_rig(4, faults=FaultScript(opens=[status] * 99)), "auto")
    assert code == 0
    assert f"HailoRT status {status} " in records[0]["cause"]
    assert {record["backend"] for record in kinds(records, "decision")} == {"onnx"}


def test_a_hef_for_another_device_and_no_device_at_all(stream: Callable[..., Outcome]) -> None:
    other = make_rig(4, architectures=["hailo8"], devices=["hailo8l"])
    code, _, said = stream(other, "hailo")
    assert code == 69
    assert "hailo8, the device is hailo8l" in said
    assert "add-hef" in said
    nothing = make_rig(5)
    nothing.fake = fake_hailo_platform(5, devices=())
    code, _, said = stream(nothing, "hailo")
    assert code == 69
    assert "74 HAILO_OUT_OF_PHYSICAL_DEVICES" in said


def test_temperature_and_switches_are_in_the_facts_and_the_metrics() -> None:
    pytest.importorskip("prometheus_client", reason="the metrics extra is not installed")
    rig = make_rig(4, faults=FaultScript({25: Fault("fail", status=62)}, temperature_c=61.0))
    policy = FallbackPolicy(deadline_s=5.0, poll_s=0.001, first_retry_s=60.0)
    backend = open_backend(rig.bundle, "auto", binding=rig.fake, policy=policy)
    assert isinstance(backend, FallbackBackend)
    session = Session(rig.bundle, backend)
    samples = motion(50 * 20 + 50)

    def paced() -> Any:
        for at in range(0, len(samples), 50):
            eventually(lambda: answered(backend), "the answer, from another thread, to what was asked")
            yield samples[at : at + 50]

    runner = Runner(session, [IterableSource(paced())], [])
    sink = MetricsSink("127.0.0.1", 0, runner.facts)
    runner.attach(sink)
    try:
        facts = runner.run(threading.Event())
        text = urllib.request.urlopen(f"http://127.0.0.1:{sink.port}/metrics", timeout=10).read().decode()
    finally:
        sink.close()
        session.close()
    assert facts["device"]["temperature_c"] == 61.0
    assert facts["device"]["switches"] == 1
    assert "fsq_edge_device_temperature_celsius 61.0" in text
    assert 'fsq_edge_device_total{kind="switches"} 1.0' in text


def test_the_device_alone_says_how_hot_it_is() -> None:
    rig = make_rig(5, faults=FaultScript(temperature_c=66.0))
    backend = open_backend(rig.bundle, "hailo", binding=rig.fake)
    until = time.monotonic() + 10
    while (state := backend.state())["temperature_c"] is None and time.monotonic() < until:  # type: ignore[attr-defined]
        time.sleep(0.002)
    assert state == {"temperature_c": 66.0, "serving": "hailo-fake"}
    backend.close()
