"""A real Home Assistant shows what the engine says, through restarts of the broker, the engine and itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fsq_edge_runtime.sinks import open_sink
from fsq_edge_runtime.stream.records import StreamEvent
from tests.factories.bundles import motion, random_bundle
from tests.factories.hass import House
from tests.factories.live import Broker, eventually
from tests.factories.records import decision

CLASSES = ("walk", "rest")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    made = Broker(tmp_path_factory.mktemp("broker"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, broker: Broker) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house") / "config")
    try:
        made.start()
        made.add_broker(broker.port)
        yield made
    finally:
        made.stop()


def shows(house: House, **expected: str | None) -> None:
    """Wait until entities, named ``sensor__ID``, have these states; None is an entity that is not there."""
    wanted = {name.replace("__", "."): state for name, state in expected.items()}
    eventually(lambda: {name: house.value(name) for name in wanted} == wanted, f"{wanted}")


def alert(state: str) -> StreamEvent:
    facts = {"rule": "rests-long", "kind": "lasting", "state": state, "message": "rests-long: rex: rest for 70 s"}
    return StreamEvent("alert", "rex", facts)


def test_a_stream_is_a_device_with_the_states_of_its_windows(house: House, broker: Broker) -> None:
    sink = open_sink(broker.address("dogs?homeassistant=1"), model="dog", classes=CLASSES)
    sink.write(decision(0, "walk"))
    sink.write(decision(0, None, stream="imu/+/#", quality=("stuck:acc_x",)))
    shows(house, sensor__dog_rex_behavior="walk", binary_sensor__dog_rex_signal="off",
          sensor__dog_imu_behavior="unknown", binary_sensor__dog_imu_signal="on")  # fmt: skip
    states = house.states()
    shown = states["sensor.dog_rex_behavior"]["attributes"]
    assert (shown["device_class"], shown["options"]) == ("enum", ["walk", "rest", "unknown"])
    assert states["binary_sensor.dog_imu_signal"]["attributes"]["flags"] == ["stuck:acc_x"]
    assert "sensor.dog_rex_confidence" not in states  # it is off until somebody wants it
    sink.write(alert("firing"))
    sink.write(decision(1, "rest"))
    shows(house, binary_sensor__dog_rex_alert="on", sensor__dog_rex_behavior="rest")
    assert house.states()["binary_sensor.dog_rex_alert"]["attributes"]["rules"] == ["rests-long"]
    sink.write(alert("clear"))
    sink.write(decision(2, "walk"))
    shows(house, binary_sensor__dog_rex_alert="off", sensor__dog_rex_behavior="walk")
    sink.close()
    shows(house, sensor__dog_rex_behavior="unavailable", binary_sensor__dog_rex_alert="unavailable")


def test_the_states_come_back_after_a_restart_of_the_broker_and_of_home_assistant(house: House, broker: Broker) -> None:
    sink = open_sink(broker.address("cats?homeassistant=1"), model="cat", classes=CLASSES)
    sink.write(decision(0, "rest", stream="tom"))
    shows(house, sensor__cat_tom_behavior="rest")
    before = {name for name in house.states() if "cat_tom" in name}
    broker.kill()  # without persistence: it forgets every device
    shows(house, sensor__cat_tom_behavior="unavailable")
    broker.start()
    shows(house, sensor__cat_tom_behavior="rest", binary_sensor__cat_tom_signal="off")
    house.stop()
    house.start()
    shows(house, sensor__cat_tom_behavior="rest", binary_sensor__cat_tom_signal="off")
    sink.write(decision(1, "walk", stream="tom"))
    shows(house, sensor__cat_tom_behavior="walk")
    assert {name for name in house.states() if "cat_tom" in name} == before
    sink.close()
    gone = open_sink(broker.address("cats?homeassistant=remove"))
    shows(house, sensor__cat_tom_behavior=None, binary_sensor__cat_tom_signal=None, binary_sensor__cat_tom_alert=None)
    gone.close()


def test_an_engine_that_is_killed_is_unavailable_until_it_runs_again(
    house: House, broker: Broker, tmp_path: Path
) -> None:
    random_bundle().save(tmp_path / "engine.fsqb")
    (tmp_path / "rules.json").write_text(json.dumps({"schema_version": 1, "rules": [
        {"name": "blind", "kind": "abstention", "window_s": 2, "above": 0.1, "least_coverage": 0.1}]}))  # fmt: skip
    rows = [json.dumps({"x": [float(value) for value in row], "stream": "hen"}) + "\n" for row in motion(600)]
    blind = [json.dumps({"x": [None] * 6, "stream": "hen"}) + "\n"] * 400

    def windows(log: Path) -> list[dict[str, Any]]:
        text = log.read_text() if log.exists() else ""
        lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        return [line for line in lines if line["type"] == "decision"]

    for turn in ("first", "second"):
        log = tmp_path / f"{turn}.jsonl"
        command = [sys.executable, "-m", "fsq_edge", "run", str(tmp_path / "engine.fsqb"), "--source", "stdin:",
                   "--pace", "realtime", "--backend", "onnx", "--alerts", str(tmp_path / "rules.json"),
                   "--sink", f"jsonl:{log}", "--sink", broker.address("hens?homeassistant=1")]  # fmt: skip
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as engine:
            assert engine.stdin is not None

            def feed(lines: list[str], to: Any = engine.stdin) -> None:
                to.writelines(lines)
                to.flush()

            feed(rows)
            eventually(lambda at=log: len(windows(at)) == 11, "eleven windows")
            label = windows(log)[-1]["label"]
            shows(house, sensor__random_hen_behavior=label, binary_sensor__random_hen_alert="off")
            feed(blind)
            shows(house, sensor__random_hen_behavior="unknown", binary_sensor__random_hen_signal="on",
                  binary_sensor__random_hen_alert="on")  # fmt: skip
            engine.kill()
        shows(house, sensor__random_hen_behavior="unavailable", binary_sensor__random_hen_alert="unavailable")


def test_home_assistant_complains_about_no_payload(house: House) -> None:
    complaints = [line for line in house.log().splitlines() if "components.mqtt" in line]
    # It says that the broker went away, and that a device which it has just removed is removed by its own message.
    known = ("components.mqtt.client", "No device components to cleanup")
    assert [line for line in complaints if not any(words in line for words in known)] == []
