"""Alerts of a run: the same live, in a replay, and over the log that it left."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge_runtime.alerts import AlertWatch, read_rules
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.sinks import CallbackSink
from fsq_edge_runtime.sources.iterable import IterableSource
from tests.factories.bundles import motion, random_bundle
from tests.factories.receivers import Receiver

SAMPLES = 6000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alerts")
    random_bundle().save(folder / "dog.fsqb")
    samples = motion(SAMPLES)
    samples[2000:2600] = np.nan  # abstained
    times = np.arange(SAMPLES) / 50.0
    times[4000:] += 60.0  # silent for a minute
    np.savez(folder / "day.npz", samples=samples, timestamps=times)
    log = folder / "bare.jsonl"
    assert (
        run(["run", str(folder / "dog.fsqb"), "--source", f"npz:{folder / 'day.npz'}", "--sink", f"jsonl:{log}"]) == 0
    )
    labels = [line["label"] for line in lines(log) if line["type"] == "decision" and line["label"]]
    often = max(set(labels), key=labels.count)
    rules: dict[str, Any] = {
        "schema_version": 1,
        "rules": [
            {"name": "often", "kind": "count", "classes": [often], "above": 1},
            {"name": "long", "kind": "lasting", "classes": [often], "longer_than_s": 2.5},
            {"name": "silent", "kind": "silence", "longer_than_s": 20},
            {"name": "blind", "kind": "abstention", "window_s": 10, "above": 0.5},
            {"name": "share", "kind": "share", "classes": [often], "window_s": 20, "above": 0.3},
        ],
    }
    (folder / "rules.json").write_text(json.dumps(rules))
    return folder


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def alerts(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in records if record["type"] == "alert"]


def replay(place: Path, name: str, *more: str) -> list[dict[str, Any]]:
    log = place / name
    base = [
        "run",
        str(place / "dog.fsqb"),
        "--source",
        f"npz:{place / 'day.npz'}",
        "--alerts",
        str(place / "rules.json"),
    ]
    assert run([*base, "--sink", f"jsonl:{log}", *more]) == 0
    return lines(log)


def test_a_replay_its_chunks_and_the_dry_run_agree(place: Path) -> None:
    whole = alerts(replay(place, "a.jsonl"))
    assert alerts(replay(place, "b.jsonl", "--chunk", "7")) == whole
    assert {alert["rule"] for alert in whole} >= {"often", "silent", "blind"}
    for log in ("a.jsonl", "bare.jsonl"):  # a log that holds alerts already, and one that does not
        out = place / "dry.json"
        assert run(["alerts", str(place / "rules.json"), str(place / log), "--json", str(out)]) == 0
        dry = json.loads(out.read_text())
        assert dry["alerts"] == whole
        assert sum(dry["counts"].values()) == sum(alert["state"] == "firing" for alert in whole)


def test_a_live_stream_raises_what_its_replay_raises(place: Path) -> None:
    data = np.load(place / "day.npz")
    cuts = range(0, SAMPLES, 50)
    chunks = [(data["samples"][at : at + 50], data["timestamps"][at : at + 50]) for at in cuts]
    source = IterableSource(chunks, live=True)
    found: list[dict[str, Any]] = []
    bundle = Bundle.open(place / "dog.fsqb")
    with bundle.open_session("onnx", deadline_ms=0.0) as session:
        sink = CallbackSink(lambda record: found.append(record.to_dict()))
        Runner(session, [source], [sink], alerts=AlertWatch(read_rules(place / "rules.json"))).run(threading.Event())
    assert alerts(found) == alerts(replay(place, "c.jsonl"))


def test_a_sink_of_the_rules_gets_the_alerts_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver([(500, {}), (204, {})])
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{receiver.port}/secret")
    rules = json.loads((place / "rules.json").read_text()) | {"sinks": ["webhook:env:HOOK"]}
    (place / "hooked.json").write_text(json.dumps(rules))
    expected = alerts(replay(place, "d.jsonl"))
    records = replay(place, "e.jsonl", "--alerts", str(place / "hooked.json"))
    receiver.close()
    assert receiver.bodies()[1:] == expected == alerts(records)


def test_the_dry_run_reads_parquet_too(place: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "parquet", tmp_path / "out.json"
    source = ["--source", f"npz:{place / 'day.npz'}"]
    assert run(["run", str(place / "dog.fsqb"), *source, "--sink", f"parquet:{folder}"]) == 0
    found = []
    for log in (place / "bare.jsonl", folder, *folder.iterdir()):
        assert run(["alerts", str(place / "rules.json"), str(log), "--json", str(out), "--quiet"]) == 0
        found.append(json.loads(out.read_text()))
    assert found[0]["alerts"]
    assert all(one == found[0] for one in found)
    (tmp_path / "no.parquet").write_bytes(b"no")
    assert run(["alerts", str(place / "rules.json"), str(tmp_path / "no.parquet")]) == 65


def test_the_verb_has_its_exit_codes(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules, log = str(place / "rules.json"), str(place / "bare.jsonl")
    assert run(["alerts", rules, log]) == 0
    assert "often" in capsys.readouterr().out
    assert run(["alerts", rules, str(tmp_path / "none")]) == 66
    assert run(["alerts", str(tmp_path / "none.yaml"), log]) == 66
    (tmp_path / "bad.yaml").write_text("rules: [")
    assert run(["alerts", str(tmp_path / "bad.yaml"), log]) == 65
    (tmp_path / "empty").write_text("")
    assert run(["alerts", rules, str(tmp_path / "empty")]) == 65
    foreign = json.loads(Path(rules).read_text())
    foreign["rules"][0]["classes"] = ["fly"]
    (tmp_path / "foreign.json").write_text(json.dumps(foreign))
    source = ["--source", f"npz:{place / 'day.npz'}"]
    assert run(["run", str(place / "dog.fsqb"), *source, "--alerts", str(tmp_path / "foreign.json")]) == 64
