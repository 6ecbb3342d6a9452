"""Live sources under test: read on a thread, and waited for with a limit; a broker that can be killed and restarted."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
import pytest

from fsq_edge_runtime.sources.base import Chunk, Source

PATIENCE_S = 30.0  # only a broken test waits this long


def eventually(holds: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline, f"waited {patience_s:g} s in vain: {what}"
        time.sleep(0.01)


def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Reader:
    """Reads a source on a thread; closes it at the end."""

    def __init__(self, source: Source) -> None:
        self.source, self.taken = source, []
        self.error: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        try:
            for chunk in self.source.chunks(self._stop):
                self.taken.append(chunk)
        except Exception as error:
            self.error = error

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        self.source.close()
        assert not self._thread.is_alive()

    @property
    def chunks(self) -> list[Chunk]:
        return list(self.taken)

    def samples(self) -> np.ndarray:
        """Return all samples so far, (n, C)."""
        chunks = self.chunks
        return np.concatenate([chunk.samples for chunk in chunks]) if chunks else np.empty((0, 0), np.float32)

    def wait_for(self, count: int) -> np.ndarray:
        """Wait until so many samples have come; return them all."""
        eventually(lambda: self.error or len(self.samples()) >= count, f"{count} samples of {self.source.counters}")
        assert self.error is None
        return self.samples()


class Broker:
    """Mosquitto on a loopback port, started by the test.

    Args:
        folder: of its configuration and log.
        extra: further lines of the configuration.
        anonymous: let everybody in.
    """

    def __init__(self, folder: Path, extra: str = "", *, anonymous: bool = True) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.skip("the MQTT broker 'mosquitto' is not installed (apt install mosquitto)")
        self._program = program
        folder.mkdir(parents=True, exist_ok=True)
        config = f"listener {self.port} 127.0.0.1\npersistence false\nmax_queued_messages 0\n"
        config += f"allow_anonymous {str(anonymous).lower()}\n{extra}"
        (folder / "mosquitto.conf").write_text(config)

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = (self._folder / "mosquitto.log").open("ab")
        command = [self._program, "-c", str(self._folder / "mosquitto.conf")]
        self._process = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()
        eventually(self._answers, f"mosquitto on port {self.port}")

    def kill(self) -> None:
        """End it without a word to its clients."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def address(self, topic: str) -> str:
        return f"mqtt://127.0.0.1:{self.port}/{topic}"

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Listener:
    """An independent client that writes down what a topic carries."""

    def __init__(self, broker: Broker, topic: str, qos: int = 1) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self.subscriptions = 0
        import paho.mqtt.client as paho

        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda client, data, message: self.messages.append(
            (message.topic, message.payload, message.retain)
        )
        self.client.on_connect = lambda client, *rest: client.subscribe(topic, qos)
        self.client.on_subscribe = self._subscribed
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        eventually(lambda: self.subscriptions, "the listener's subscription")

    def _subscribed(self, *rest: object) -> None:
        self.subscriptions += 1

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def numbers(self, topic: str) -> list[int]:
        return [json.loads(payload)["n"] for at, payload, _ in self.messages if at == topic]
