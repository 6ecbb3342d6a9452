"""A serial port: text lines or packed packets, opened again when the cable was pulled."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.sources.base import POLL_S, Backoff, Chunk
from fsq_edge_runtime.sources.columns import Wanted
from fsq_edge_runtime.sources.lines import LineBuffer, LineParser
from fsq_edge_runtime.sources.notices import Notices
from fsq_edge_runtime.sources.packets import PacketBuffer
from fsq_edge_runtime.sources.parsing import to_chunks

READ_BYTES = 4096


class SerialSource:
    """Reads one port.

    Args:
        device: e.g. ``/dev/ttyUSB0``.
        baud: bits per second.
        channels: names in the model's order, or pairs of name and unit.
        framing: ``lines`` (``[time,] x1, ..., xC`` or JSON) or ``packed`` (see ``packets``).
        notices: hears when nothing that comes can be read.

    Attributes:
        live: True.
        counters: samples, malformed lines or packets, lost packets, reconnects.

    Raises:
        UnavailableError: pyserial is not installed, or the port cannot be opened the first time.
    """

    live = True

    def __init__(
        self,
        device: str,
        baud: int,
        channels: Sequence[str | Wanted],
        *,
        framing: Literal["lines", "packed"] = "lines",
        notices: Notices | None = None,
    ) -> None:
        self._serial: Any = need("serial", "serial", "a serial source")
        self.counters = {"samples": 0, "reconnects": 0}
        self._device, self._baud, self._channels, self._framing = device, baud, channels, framing
        self._port: Any = None
        self._notices = notices or Notices()
        try:
            self._connect()
        except (OSError, ValueError) as error:  # SerialException is an OSError
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise UnavailableError(f"cannot open the serial port {device}: {why}") from error

    def chunks(self, stop: threading.Event) -> Iterator[Chunk]:
        """Yield samples as they come; a lost port is tried again until it is back or ``stop`` is set."""
        backoff = Backoff()
        while not stop.is_set():
            try:
                if self._port is None:
                    self._connect()
                    self.counters["reconnects"] += 1
                data = self._port.read(max(1, min(READ_BYTES, self._port.in_waiting)))
            except (OSError, TypeError):  # pyserial raises TypeError when the port is closed while it reads
                self._notices.say(
                    f"lost {self._device}", f"{self._device} went away; it is tried again until it is back"
                )
                self.close()
                stop.wait(backoff.next_s())
                continue
            if data:
                backoff.reset()
                for chunk in self._parse(data):
                    self.counters["samples"] += len(chunk.samples)
                    yield chunk

    def close(self) -> None:
        """Close the port."""
        port, self._port = self._port, None
        if port is not None:
            port.close()

    def _connect(self) -> None:
        self._port = self._serial.Serial(self._device, self._baud, timeout=POLL_S)
        # What was half read before belongs to no line or packet any more.
        self._lines = LineBuffer()
        self._parser = LineParser(
            self._channels, self.counters, header=False, origin=self._device, notices=self._notices
        )
        self._packets = PacketBuffer(len(self._channels), self.counters)

    def _parse(self, data: bytes) -> list[Chunk]:
        if self._framing == "packed":
            return to_chunks(self._packets.feed(data), time.monotonic_ns())
        lines = self._lines.feed(data)
        too_long, self._lines.dropped = self._lines.dropped, 0
        return self._parser.parse(lines, too_long)
