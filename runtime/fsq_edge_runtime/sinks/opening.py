"""From what ``--sink`` says to a sink."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fsq_edge_runtime.addresses import check_host, redacted
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.sinks.base import Sink
from fsq_edge_runtime.sinks.files import CsvSink, JsonlSink, Output
from fsq_edge_runtime.sinks.queued import QueuedSink

if TYPE_CHECKING:
    from fsq_edge_runtime.session import Session

FORMS = (
    "jsonl:-",
    "jsonl:FILE[?append]",
    "csv:-",
    "csv:FILE",
    "mqtt://[USER@]HOST[:PORT]/TOPIC[?homeassistant=1]",
    "http:HOST:PORT",
    "influx:FILE",
    "influx:udp://HOST:PORT",
    "influx:http://HOST:8086/?org=O&bucket=B",
    "influx:http://HOST:8086/?db=D",
    "parquet:DIR",
    "webhook:URL",
    "webhook:env:NAME",
)


def open_sink(
    text: str,
    *,
    latency: bool = True,
    scores: bool = False,
    queued: bool = True,
    stop: threading.Event | None = None,
    model: str = "",
    classes: Sequence[str] = (),
    session: Session | None = None,
) -> Sink:
    """Open a sink.

    Args:
        text: one of ``FORMS``.
        latency: write latencies; without them a replay gives the same bytes every time.
        scores: write the probabilities of every class (JSON lines, webhook and Parquet).
        queued: put slow sinks behind a bounded queue, as a live stream needs; a replay waits instead and loses nothing.
        stop: once it is set, a file, pipe or receiver that takes nothing is given up after a moment.
        model: name of the bundle, for Home Assistant.
        classes: what a label can be, for Home Assistant.
        session: what the live page names: bundle, classes, channels.

    Raises:
        UsageError: not such a form.
        UnavailableError: a file, address, broker or package that cannot be had.
    """
    kind, _, place = text.partition(":")
    if kind == "jsonl" and place:
        path, _, option = place.partition("?")
        if option not in ("", "append"):
            raise UsageError(f"{text!r}: unknown option {option!r}", hint="jsonl:FILE?append")
        output = Output(None if path == "-" else Path(path), append=option == "append", stop=stop)
        sink: Sink = JsonlSink(output, latency=latency, scores=scores)
        return QueuedSink(sink) if queued else sink
    if kind == "csv" and place:
        sink = CsvSink(Output(None if place == "-" else Path(place), stop=stop))
        return QueuedSink(sink) if queued else sink
    if kind in ("mqtt", "mqtts"):
        return _mqtt(text, latency, model, classes, queued, stop)
    if kind == "http":
        return _http(place, text, session)
    if kind == "influx" and place:
        from fsq_edge_runtime.sinks.influx import open_influx

        return open_influx(place, live=queued, stop=stop)
    if kind == "parquet" and place:
        from fsq_edge_runtime.sinks.parquet import ParquetSink

        sink = ParquetSink(Path(place), scores=scores)
        return QueuedSink(sink) if queued else sink
    if kind == "webhook" and place:
        from fsq_edge_runtime.sinks.webhook import open_webhook

        return open_webhook(place, latency=latency, scores=scores, live=queued, stop=stop)
    raise UsageError(f"unknown sink {redacted(text)!r}", hint="one of " + ", ".join(FORMS))


def _mqtt(
    text: str, latency: bool, model: str, classes: Sequence[str], live: bool, stop: threading.Event | None
) -> Sink:
    from fsq_edge_runtime.mqtt_link import MqttAddress
    from fsq_edge_runtime.sinks.home_assistant import HomeAssistant
    from fsq_edge_runtime.sinks.mqtt import MqttSink

    address = MqttAddress.parse(text)
    if {"+", "#"} & set(address.topic):
        raise UsageError(f"{redacted(text)!r}: a topic to publish to has no wildcards")
    home = HomeAssistant(address.topic, model, classes) if address.home else None
    return MqttSink(address, latency=latency, home=home, remove=address.home == "remove", live=live, stop=stop)


def _http(place: str, text: str, session: Session | None) -> Sink:
    from fsq_edge_runtime.monitor import MonitorSink
    from fsq_edge_runtime.monitor.about import About

    host, port = split_address(place, text)
    return MonitorSink(host, port, None if session is None else About.of(session))


def split_address(place: str, text: str) -> tuple[str, int]:
    """Split ``[HOST:]PORT``; the host is 127.0.0.1 by default.

    Raises:
        UsageError: not an address.
    """
    host, _, port = place.rpartition(":")
    if not (port.isascii() and port.isdecimal() and len(port) < 6) or int(port) > 65535:
        raise UsageError(
            f"{redacted(text)!r} is not an address", hint="HOST:PORT, the port up to 65535: 127.0.0.1:8080"
        )
    return check_host(host.strip("[]") or "127.0.0.1", text), int(port)
