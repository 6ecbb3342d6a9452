"""A real Mosquitto on loopback, killed and started again in the middle of a stream."""

from __future__ import annotations

import json
import socket
import threading

import numpy as np
import paho.mqtt.client as paho
import pytest

from fsq_edge.cli.run import _report_losses
from fsq_edge_runtime.errors import UnavailableError, UsageError
from fsq_edge_runtime.mqtt_link import MqttAddress
from fsq_edge_runtime.sinks.mqtt import MqttSink
from fsq_edge_runtime.sources import Notices
from fsq_edge_runtime.sources.mqtt import MqttSource
from fsq_edge_runtime.stream.records import StreamEvent
from tests.factories.bundles import motion
from tests.factories.live import Broker, Listener, Reader, eventually, free_port


def event(number: int) -> StreamEvent:
    return StreamEvent("stats", "", {"n": number})


def test_records_that_a_broker_never_got_are_counted_and_end_a_run_with_69(broker: Broker) -> None:
    sink = MqttSink(MqttAddress.parse(broker.address("dogs/rex?qos=1")))
    sink.write(event(0))
    eventually(lambda: sink.counters["records"] and not sink._in_flight, "the first record")
    broker.kill()
    eventually(lambda: not sink._link.connected, "the sink sees that the broker has gone")
    for number in range(3):
        sink.write(event(number))
    sink.close()
    assert sink.counters["dropped"] == 3
    with pytest.raises(UnavailableError, match=r"^3 records were not written to .*:\d+: the MQTT broker is away"):
        _report_losses([sink])


