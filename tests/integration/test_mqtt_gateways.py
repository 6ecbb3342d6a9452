"""Several gateways on one Mosquitto: streams divided by ``part``, and what a ``$share`` subscription does to them."""

from __future__ import annotations

import json

import paho.mqtt.client as paho
import pytest

from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.mqtt_link import MqttAddress
from fsq_edge_runtime.sources import Notices
from fsq_edge_runtime.sources.base import worker_of
from fsq_edge_runtime.sources.mqtt import MqttSource
from tests.factories.live import PATIENCE_S, Broker, Reader, eventually

DOGS, MESSAGES = 11, 40  # an odd number, or dealing out in turn would keep every dog with one gateway


def publish(broker: Broker) -> None:
    """Publish one sample a message, in turns, every one of its own value."""
    sender = paho.Client(paho.CallbackAPIVersion.VERSION2)
    sender.connect("127.0.0.1", broker.port)
    sender.loop_start()
    sent = []
    for number in range(MESSAGES):
        for dog in range(DOGS):
            line = {"t": number / 50, "x": [number, dog, 1, 0, 0, 0]}
            sent.append(sender.publish(f"imu/dog{dog}", json.dumps(line), qos=1))
    for one in sent:
        one.wait_for_publish(PATIENCE_S)
    sender.disconnect()
    sender.loop_stop()


def taken(reader: Reader) -> dict[str, list[int]]:
    """Return the numbers of the samples of every stream, in order."""
    found: dict[str, list[int]] = {}
    for chunk in reader.chunks:
        found.setdefault(chunk.stream, []).extend(int(value) for value in chunk.samples[:, 0])
    return found


def open_two(broker: Broker, topic: str, queries: tuple[str, str]) -> tuple[MqttSource, MqttSource, Notices]:
    notices = Notices(lambda line: None)
    first, second = (MqttSource(MqttAddress.parse(broker.address(topic) + query), 6, notices) for query in queries)
    return first, second, notices


def test_two_parts_have_every_stream_whole_and_once(broker: Broker) -> None:
    first, second, notices = open_two(broker, "imu/+", ("?part=1/2", "?part=2/2"))
    with Reader(first) as one, Reader(second) as two:
        publish(broker)
        whole = DOGS * MESSAGES
        eventually(lambda: first.counters["samples"] + second.counters["samples"] == whole, "every sample")
        eventually(lambda: first.counters["messages"] == second.counters["messages"] == whole, "every message, twice")
    mine, theirs = taken(one), taken(two)
    assert set(mine) == {f"imu/dog{dog}" for dog in range(DOGS) if worker_of(f"imu/dog{dog}", 2) == 0}
    assert set(mine) | set(theirs) == {f"imu/dog{dog}" for dog in range(DOGS)}
    assert not set(mine) & set(theirs)
    assert all(numbers == list(range(MESSAGES)) for numbers in (*mine.values(), *theirs.values()))
    assert notices.lines == []


def test_a_shared_subscription_hands_out_every_message_once_tears_streams_and_says_so(broker: Broker) -> None:
    first, second, notices = open_two(broker, "$share/gateways/imu/+", ("", ""))
    with Reader(first) as one, Reader(second) as two:
        publish(broker)
        whole = DOGS * MESSAGES
        eventually(lambda: first.counters["samples"] + second.counters["samples"] == whole, "every sample")
    mine, theirs = taken(one), taken(two)
    for dog in range(DOGS):
        name = f"imu/dog{dog}"  # the topic of the message, without the group
        assert sorted(mine.get(name, []) + theirs.get(name, [])) == list(range(MESSAGES))
    torn = [name for name in mine if 0 < len(mine[name]) < MESSAGES]
    assert torn, "Mosquitto deals messages out in turn; were it not so, the notice could go"
    assert len(notices.lines) == 1
    assert "?part=1/2" in notices.lines[0]


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "1/2/3", "a/b", "-1/2", "1/99999", ""])
def test_a_part_is_one_of_so_many(part: str) -> None:
    with pytest.raises(UsageError, match="part is K/N"):
        MqttAddress.parse(f"mqtt://host/imu/+?part={part}")
    assert MqttAddress.parse("mqtt://host/imu/+").part == (1, 1)
    assert MqttAddress.parse("mqtt://host/imu/+?part=2/3").part == (2, 3)
