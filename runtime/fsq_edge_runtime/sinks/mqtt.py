"""Records to an MQTT broker, kept in a bounded buffer while it is away."""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from fsq_edge_runtime.mqtt_link import MqttAddress, MqttLink
from fsq_edge_runtime.sinks.files import json_line
from fsq_edge_runtime.sinks.home_assistant import BIRTH, PREFIX, HomeAssistant
from fsq_edge_runtime.stream.records import Decision, Record, StreamEvent

MAX_IN_FLIGHT = 64
CLOSE_TIMEOUT_S = 0.8
WAIT_S = 0.1
LOOK_S = 0.01
PATIENCE_S = 60.0  # a replay gives up when the broker has taken nothing for so long


class MqttSink:
    """Publishes every record as JSON on one topic, and ``online`` or ``offline`` (retained) on ``TOPIC/status``.

    With quality of service 1 or 2 a record is delivered once the broker is back, unless the buffer overflowed: then
    the oldest made way. ``offline`` is this client's last will.

    With ``home`` every stream is announced to Home Assistant, retained, on each connection and whenever Home Assistant
    starts; the newest state of each stream is retained below the topic.

    Args:
        address: broker and topic.
        limit: records kept while the broker is away.
        latency: with latencies.
        home: makes the payloads for Home Assistant; None sends none.
        remove: take back what sinks of this topic announced, instead.
        live: a full buffer drops the oldest; False waits for the broker.
        stop: once it is set, a replay no longer waits.

    Attributes:
        name: ``mqtt``.
        counters: records published, records dropped, connections.
        error: after :meth:`close`, why records never arrived; they count as dropped.

    Raises:
        UnavailableError: paho-mqtt is not installed, or the broker cannot be had the first time.
    """

    def __init__(
        self,
        address: MqttAddress,
        limit: int = 10_000,
        *,
        latency: bool = True,
        home: HomeAssistant | None = None,
        remove: bool = False,
        live: bool = True,
        stop: threading.Event | None = None,
    ) -> None:
        self.name = "mqtt"
        self.counters = {"records": 0, "dropped": 0, "connections": 0}
        self._address, self._limit, self._latency = address, limit, latency
        self._buffer: deque[Record] = deque()  # made into JSON by the sender: a stream does not pay for it
        self._wake = threading.Event()
        self._closing = False
        # What the broker has not acknowledged, and whether it is a record; the sender's thread only until it ends.
        self._in_flight: deque[tuple[Any, bool]] = deque()
        self.error: OSError | None = None
        self._status = f"{address.topic}/status"
        self._home, self._remove = home, remove
        self._live, self._stop = live, stop or threading.Event()
        self._retained: dict[str, str] = {}  # what is to be published retained, by topic: the newest wins
        self._guard = threading.Lock()  # of the former; never held while paho is called
        self._states: dict[str, str] = {}  # the latest state that was queued, by topic
        self._link = MqttLink(address, self._up, will=(self._status, b"offline"))
        self._link.client.on_publish = self._on_publish
        self._link.client.on_message = self._on_message
        self._link.open()
        self._thread = threading.Thread(target=self._send, name="mqtt sender", daemon=True)
        self._thread.start()

    def write(self, record: Record) -> None:
        """Put a record into the buffer; never blocks a live stream.

        Raises:
            OSError: in a replay, the broker has taken nothing for ``PATIENCE_S``.
        """
        if not self._live:
            self._wait_until(lambda: len(self._buffer) < self._limit)
        self._buffer.append(record)
        if len(self._buffer) > self._limit:
            self._buffer.popleft()
            self.counters["dropped"] += 1
        if self._home is not None and not self._remove:
            if isinstance(record, Decision):
                self._show(self._home, record)
            elif isinstance(record, StreamEvent) and record.kind == "alert":
                self._home.mark(record)
        self._wake.set()
        if not self._live and isinstance(record, StreamEvent) and record.kind == "end":
            self._wait_until(lambda: not (self._buffer or self._retained or self._in_flight))

    def _wait_until(self, holds: Callable[[], bool]) -> None:
        taken, moved = self.counters["records"], time.monotonic()
        while not (holds() or self._stop.is_set()):
            if self.counters["records"] != taken:
                taken, moved = self.counters["records"], time.monotonic()
            if time.monotonic() - moved > PATIENCE_S:
                place = f"{self._address.host}:{self._address.port}"
                raise OSError(errno.ETIMEDOUT, "the MQTT broker takes nothing", place)
            self._wake.set()
            time.sleep(LOOK_S)

    def close(self) -> None:
        """Send what is buffered for at most ``CLOSE_TIMEOUT_S``, say ``offline`` and leave."""
        self._closing = True
        self._wake.set()
        self._thread.join(CLOSE_TIMEOUT_S)
        lost = len(self._buffer) + sum(record and not info.is_published() for info, record in self._in_flight)
        if lost:
            self.counters["dropped"] += lost
            why = "the MQTT broker did not take them" if self._link.connected else "the MQTT broker is away"
            self.error = OSError(errno.ENOTCONN, why, f"{self._address.host}:{self._address.port}")
        if self._link.connected:
            self._link.client.publish(self._status, b"offline", qos=0, retain=True)
        self._link.close()

    def _up(self) -> None:
        self.counters["connections"] = self._link.connections
        self._link.client.publish(self._status, b"online", qos=0, retain=True)
        if self._home is not None:
            self._link.client.subscribe(f"{PREFIX}/device/+/config" if self._remove else BIRTH[0], 1)
            if not self._remove:
                self._announce(self._home)
        self._wake.set()

    def _show(self, home: HomeAssistant, record: Decision) -> None:
        """Queue a stream's state where it has changed, and its device the first time."""
        state = home.state(record)
        if state is None or self._states.get(state[0]) == state[1]:
            return
        new = [] if state[0] in self._states else [home.announcement(record.stream)]
        self._states.update([state])
        self._retain(*new, state)

    def _announce(self, home: HomeAssistant) -> None:
        """Queue every device and state again: a broker that was started anew may have forgotten them."""
        self._retain(*home.announcements(), *dict(self._states).items())

    def _retain(self, *messages: tuple[str, str]) -> None:
        with self._guard:
            self._retained.update(messages)

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        if self._home is None:
            return
        if self._remove:
            if message.payload and self._home.is_ours(message.payload):
                node = message.topic.split("/")[-2]
                self._retain((message.topic, ""), (self._home.state_topic(node), ""))
        elif (message.topic, message.payload) == BIRTH:
            self._announce(self._home)
        self._wake.set()

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        # Called with paho's own locks held: nothing here may wait for the sender, who may be inside publish().
        self._wake.set()

    def _send(self) -> None:
        deadline: float | None = None
        while True:
            self._wake.wait(WAIT_S)
            self._wake.clear()
            while self._in_flight and self._in_flight[0][0].is_published():
                self._in_flight.popleft()
            while self._retained and self._link.connected and len(self._in_flight) < MAX_IN_FLIGHT:
                self._publish_retained()
            while self._buffer and self._link.connected and len(self._in_flight) < MAX_IN_FLIGHT:
                self._publish(self._buffer.popleft())
            if self._closing:
                deadline = deadline or time.monotonic() + CLOSE_TIMEOUT_S
                if not (self._buffer or self._retained or self._in_flight) or time.monotonic() > deadline:
                    return

    def _publish(self, record: Record) -> None:
        payload = json_line(record, latency=self._latency).rstrip("\n").encode()
        info = self._link.client.publish(self._address.topic, payload, qos=self._address.qos)
        if info.rc == 0:
            self._in_flight.append((info, True))
            self.counters["records"] += 1
        elif self._address.qos == 0:
            self.counters["dropped"] += 1  # the connection went while it was handed over
        else:
            self.counters["records"] += 1  # paho keeps it and sends it when the connection is back

    def _publish_retained(self) -> None:
        with self._guard:
            topic = next(iter(self._retained))
            payload = self._retained.pop(topic)
        info = self._link.client.publish(topic, payload.encode(), qos=max(1, self._address.qos), retain=True)
        if info.rc == 0:
            self._in_flight.append((info, False))