def test_a_record_survives_a_broker_that_dies_and_comes_back(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener(broker, "dogs/#")
    sink = MqttSink(MqttAddress.parse(broker.address("dogs/rex?qos=1")))
    for number in range(20):
        sink.write(event(number))
    eventually(lambda: listener.numbers("dogs/rex") == list(range(20)), "the first records")
    eventually(lambda: not sink._in_flight, "their acknowledgements")  # else the last may rightly come twice
    broker.kill()
    eventually(lambda: not sink._link.connected, "the sink sees that the broker has gone")
    for number in range(20, 40):
        sink.write(event(number))  # at once, though nobody is there
    assert sink.counters["dropped"] == 0
    broker.start()
    eventually(lambda: sink.counters["connections"] == 2, "the sink is connected again")
    assert [text.rpartition("of dogs/rex ")[2].split()[0] for text in caplog.messages] == ["went", "is"]
    eventually(lambda: listener.subscriptions == 2, "the listener is, too")
    for number in range(40, 60):
        sink.write(event(number))
    # The listener's session is a new one, so what came before its subscription is not for it; but all was handed over.
    eventually(lambda: sink.counters["records"] == 60, "every record is published")
    eventually(lambda: listener.numbers("dogs/rex")[-1] == 59, "the last record")
    seen = listener.numbers("dogs/rex")
    assert sorted(set(seen)) == seen  # in order, none twice
    assert set(range(40, 60)) <= set(seen)
    sink.close()
    listener.close()
    assert sink.counters["dropped"] == 0


def test_the_buffer_is_bounded_while_the_broker_is_away_and_the_newest_win(broker: Broker) -> None:
    sink = MqttSink(MqttAddress.parse(broker.address("dogs/rex?qos=1")), limit=10)
    broker.kill()
    eventually(lambda: not sink._link.connected, "the sink sees that the broker has gone")
    for number in range(200):
        sink.write(event(number))
    assert sink.counters["dropped"] == 190
    assert [record.to_dict()["n"] for record in sink._buffer] == list(range(190, 200))
    sink.close()  # within its limit, though nobody takes the rest
    assert sink.counters["dropped"] == 200


def test_a_replay_waits_for_the_broker_and_loses_nothing(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(broker, "dogs/rex")
    sink = MqttSink(MqttAddress.parse(broker.address("dogs/rex?qos=1")), limit=10, live=False)
    for number in range(500):
        sink.write(event(number))
    sink.write(StreamEvent("end", "", {"n": 500}))  # waits for the rest
    assert sink.counters["dropped"] == 0
    eventually(lambda: listener.numbers("dogs/rex") == list(range(501)), "every record, in order")
    monkeypatch.setattr("fsq_edge_runtime.sinks.mqtt.PATIENCE_S", 0.3)
    broker.kill()
    eventually(lambda: not sink._link.connected, "the sink sees that the broker has gone")
    with pytest.raises(OSError, match="takes nothing"):
        sink.write(StreamEvent("end", "", {"n": 501}))
    sink.close()
    listener.close()


def test_the_last_will_says_offline_and_a_clean_leave_does_too(broker: Broker) -> None:
    sink = MqttSink(MqttAddress.parse(broker.address("dogs/rex")))
    early = Listener(broker, "dogs/rex/status")
    eventually(lambda: early.messages, "online")
    early.close()
    listener = Listener(broker, "dogs/rex/status")
    eventually(lambda: listener.messages == [("dogs/rex/status", b"online", True)], "online, retained")
    sink._link.client.loop_stop()
    sink._link.client.socket().close()  # the process is gone, the broker was told nothing
    eventually(lambda: listener.messages[-1][1] == b"offline", "the last will")
    late = Listener(broker, "dogs/rex/status")
    eventually(lambda: late.messages == [("dogs/rex/status", b"offline", True)], "the will is retained")
    second = MqttSink(MqttAddress.parse(broker.address("dogs/rex")))
    eventually(lambda: late.messages[-1][1] == b"online", "online again")
    second.close()
    eventually(lambda: late.messages[-1][1] == b"offline", "offline after a clean leave")
    sink._closing = True
    sink.close()
    listener.close()
    late.close()


def test_samples_come_by_topic_and_the_subscription_is_renewed(broker: Broker) -> None:
    rows = motion(40)
    source = MqttSource(MqttAddress.parse(broker.address("imu/+?qos=1")), 6)
    talker = paho.Client(paho.CallbackAPIVersion.VERSION2)
    talker.connect("127.0.0.1", broker.port)
    talker.loop_start()

    def say(dog: str, at: int) -> None:
        talker.publish(f"imu/{dog}", json.dumps({"t": at / 50, "x": rows[at].tolist()}), qos=1).wait_for_publish(30)

    with Reader(source) as reader:
        for at in range(10):
            say("rex", at)
            say("bella", at)
        for payload in (b"", b"\xff", b"[]", b'{"x": [1]}', b'{"x": {"a": 1}, "t": "now"}'):
            talker.publish("imu/rex", payload, qos=1).wait_for_publish(30)
        reader.wait_for(20)
        assert {chunk.stream for chunk in reader.chunks} == {"imu/rex", "imu/bella"}
        eventually(lambda: source.counters["malformed"] == 5, "the malformed messages")
        broker.kill()
        broker.start()
        eventually(lambda: source.counters["connections"] == 2, "the source is connected again")
        eventually(talker.is_connected, "the talker, too")
        probe = Listener(broker, "imu/+")
        eventually(lambda: _arrives(say, reader), "samples flow again")
        probe.close()
    talker.disconnect()
    talker.loop_stop()
    mine = np.concatenate([chunk.samples for chunk in reader.chunks if chunk.stream == "imu/bella"])
    assert np.array_equal(mine[:10], rows[:10])


def _arrives(say, reader: Reader) -> bool:
    say("bella", 39)  # again and again, since the renewed subscription may come after the first
    return len(reader.samples()) > 20


def test_a_topic_that_may_not_be_read_is_said_at_the_start() -> None:
    # Mosquitto takes every subscription and delivers nothing; other brokers answer 0x80, as this one does.
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            talk = server.accept()[0]
            with talk:
                talk.recv(1024)
                talk.sendall(b"\x20\x02\x00\x00")
                asked = talk.recv(1024)
                assert asked[0] == 0x82
                talk.sendall(b"\x90\x03" + asked[2:4] + b"\x80")
                talk.recv(1024)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        address = MqttAddress.parse(f"mqtt://127.0.0.1:{server.getsockname()[1]}/secret/rex")
        with pytest.raises(UnavailableError, match="does not let this client read secret/rex"):
            MqttSource(address, 6)
        thread.join(10)


def test_a_flood_is_bounded(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsq_edge_runtime.sources.mqtt.MAX_WAITING", 50)
    source = MqttSource(MqttAddress.parse(broker.address("imu/rex?qos=1")), 6)
    talker = paho.Client(paho.CallbackAPIVersion.VERSION2)
    talker.connect("127.0.0.1", broker.port)
    talker.loop_start()
    for _ in range(200):
        talker.publish("imu/rex", b'{"x": [0,0,1,0,0,0]}', qos=1)
    eventually(lambda: source.counters["messages"] == 200, "all messages")
    assert source.counters["dropped"] == 150
    stop = threading.Event()
    taken = 0
    for _ in source.chunks(stop):
        taken += 1
        if taken == 50:
            stop.set()
    assert taken == 50
    source.close()
    talker.disconnect()
    talker.loop_stop()


@pytest.mark.parametrize(
    ("answer", "says"), [(b"\x20\x02\x00\x05", "refuses: Not authorized"), (b"", "does not answer")]
)
def test_a_broker_that_refuses_or_says_nothing_is_unavailable(
    answer: bytes, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsq_edge_runtime.mqtt_link.CONNECT_TIMEOUT_S", 30.0 if answer else 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as client:
                client.recv(1024)
                client.sendall(answer)  # CONNACK with return code 5 (MQTT 3.1.1, 3.2.2.3), or nothing
                client.recv(1024)  # until the client goes

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(UnavailableError, match=says):
            MqttSink(MqttAddress.parse(f"mqtt://127.0.0.1:{server.getsockname()[1]}/dogs"))
        thread.join(10)


def test_no_broker_is_unavailable_and_a_bad_address_is_usage() -> None:
    address = MqttAddress.parse(f"mqtt://127.0.0.1:{free_port()}/dogs")
    for make in (lambda: MqttSink(address), lambda: MqttSource(address, 6)):
        with pytest.raises(UnavailableError, match="cannot reach the MQTT broker"):
            make()
    for text in (
        "mqtt://host",
        "mqtt://host/t?qos=3",
        "mqtt://host/t?who=me",
        "mqtt://a:secret@host/t",
        "mqtt://h:x/t",
    ):
        with pytest.raises(UsageError):
            MqttAddress.parse(text)
    assert MqttAddress.parse("mqtt://host/a/#?part=2/3").part == (2, 3)
    assert [MqttAddress.parse(f"mqtt://host/{topic}").topic for topic in ("a/#", "#", "%23")] == ["a/#", "#", "#"]
    assert MqttAddress.parse("mqtts://me@host/a/%23?qos=2") == MqttAddress("host", 8883, "a/#", "me", 2, True, None, "")


def test_messages_wait_by_their_bytes_and_none_is_larger_than_a_megabyte(broker: Broker) -> None:
    source = MqttSource(MqttAddress.parse(broker.address("imu/big")), 6)
    sender = paho.Client(paho.CallbackAPIVersion.VERSION2)
    sender.connect("127.0.0.1", broker.port)
    sender.loop_start()
    try:
        filler = b'{"t": 1, "x": [0, 0, 1, 0, 0, 0], "note": "' + b"n" * (900 << 10) + b'"}'
        for _ in range(30):
            sender.publish("imu/big", filler, qos=1).wait_for_publish(10)
        sender.publish("imu/big", b" " * (1 << 20) + filler, qos=1).wait_for_publish(10)
        eventually(lambda: source.counters["malformed"] == 1, "the message that is too large")
        assert source.counters["messages"] == 31
        assert source.counters["dropped"] == 30 - (16 << 20) // len(filler)
        stop = threading.Event()
        reading = source.chunks(stop)
        next(reading)
        stop.set()  # what still waits is not read, but counted
        assert list(reading) == []
        assert source.counters["samples"] + source.counters["dropped"] == 30
    finally:
        sender.disconnect()
        sender.loop_stop()
        source.close()


def test_messages_that_are_all_malformed_are_said_with_an_example(broker: Broker) -> None:
    said: list[str] = []
    source = MqttSource(MqttAddress.parse(broker.address("imu/odd")), 6, Notices(said.append))
    sender = paho.Client(paho.CallbackAPIVersion.VERSION2)
    sender.connect("127.0.0.1", broker.port)
    sender.loop_start()
    try:
        with Reader(source):
            for number in range(25):
                sender.publish("imu/odd", f"acc={number}", qos=1).wait_for_publish(10)
            eventually(lambda: said, "a word")
        assert len(said) == 1
        assert "acc=19" in said[0]
    finally:
        sender.disconnect()
        sender.loop_stop()
