"""A small gateway: many sensors over MQTT in, changes of label over MQTT out, one process.

    python examples/gateway.py dog.fsqb --broker 127.0.0.1:1883 --sensors 'imu/+' --out decisions

Every sensor publishes ``{"t": seconds, "x": [C values]}``, or lists of both, under a topic of its own; the topic is
the name of its stream. Windows that become due together run as one batch. Published are the changes, not the
steady state; ``decisions/status`` says ``online`` or, by the last will, ``offline``.

``--simulated N`` publishes the motion of N simulated sensors through the same broker, for a try without hardware.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import threading
import time

from fsq_edge_runtime import Bundle
from fsq_edge_runtime.errors import FsqEdgeError
from fsq_edge_runtime.mqtt_link import MqttAddress, MqttLink
from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.sinks.base import Sink
from fsq_edge_runtime.sinks.mqtt import MqttSink
from fsq_edge_runtime.sources.mqtt import MqttSource
from fsq_edge_runtime.stream import Record
from fsq_edge_runtime.stream.records import Decision


class Changes:
    """Lets through what differs from the stream's record before it: labels, abstentions, events."""

    def __init__(self, sink: Sink) -> None:
        self.name, self.counters, self._sink = "changes", sink.counters, sink
        self._last: dict[str, tuple[str | None, str | None]] = {}

    def write(self, record: Record) -> None:
        """Pass a record on if it is news."""
        if isinstance(record, Decision):
            now = (record.label, record.missed)
            if self._last.get(record.stream, ()) == now:
                return
            self._last[record.stream] = now
        self._sink.write(record)

    def close(self) -> None:
        """Close the sink behind."""
        self._sink.close()


def simulate(count: int, broker: str, sensors: str, bundle: Bundle, stop: threading.Event) -> None:
    """Publish the simulated motion of ``count`` sensors, a tenth of a second at a time, until ``stop`` is set."""
    config = bundle.preprocess
    link = MqttLink(MqttAddress.parse(f"mqtt://{broker}/{sensors}"), lambda: None)
    link.open()
    step, at = max(1, int(config.sample_rate_hz / 10)), 0
    while not stop.wait(step / config.sample_rate_hz):
        times = [number / config.sample_rate_hz for number in range(at, at + step)]
        for sensor in range(count):
            pace = 0.5 + sensor % 7
            rows = [
                [math.sin(2 * math.pi * pace * t + channel) for channel in range(len(config.channels))] for t in times
            ]
            topic = sensors.replace("+", f"simulated-{sensor}")
            link.client.publish(topic, json.dumps({"t": times, "x": rows}), qos=1)
        at += step
    link.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Classify many sensors of one broker.")
    parser.add_argument("bundle")
    parser.add_argument("--broker", default="127.0.0.1:1883", metavar="HOST:PORT")
    parser.add_argument("--sensors", default="imu/+", help="topic filter of the samples")
    parser.add_argument("--out", default="decisions", help="topic of the changes")
    parser.add_argument("--simulated", type=int, default=0, metavar="N", help="also simulate N sensors")
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        bundle = Bundle.open(arguments.bundle)
        source = MqttSource(
            MqttAddress.parse(f"mqtt://{arguments.broker}/{arguments.sensors}?qos=1"), len(bundle.preprocess.channels)
        )
        sink = Changes(MqttSink(MqttAddress.parse(f"mqtt://{arguments.broker}/{arguments.out}?qos=1")))
        if arguments.simulated:
            threading.Thread(
                target=simulate,
                args=(arguments.simulated, arguments.broker, arguments.sensors, bundle, stop),
                daemon=True,
            ).start()
        begun = time.monotonic()
        with bundle.open_session(backend="auto") as session:
            facts = Runner(session, [source], [sink]).run(stop)
        sink.close()
        took = time.monotonic() - begun
        print(f"{facts['streams']} sensors, {facts['windows']} windows in {took:.0f} s, {facts['missed']} missed")
    except FsqEdgeError as error:
        print(f"error: {error}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
