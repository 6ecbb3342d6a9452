"""Home Assistant's devices by a real Mosquitto: what is announced is sound, and survives restarts of either side."""

from __future__ import annotations

import json
from typing import Any

import jinja2
import pytest
from ha_mqtt_discoverable import DeviceInfo
from ha_mqtt_discoverable.sensors import BinarySensorInfo, SensorInfo

from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.mqtt_link import MqttAddress
from fsq_edge_runtime.sinks import open_sink
from fsq_edge_runtime.sinks.home_assistant import HomeAssistant
from fsq_edge_runtime.stream.records import Decision, StreamEvent
from tests.factories.live import Broker, Listener, eventually
from tests.factories.records import decision

CLASSES = ("walk", "rest")
MODELS = {"sensor": SensorInfo, "binary_sensor": BinarySensorInfo}


def retained(broker: Broker) -> dict[str, Any]:
    """Return what a newcomer is given: Home Assistant after its own restart."""
    newcomer = Listener(broker, "#")
    marker = newcomer.client.publish("marker", b"1", qos=1)
    marker.wait_for_publish(30)
    eventually(lambda: any(topic == "marker" for topic, _, _ in newcomer.messages), "everything retained")
    newcomer.close()
    return {topic: payload for topic, payload, keeps in newcomer.messages if keeps}


def configs(messages: dict[str, bytes]) -> dict[str, Any]:
    return {topic: json.loads(payload) for topic, payload in messages.items() if topic.endswith("/config")}


def check_device(config: dict[str, Any]) -> None:
    """Hold a payload against the models of ha-mqtt-discoverable, which know one entity at a time."""
    # Home Assistant refuses a device with any other key: its schema of device discovery, components/mqtt/schemas.py.
    assert set(config) == {"device", "origin", "components", "availability_topic", "state_topic"}
    assert set(config["device"]) <= {"identifiers", "name", "manufacturer", "model"}
    assert set(config["origin"]) <= {"name", "sw_version", "support_url"}
    device = DeviceInfo.model_validate(config["device"])
    assert device.identifiers
    assert config["origin"]["name"] == "fsq-edge"
    ids = [component["unique_id"] for component in config["components"].values()]
    assert len(set(ids)) == len(ids)
    for component in config["components"].values():
        model = MODELS[component["platform"]]
        entity = model.model_validate({**component, "device": config["device"]})
        assert entity.unique_id == component["unique_id"]
        unknown = set(component) - set(model.model_fields) - {"platform", "options"}
        # Keys of Home Assistant's own that these models lack.
        assert unknown <= {"json_attributes_topic", "json_attributes_template", "value_template"}


def test_a_stream_becomes_a_device_with_its_state(broker: Broker) -> None:
    sink = open_sink(broker.address("dogs?homeassistant=1"), model="dog", classes=CLASSES)
    sink.write(decision(0, "walk"))
    sink.write(decision(0, None, stream="imu/+/#", quality=("stuck:acc_x",)))
    eventually(lambda: len(configs(retained(broker))) == 2, "two devices")
    found = configs(retained(broker))
    for config in found.values():
        check_device(config)
        assert config["availability_topic"] == "dogs/status"
        assert config["components"]["label"]["options"] == ["walk", "rest", "unknown"]
    names = {config["device"]["name"]: config["state_topic"] for config in found.values()}
    assert set(names) == {"dog rex", "dog imu/+/#"}
    eventually(lambda: set(names.values()) <= set(retained(broker)), "their states")
    states = retained(broker)
    assert json.loads(states[names["dog rex"]]) == {
        "label": "walk", "confidence": 0.93, "problem": "OFF", "flags": [], "alert": "OFF", "alerts": [],
    }  # fmt: skip
    assert json.loads(states[names["dog imu/+/#"]])["flags"] == ["stuck:acc_x"]
    assert states["dogs/status"] == b"online"
    sink.close()
    assert retained(broker)["dogs/status"] == b"offline"


def test_a_broker_that_forgets_everything_is_told_again(broker: Broker) -> None:
    sink = open_sink(broker.address("dogs?homeassistant=1"), model="dog", classes=CLASSES)
    sink.write(decision(0, "walk"))
    eventually(lambda: configs(retained(broker)), "the device")
    before = configs(retained(broker))
    broker.kill()  # without persistence: nothing is retained afterwards
    broker.start()
    eventually(lambda: sink.counters["connections"] == 2, "the sink is connected again")
    eventually(lambda: configs(retained(broker)) == before, "the same device")
    eventually(lambda: any(topic.startswith("dogs/homeassistant/") for topic in retained(broker)), "and its state")
    sink.close()


def test_the_engine_that_starts_again_makes_no_second_device(broker: Broker) -> None:
    for _ in range(2):
        sink = open_sink(broker.address("dogs?homeassistant=1"), model="dog", classes=CLASSES)
        sink.write(decision(0, "walk"))
        eventually(lambda: retained(broker).get("dogs/status") == b"online", "online")
        eventually(lambda: configs(retained(broker)), "the device")
        sink.close()
    assert len(configs(retained(broker))) == 1


