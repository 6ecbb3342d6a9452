"""Records to an MQTT broker, kept in a bounded buffer while it is away."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from fsq_edge_runtime.mqtt_link import MqttAddress, MqttLink
from fsq_edge_runtime.sinks.files import json_line
from fsq_edge_runtime.stream.records import Record

MAX_IN_FLIGHT = 64
CLOSE_TIMEOUT_S = 0.8
WAIT_S = 0.1


class MqttSink:
    """Publishes every record as JSON on one topic, and ``online`` or ``offline`` (retained) on ``TOPIC/status``.

    With quality of service 1 or 2 a record is delivered once the broker is back, unless the buffer overflowed: then
    the oldest made way. ``offline`` is this client's last will.

    Args:
        address: broker and topic.
        limit: records kept while the broker is away.
        latency: with latencies.

    Attributes:
        name: ``mqtt``.
        counters: records published, records dropped, connections.

    Raises:
        UnavailableError: paho-mqtt is not installed, or the broker cannot be had the first time.
    """

    def __init__(self, address: MqttAddress, limit: int = 10_000, *, latency: bool = True) -> None:
        self.name = "mqtt"
        self.counters = {"records": 0, "dropped": 0, "connections": 0}
        self._address, self._limit, self._latency = address, limit, latency
        self._buffer: deque[str] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._in_flight: deque[Any] = deque()  # what the broker has not acknowledged; the sender's thread only
        self._status = f"{address.topic}/status"
        self._link = MqttLink(address, self._up, will=(self._status, b"offline"))
        self._link.client.on_publish = self._on_publish
        self._link.open()
        self._thread = threading.Thread(target=self._send, name="mqtt sender", daemon=True)
        self._thread.start()

    def write(self, record: Record) -> None:
        """Put a record into the buffer; never blocks."""
        self._buffer.append(json_line(record, latency=self._latency).rstrip("\n"))
        if len(self._buffer) > self._limit:
            self._buffer.popleft()
            self.counters["dropped"] += 1
        self._wake.set()

    def close(self) -> None:
        """Send what is buffered for at most ``CLOSE_TIMEOUT_S``, say ``offline`` and leave."""
        self._closing = True
        self._wake.set()
        self._thread.join(CLOSE_TIMEOUT_S)
        self.counters["dropped"] += len(self._buffer)
        if self._link.connected:
            self._link.client.publish(self._status, b"offline", qos=0, retain=True)
        self._link.close()

    def _up(self) -> None:
        self.counters["connections"] = self._link.connections
        self._link.client.publish(self._status, b"online", qos=0, retain=True)
        self._wake.set()

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        # Called with paho's own locks held: nothing here may wait for the sender, who may be inside publish().
        self._wake.set()

    def _send(self) -> None:
        deadline: float | None = None
        while True:
            self._wake.wait(WAIT_S)
            self._wake.clear()
            while self._in_flight and self._in_flight[0].is_published():
                self._in_flight.popleft()
            while self._buffer and self._link.connected and len(self._in_flight) < MAX_IN_FLIGHT:
                self._publish(self._buffer.popleft())
            if self._closing:
                deadline = deadline or time.monotonic() + CLOSE_TIMEOUT_S
                if not (self._buffer or self._in_flight) or time.monotonic() > deadline:
                    return

    def _publish(self, payload: str) -> None:
        info = self._link.client.publish(self._address.topic, payload.encode(), qos=self._address.qos)
        if info.rc == 0:
            self._in_flight.append(info)
            self.counters["records"] += 1
        elif self._address.qos == 0:
            self.counters["dropped"] += 1  # the connection went while it was handed over
        else:
            self.counters["records"] += 1  # paho keeps it and sends it when the connection is back
