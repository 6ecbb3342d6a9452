"""Several gateways on one Mosquitto: streams divided by ``part``, and what a ``$share`` subscription does to them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import paho.mqtt.client as paho
import pytest

from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.mqtt_link import MqttAddress
from fsq_edge_runtime.sources import Notices
from fsq_edge_runtime.sources.base import worker_of
from fsq_edge_runtime.sources.mqtt import MqttSource
from tests.factories.live import PATIENCE_S, Broker, Reader, eventually

DOGS, MESSAGES = 11, 40  # an odd number, or dealing out in turn would keep every dog with one gateway


def publish(broker: Broker, dogs: int = DOGS) -> None:
    """Publish one sample a message, in turns, every one of its own value."""
    sender = paho.Client(paho.CallbackAPIVersion.VERSION2)
    sender.connect("127.0.0.1", broker.port)
    sender.loop_start()
    sent = []
    for number in range(MESSAGES):
        for dog in range(dogs):
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


def open_all(broker: Broker, topic: str, queries: Sequence[str]) -> tuple[list[MqttSource], Notices]:
    notices = Notices(lambda line: None)
    return [MqttSource(MqttAddress.parse(broker.address(topic) + query), 6, notices) for query in queries], notices


def test_two_parts_have_every_stream_whole_and_once(broker: Broker) -> None:
    (first, second), notices = open_all(broker, "imu/+", ("?part=1/2", "?part=2/2"))
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
    (first, second), notices = open_all(broker, "$share/gateways/imu/+", ("", ""))
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


@pytest.mark.parametrize("parted", [True, False])
def test_when_one_of_three_gateways_leaves_the_streams_of_the_others_stay_whole_only_by_part(
    broker: Broker, parted: bool
) -> None:
    topic = "imu/+" if parted else "$share/gateways/imu/+"
    queries = [f"?part={at}/3" if parted else "" for at in (1, 2, 3)]
    (first, second, third), _ = open_all(broker, topic, queries)
    dogs, whole = 9, 9 * MESSAGES  # a multiple of three: dealt out in turn, every dog stays with one gateway at first
    with Reader(first) as one, Reader(third) as three:
        with Reader(second):
            publish(broker, dogs)
            eventually(
                lambda: sum(each.counters["samples"] for each in (first, second, third)) == whole, "every sample"
            )
        before = [taken(reader) for reader in (one, three)]
        publish(broker, dogs)
        others = [worker_of(f"imu/dog{dog}", 3) != 1 for dog in range(dogs)]
        more = MESSAGES * sum(others) if parted else whole
        had = sum(len(numbers) for half in before for numbers in half.values())
        eventually(
            lambda: first.counters["samples"] + third.counters["samples"] == had + more, "every sample of theirs"
        )
    after = [taken(reader) for reader in (one, three)]
    for half, whole_now in zip(before, after, strict=True):
        assert all(numbers == list(range(MESSAGES)) for numbers in half.values()), "whole while there are three"
        twice = [numbers == 2 * list(range(MESSAGES)) for numbers in whole_now.values()]
        assert all(twice) == parted
        assert any(twice) == parted, "dealt out among two, no dog of nine stays whole"


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "1/2/3", "a/b", "-1/2", "1/99999", ""])
def test_a_part_is_one_of_so_many(part: str) -> None:
    with pytest.raises(UsageError, match="part is K/N"):
        MqttAddress.parse(f"mqtt://host/imu/+?part={part}")
    with pytest.raises(UsageError, match="unknown option prat") as caught:
        MqttAddress.parse("mqtt://host/imu/+?prat=1/2")
    assert caught.value.hint == "did you mean part?"
    assert MqttAddress.parse("mqtt://host/imu/+").part == (1, 1)
    assert MqttAddress.parse("mqtt://host/imu/+?part=2/3").part == (2, 3)