def test_home_assistants_start_brings_everything_again(broker: Broker) -> None:
    sink = open_sink(broker.address("dogs?homeassistant=1"), model="dog")
    sink.write(decision(0, "walk"))
    listener = Listener(broker, "homeassistant/device/+/config")
    eventually(lambda: listener.messages, "the device")
    first = len(listener.messages)
    listener.client.publish("homeassistant/status", b"online", qos=1)
    eventually(lambda: len(listener.messages) > first, "the device again")
    assert listener.messages[-1][1] == listener.messages[0][1]
    listener.close()
    sink.close()


def test_a_state_is_published_when_it_changes_only(broker: Broker) -> None:
    listener = Listener(broker, "dogs/homeassistant/+")
    sink = open_sink(broker.address("dogs?homeassistant=1"))
    for number in range(20):
        sink.write(decision(number, "walk"))
    sink.write(decision(20, "rest"))
    eventually(lambda: listener.messages and b"rest" in listener.messages[-1][1], "the last state")
    assert len(listener.messages) <= 2
    sink.close()
    listener.close()


def test_removal_takes_back_what_this_topic_announced_and_nothing_else(broker: Broker) -> None:
    other = Listener(broker, "nothing")
    for topic, payload in (
        ("homeassistant/device/lamp/config", b'{"origin": {"name": "lamp"}, "state_topic": "dogs/homeassistant/x"}'),
        ("homeassistant/device/odd/config", b"[1]"),
    ):
        other.client.publish(topic, payload, qos=1, retain=True).wait_for_publish(30)
    for place in ("dogs", "cats"):
        sink = open_sink(broker.address(f"{place}?homeassistant=1"))
        sink.write(decision(0, "walk"))
        eventually(lambda at=place: f"{at}/status" in retained(broker), "its status")
        eventually(lambda at=place: any(t.startswith(f"{at}/homeassistant/") for t in retained(broker)), "its state")
        sink.close()
    eventually(lambda: len([t for t in retained(broker) if t.endswith("/config")]) == 4, "four announcements")
    sink = open_sink(broker.address("dogs?homeassistant=remove"))
    eventually(lambda: not [t for t in retained(broker) if t.startswith("dogs/homeassistant/")], "the state is gone")
    left = retained(broker)
    assert {"homeassistant/device/lamp/config", "homeassistant/device/odd/config"} < set(left)
    assert [json.loads(payload)["state_topic"].split("/")[0] for topic, payload in left.items()
            if topic.startswith("homeassistant/device/fsq_edge")] == ["cats"]  # fmt: skip
    sink.close()
    other.close()


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        (decision(0, "walk"), ("walk", "93.0", "OFF", "OFF")),
        (decision(0, None, quality=("imputed",)), ("None", "None", "ON", "OFF")),  # None is Home Assistant's unknown
        (decision(0, None, missed="deadline"), ("None", "None", "ON", "OFF")),
    ],
)
def test_the_templates_say_what_the_record_says(record: Decision, shown: tuple[str, ...]) -> None:
    home = HomeAssistant("dogs", classes=CLASSES)
    message = home.state(record)
    assert message is not None
    value = json.loads(message[1])
    parts = json.loads(home.announcement("rex")[1])["components"]
    rendered = [jinja2.Template(part["value_template"]).render(value_json=value) for part in parts.values()]
    assert tuple(rendered) == shown
    flags = jinja2.Template(parts["problem"]["json_attributes_template"]).render(value_json=value)
    assert json.loads(flags)["flags"] == value["flags"]


def test_an_alert_stands_until_its_all_clear() -> None:
    def alert(state: str, kind: str = "lasting") -> StreamEvent:
        return StreamEvent("alert", "rex", {"rule": "rests-long", "kind": kind, "state": state})

    def shown() -> object:
        message = home.state(decision(0))
        assert message is not None
        state = json.loads(message[1])
        return state["alert"], state["alerts"]

    home = HomeAssistant("dogs")
    home.mark(alert("firing", "drift"))
    assert shown() == ("OFF", [])
    home.mark(alert("firing"))
    assert shown() == ("ON", ["rests-long"])
    home.mark(alert("clear"))
    assert shown() == ("OFF", [])
    assert not home._alerts


def test_devices_are_bounded_and_their_ids_are_plain() -> None:
    home = HomeAssistant("dogs")
    ids = [home.node(f"Stream {number} é/#") for number in range(300)]
    assert ids[256:] == [None] * 44
    assert len(set(ids[:256])) == 256
    assert all(node is not None and node.isascii() and node.replace("_", "").isalnum() for node in ids[:256])
    assert home.state(decision(0, stream="one more")) is None
    assert HomeAssistant("dogs").node("rex") == HomeAssistant("dogs").node("rex") != HomeAssistant("cats").node("rex")


def test_the_option_is_a_sinks() -> None:
    assert MqttAddress.parse("mqtt://h/t?homeassistant=1").home == "1"
    assert MqttAddress.parse("mqtt://h/t?homeassistant=0").home == ""
    with pytest.raises(UsageError):
        MqttAddress.parse("mqtt://h/t?homeassistant=yes")
