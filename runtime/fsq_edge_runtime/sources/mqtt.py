"""Samples from an MQTT broker; the subscription is renewed whenever the broker comes back."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.mqtt_link import CONNECT_TIMEOUT_S, MqttAddress, MqttLink
from fsq_edge_runtime.sources.base import POLL_S, Chunk, worker_of
from fsq_edge_runtime.sources.columns import Wanted
from fsq_edge_runtime.sources.named_values import JsonRows
from fsq_edge_runtime.sources.notices import Notices
from fsq_edge_runtime.sources.parsing import DEFAULT_STREAM, RowError, to_chunks

MAX_WAITING = 10_000  # messages between the network thread and the reader
MAX_WAITING_BYTES = 16 << 20  # their payloads together
MAX_PAYLOAD = 1 << 20  # bytes; a larger one is counted as malformed
NONE_GOOD = 20  # so many messages without one sample are said aloud
SHOWN_PAYLOAD = 60
SHARED_NOTE = (
    "a $share subscription is right only where the broker keeps every topic with one gateway; Mosquitto deals messages "
    "out in turn, which tears streams apart: subscribe without $share and add ?part=1/2, ?part=2/2"
)


class MqttSource:
    """Subscribes to one topic filter.

    Payloads are JSON objects as :class:`JsonRows` reads them. Where the filter has a wildcard, samples without a
    stream id belong to a stream named after their topic. With ``part=K/N`` the samples of other gateways' streams are
    left out and not counted.

    Args:
        address: broker and topic filter.
        channels: names in the model's order, or pairs of name and unit; or only their number.
        notices: hears when nothing that comes can be read.

    Attributes:
        live: True.
        counters: messages, samples, malformed and dropped messages, connections.

    Raises:
        UnavailableError: paho-mqtt is not installed, or the broker cannot be had the first time, or refuses the topic.
    """

    live = True

    def __init__(
        self, address: MqttAddress, channels: int | Sequence[str | Wanted], notices: Notices | None = None
    ) -> None:
        self.counters = dict.fromkeys(("messages", "samples", "malformed", "dropped", "connections"), 0)
        self._address, self._rows = address, JsonRows(channels, address.topic)
        self._by_topic = "+" in address.topic or "#" in address.topic
        self._waiting: deque[tuple[str, bytes, int]] = deque()
        self._waiting_bytes = 0
        self._size, self._notices = channels if isinstance(channels, int) else len(channels), notices or Notices()
        if address.topic.startswith("$share/"):
            self._notices.say("mqtt shared", SHARED_NOTE)
        self._arrived = threading.Condition()
        self._subscribed, self._refusal = threading.Event(), ""
        self._link = MqttLink(address, self._subscribe)
        self._link.client.on_message = self._on_message
        self._link.client.on_subscribe = self._on_subscribe
        self._link.open()
        if not self._subscribed.wait(CONNECT_TIMEOUT_S) or self._refusal:
            self._link.close()
            raise UnavailableError(
                f"the MQTT broker {address.host}:{address.port} does not let this client read {address.topic}: "
                f"{self._refusal or 'no answer'}",
                hint="ask whoever runs the broker for the right to read it",
            )

    def chunks(self, stop: threading.Event) -> Iterator[Chunk]:
        """Yield the samples of each message."""
        while not stop.is_set():
            with self._arrived:
                if not self._waiting:
                    self._arrived.wait(POLL_S)
                messages, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
            while messages and not stop.is_set():
                topic, payload, arrived_ns = messages.popleft()
                yield from self._parse(topic, payload, arrived_ns)
            self.counters["dropped"] += len(messages)

    def close(self) -> None:
        """Leave the broker."""
        self._link.close()

    def _parse(self, topic: str, payload: bytes, arrived_ns: int) -> list[Chunk]:
        try:
            chunks = to_chunks(self._rows.rows(payload, topic if self._by_topic else DEFAULT_STREAM), arrived_ns)
        except (RowError, UnicodeDecodeError) as error:
            self._refuse(payload, error)
            return []
        at, parts = self._address.part
        if parts > 1:
            chunks = [chunk for chunk in chunks if worker_of(chunk.stream, parts) == at - 1]
        self.counters["samples"] += sum(len(chunk.samples) for chunk in chunks)
        return chunks

    def _refuse(self, payload: bytes, error: Exception) -> None:
        self.counters["malformed"] += 1
        if self.counters["malformed"] == NONE_GOOD and not self.counters["samples"]:
            example = payload[:SHOWN_PAYLOAD].decode("utf-8", "replace")
            self._notices.say(
                "mqtt none good",
                f"none of the first {NONE_GOOD} messages of {self._address.topic} could be read, such as {example!r} "
                f'({error}); a message is {{"t": seconds, "x": [{self._size} values]}}',
            )

    def _subscribe(self) -> None:
        self.counters["connections"] = self._link.connections
        self._link.client.subscribe(self._address.topic, self._address.qos)

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        self._refusal = next((str(reason) for reason in reasons if reason.is_failure), "")
        self._subscribed.set()

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        self.counters["messages"] += 1
        if len(message.payload) > MAX_PAYLOAD:
            self.counters["malformed"] += 1
            return
        with self._arrived:
            self._waiting.append((message.topic, message.payload, time.monotonic_ns()))
            self._waiting_bytes += len(message.payload)
            while len(self._waiting) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES:
                self._waiting_bytes -= len(self._waiting.popleft()[1])
                self.counters["dropped"] += 1
            self._arrived.notify()
