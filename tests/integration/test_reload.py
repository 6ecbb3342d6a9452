"""A bundle read again while its stream runs: no window is lost, and what does not fit is refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from fsq_edge.tuning.wearer_windows import windows_of
from fsq_edge_runtime.backends.onnx import OnnxBackend
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.personal.fitting import personalize
from fsq_edge_runtime.reloading import Reloader
from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.sinks import CallbackSink
from fsq_edge_runtime.sources.iterable import IterableSource
from fsq_edge_runtime.stream.records import Decision, StreamEvent
from tests.factories.bundles import motion, preprocess_config, random_bundle
from tests.factories.live import eventually
from tests.factories.wearers import OWN, knowing_bundle, movement, wearer_dataset

SAMPLES = 3000


def decisions_of(records: list) -> list:
    return [record for record in records if isinstance(record, Decision)]


def expected(bundle: Bundle) -> list[str | None]:
    with bundle.open_session("onnx", deadline_ms=0.0) as session:
        return [one.label for one in session.push(motion(SAMPLES))]


@pytest.mark.parametrize("live", [False, True])
def test_every_window_is_answered_by_the_old_network_or_the_new_one(live: bool) -> None:
    old, new = random_bundle(seed=0), random_bundle(seed=1)
    session = old.open_session("onnx", deadline_ms=0.0)
    reloader = Reloader(session, lambda backend: new.open_session("onnx", deadline_ms=0.0))
    records: list = []
    samples = motion(SAMPLES)

    def chunks():
        for at in range(0, SAMPLES, 10):
            if at == 1030:  # in the middle of a window
                reloader.request()
            yield samples[at : at + 10]
            if at >= 1030 and live:  # on a thread of its own
                eventually(lambda: reloader.session is not session, "the new session")
            elif at >= 1030 and reloader._opening is not None:
                eventually(lambda: reloader._ready, "the new session is open")

    source = IterableSource(chunks(), live=live)
    sink = CallbackSink(records.append)
    facts = Runner(session, [source], [sink], reloader=reloader).run(threading.Event())
    reloader.close()
    windows = decisions_of(records)
    assert [one.seq for one in windows] == list(range(len(windows)))
    assert len(windows) == (SAMPLES - 100) // 50 + 1 == facts["windows"]
    assert facts["received"] == facts["accepted"] == SAMPLES
    events = [record for record in records if isinstance(record, StreamEvent) and record.kind == "reload"]
    assert [event.facts["accepted"] for event in events] == [True]
    assert events[0].facts["manifest_sha256"] == new.manifest.digest()
    turn = len(decisions_of(records[: records.index(events[0])]))
    raw_old, raw_new = expected(old), expected(new)
    assert [one.label for one in windows[:turn]] == raw_old[:turn]
    assert [one.label for one in windows[turn:]] == raw_new[turn:]
    assert raw_old[turn:] != raw_new[turn:]
    assert 0 < turn < len(windows)
    assert reloader.session.bundle is new


def test_smoothing_goes_on_where_its_settings_are_the_same_and_starts_afresh_where_not() -> None:
    bundle = random_bundle(decision=DecisionSettings(smoothing_ms=3000.0))
    same, other = bundle, random_bundle(decision=DecisionSettings(smoothing_ms=5000.0))
    samples = motion(SAMPLES)
    for fresh, kept in ((same, True), (other, False)):
        first = bundle.open_session("onnx", deadline_ms=0.0)
        first.push(samples[:1500])
        chain = first._streams["0"].chain
        second = fresh.open_session("onnx", deadline_ms=0.0)
        second.continue_from(first)
        assert (second._streams["0"].chain is chain) == kept
        assert not first.counters
        assert second.totals.received == 1500
        first.close()
        second.close()


@pytest.mark.parametrize(
    ("fresh", "words"),
    [
        (lambda: random_bundle(classes=5), "list of classes"),
        (lambda: random_bundle(preprocess=preprocess_config(hop_samples=25)), "another hop: 25, it was 50"),
        (lambda: random_bundle(preprocess=preprocess_config(sample_rate_hz=100.0)), "another rate"),
    ],
)
def test_a_bundle_that_does_not_fit_is_refused_and_the_stream_goes_on(fresh, words: str) -> None:
    bundle = random_bundle()
    session = bundle.open_session("onnx", deadline_ms=0.0)
    reloader = Reloader(session, lambda backend: fresh().open_session("onnx", deadline_ms=0.0))
    session.push(motion(500))
    with pytest.raises(UsageError, match=words):
        fresh().open_session("onnx", deadline_ms=0.0).continue_from(session)
    event = reload(reloader)
    assert not event.facts["accepted"]
    assert words in event.facts["reason"]
    assert reloader.session is session
    assert len(session.push(motion(500))) == 10
    reloader.close()


def reload(reloader: Reloader, *, ask: bool = True) -> StreamEvent:
    if ask:
        reloader.request()
    found: list[StreamEvent] = []

    def stepped() -> bool:
        event = reloader.step()
        if event is not None:
            found.append(event)
        return bool(found)

    eventually(stepped, "the reload")
    return found[0]


def test_a_bundle_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    session = random_bundle().open_session("onnx")

    def fail(backend: str | None) -> Session:
        return Bundle.open(tmp_path / "none.fsqb").open_session("onnx")

    reloader = Reloader(session, fail)
    event = reload(reloader)
    assert not event.facts["accepted"]
    assert "none.fsqb" in event.facts["reason"]
    reloader.close()


def test_the_cpu_stands_in_while_a_device_changes_hands() -> None:
    class Device(OnnxBackend):
        closed = 0

        def __init__(self, encoder: bytes) -> None:
            super().__init__(encoder)
            self.name = "hailo"

        def close(self) -> None:
            Device.closed += 1
            super().close()

    bundle = random_bundle()
    asked: list[tuple[str | None, int]] = []

    def opened(backend: str | None) -> Session:
        asked.append((backend, Device.closed))
        made = OnnxBackend if backend == "onnx" else Device
        return Session(bundle, made(bundle.read("encoder")), deadline_ms=0.0)

    first = Session(bundle, Device(bundle.read("encoder")), deadline_ms=0.0)
    first.push(motion(120))
    reloader = Reloader(first, opened)
    assert reload(reloader).facts["backend"] == "onnx"
    assert reload(reloader, ask=False).facts["backend"] == "hailo"
    assert asked == [("onnx", 0), (None, 1)]  # the device was free before it was asked for
    assert reloader.step() is None
    assert reloader.session.totals.received == 120
    reloader.close()


def test_a_wearers_overlay_comes_with_the_new_session_and_goes_with_the_next() -> None:
    bundle = knowing_bundle()
    dataset = wearer_dataset(bundle)
    overlay = personalize(bundle, windows_of(bundle, dataset.recordings, dataset), "rex", method="head").overlay
    assert overlay is not None
    samples = movement(*OWN[1], 3000, 77, False)
    session = bundle.open_session("onnx", deadline_ms=0.0)
    given = [overlay, None]
    reloader = Reloader(session, lambda backend: bundle.open_session("onnx", deadline_ms=0.0, overlay=given.pop(0)))
    found: list[list[str | None]] = []
    for at in (0, 1000, 2000):
        found.append([one.raw_label for one in reloader.session.push(samples[at : at + 1000])])
        if at < 2000:
            assert reload(reloader).facts["accepted"]
    reloader.close()
    shares = [labels.count("trot") / len(labels) for labels in found]
    assert shares[0] < 0.3
    assert shares[1] > 0.8
    assert shares[2] < 0.3
    assert sum(map(len, found)) == (3000 - bundle.preprocess.window_samples) // bundle.preprocess.hop_samples + 1


def test_sighup_reloads_the_bundle_of_a_running_program(tmp_path: Path) -> None:
    for seed in (0, 1):
        random_bundle(seed=seed).save(tmp_path / f"{seed}.fsqb")
    link, log = tmp_path / "current", tmp_path / "log.jsonl"
    link.symlink_to("0.fsqb")
    program = [sys.executable, "-m", "fsq_edge", "run", str(link), "--source", "stdin:", "--pace", "realtime",
               "--reload", "--backend", "onnx", "--sink", f"jsonl:{log}"]  # fmt: skip
    rows = motion(1000)
    systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    systemd.bind(str(tmp_path / "notify"))
    systemd.settimeout(30)
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}

    def lines() -> list[dict]:
        text = log.read_text() if log.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def windows() -> list[dict]:
        return [one for one in lines() if one["type"] in ("decision", "missed")]

    streams = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with systemd, subprocess.Popen(program, **streams, text=True, env=environment) as process:
        assert process.stdin is not None

        def feed(begin: int, end: int) -> None:
            for row in rows[begin:end]:
                process.stdin.write(json.dumps({"x": [float(value) for value in row]}) + "\n")
            process.stdin.flush()

        feed(0, 430)
        eventually(lambda: process.poll() is not None or len(windows()) == 7, "seven")
        link.unlink()
        link.symlink_to("1.fsqb")
        os.kill(process.pid, signal.SIGHUP)
        eventually(lambda: [one for one in lines() if one["type"] == "reload"], "the reload")
        feed(430, 1000)
        process.stdin.close()
        assert process.wait(30) == 0, process.stderr and process.stderr.read()
        told = [systemd.recv(200).decode().split("\n")[0] for _ in range(4)]
    assert told == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
    records = lines()
    event = next(one for one in records if one["type"] == "reload")
    assert event["accepted"]
    assert event["manifest_sha256"] == random_bundle(seed=1).manifest.digest()
    assert [one["seq"] for one in windows()] == list(range(19))
    assert np.isclose(records[-1]["windows"], 19)
