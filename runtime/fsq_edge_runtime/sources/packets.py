r"""Packed binary samples, for microcontrollers: found again after noise, checked by a CRC.

    offset  size  content
    0       2     F5 51
    2       1     number of channels C
    3       1     counter, modulo 256 (lost packets are counted)
    4       8     time, unsigned microseconds of the device's clock
    12      4 C   the channels, float32
    12+4C   2     CRC-16/CCITT-FALSE of all bytes before it

All numbers little-endian.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Sequence

from fsq_edge_runtime.sources.parsing import DEFAULT_STREAM, Row

MAGIC = b"\xf5\x51"
_HEAD = struct.Struct("<2sBBQ")
_CRC = struct.Struct("<H")


def packet_bytes(channels: int) -> int:
    """Return the length of one packet."""
    return _HEAD.size + 4 * channels + _CRC.size


def encode_packet(time_us: int, values: Sequence[float], counter: int = 0) -> bytes:
    """Return one packet, as a device would send it."""
    body = _HEAD.pack(MAGIC, len(values), counter % 256, time_us) + struct.pack(f"<{len(values)}f", *values)
    return body + _CRC.pack(binascii.crc_hqx(body, 0xFFFF))


class PacketBuffer:
    """Finds packets in a stream of bytes.

    Args:
        channels: C; packets of another count are refused.
        counters: ``malformed`` (runs of bytes that belong to no sound packet) and ``lost`` are counted here.
    """

    def __init__(self, channels: int, counters: dict[str, int]) -> None:
        self._size = packet_bytes(channels)
        self._channels, self._counters = channels, counters
        self._values = struct.Struct(f"<{channels}f")
        self._rest = b""
        self._expected: int | None = None
        self._in_noise = False
        counters.setdefault("malformed", 0)
        counters.setdefault("lost", 0)

    def feed(self, data: bytes) -> list[Row]:
        """Take bytes; return the samples of the packets that are now complete."""
        buffer = self._rest + data
        rows: list[Row] = []
        at = 0
        while (found := buffer.find(MAGIC, at)) >= 0 and len(buffer) - found >= self._size:
            self._skip(found - at)
            packet = buffer[found : found + self._size]
            if self._is_sound(packet):
                rows.append(self._row(packet))
                self._in_noise = False
                at = found + self._size
            else:
                self._skip(1)
                at = found + 1  # the magic may have been part of other bytes: look again right behind it
        # The last byte may be the first of a magic.
        until = found if found >= 0 else max(at, len(buffer) - buffer.endswith(MAGIC[:1]))
        self._skip(until - at)
        self._rest = buffer[until:]
        return rows

    def _skip(self, count: int) -> None:
        """Give up bytes; those that follow each other count once."""
        if count > 0 and not self._in_noise:
            self._in_noise = True
            self._counters["malformed"] += 1

    def _is_sound(self, packet: bytes) -> bool:
        crc = _CRC.unpack_from(packet, self._size - _CRC.size)[0]
        return packet[2] == self._channels and crc == binascii.crc_hqx(packet[: -_CRC.size], 0xFFFF)

    def _row(self, packet: bytes) -> Row:
        _, _, counter, time_us = _HEAD.unpack_from(packet)
        if self._expected is not None and (skipped := (counter - self._expected) % 256) < 128:  # else it came late
            self._counters["lost"] += skipped
        self._expected = (counter + 1) % 256
        return DEFAULT_STREAM, time_us / 1e6, list(self._values.unpack_from(packet, _HEAD.size))
