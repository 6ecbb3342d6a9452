"""Samples over UDP: datagrams of JSON lines, CSV rows or packed packets. What is lost stays lost, and is counted."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence

from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.ports import in_use_hint
from fsq_edge_runtime.sources.base import POLL_S, Chunk
from fsq_edge_runtime.sources.columns import Wanted
from fsq_edge_runtime.sources.lines import LineParser
from fsq_edge_runtime.sources.notices import Notices
from fsq_edge_runtime.sources.packets import MAGIC, PacketBuffer
from fsq_edge_runtime.sources.parsing import DEFAULT_STREAM, to_chunks

MAX_DATAGRAM = 1 << 16
RECEIVE_BUFFER = 1 << 20  # a second of many sensors while the engine is busy
SO_RXQ_OVFL = 40  # Linux hands on, with a datagram, how many it had no room for since the socket was opened
_MORE_ROOM = f", or give it more than {{}} kB of room: sudo sysctl net.core.rmem_max={RECEIVE_BUFFER}"
_LOST = struct.Struct("=I")


class UdpSource:
    """Listens on one address.

    Args:
        host: address to listen on; only what can reach it can send.
        port: 0 takes a free one (see :attr:`port`).
        channels: names in the model's order, or pairs of name and unit.
        by_sender: samples without a stream id belong to a stream named after their sender, ``host:port``.
        notices: hears when nothing that comes can be read.

    Attributes:
        live: True.
        counters: datagrams, samples, malformed lines and packets, lost packets (by their counter), and
            ``overflowed``, datagrams for which the system's buffer had no room.
        port: the port in use.

    Raises:
        UnavailableError: the address cannot be bound.
    """

    live = True

    def __init__(
        self,
        host: str,
        port: int,
        channels: Sequence[str | Wanted],
        *,
        by_sender: bool = False,
        notices: Notices | None = None,
    ) -> None:
        self.counters = {"datagrams": 0, "samples": 0, "overflowed": 0}
        self._by_sender, self._channels, self._notices = by_sender, channels, notices or Notices()
        self._lines = LineParser(channels, self.counters, header=False, origin="datagram", notices=notices)
        self._packets: dict[str, PacketBuffer] = {}
        try:
            self._socket = _listen(host, port)
        except OSError as error:
            raise UnavailableError(
                f"cannot listen on udp:{host}:{port}: {error.strerror or error}", hint=in_use_hint("udp", port, error)
            ) from error
        self._socket.settimeout(POLL_S)
        self.port: int = self._socket.getsockname()[1]

    def chunks(self, stop: threading.Event) -> Iterator[Chunk]:
        """Yield the samples of each datagram."""
        while not stop.is_set():
            try:
                data, said, _, sender = self._socket.recvmsg(MAX_DATAGRAM, socket.CMSG_SPACE(_LOST.size))
            except TimeoutError:
                continue
            if said:
                self._count_lost(said[0][2])
            self.counters["datagrams"] += 1
            for chunk in self._parse(data, f"{sender[0]}:{sender[1]}"):
                self.counters["samples"] += len(chunk.samples)
                yield chunk

    def _count_lost(self, said: bytes) -> None:
        (self.counters["overflowed"],) = _LOST.unpack(said)
        room = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # Linux doubles what it is given
        self._notices.say(
            f"overflow {self.port}",
            f"udp port {self.port}: datagrams came faster than they are read, and the system lost some: send fewer at "
            f"once{_MORE_ROOM.format(room // 1000) if room < RECEIVE_BUFFER else ''}",
        )

    def _parse(self, data: bytes, sender: str) -> list[Chunk]:
        name = sender if self._by_sender else DEFAULT_STREAM
        if data.startswith(MAGIC):
            if len(self._packets) > 4096:
                self._packets.clear()
            packets = self._packets.setdefault(sender, PacketBuffer(len(self._channels), self.counters))
            chunks = to_chunks(packets.feed(data), time.monotonic_ns())
        else:
            chunks = self._lines.parse([line for line in data.splitlines() if line.strip()])
        return [chunk._replace(stream=name) if chunk.stream == DEFAULT_STREAM else chunk for chunk in chunks]

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self._socket.close()


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
    )[0]
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        with contextlib.suppress(OSError):  # another system than Linux, which does not say it
            opened.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    return opened
