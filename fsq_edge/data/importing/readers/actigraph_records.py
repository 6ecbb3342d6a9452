"""The records of an ActiGraph ``log.bin``: framing, checksums, and how acceleration is packed.

Source: ActiGraph, "GT3X File Format": README, Activity, Activity2, Parameters.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np

from fsq_edge_runtime.arrays import AnyArray

SEPARATOR = 0x1E
HEADER = struct.Struct("<BBIH")
READ_BYTES = 1 << 20
MAX_PAYLOAD = 1 << 14  # the largest known record of one second: 100 samples of 3 axes and 2 bytes, many times over
MAX_DAMAGE = 10_000
PARAMETERS = 21
ACCEL_SCALE = (0, 55)
KINDS = {
    2: "battery",
    3: "event",
    4: "heart rate",
    5: "lux",
    6: "metadata",
    7: "tag",
    9: "epoch",
    11: "heart rate (ANT)",
    12: "epoch",
    13: "capacitive sense",
    14: "heart rate (BLE)",
    15: "epoch",
    16: "epoch",
    19: "FIFO error",
    20: "FIFO dump",
    21: "parameters",
    24: "sensor schema",
    25: "sensor data (gyroscope and magnetometer of a Link, not read)",
}


class Records:
    """Reads records one after another, and finds the next sound one after damage.

    Args:
        stream: of the log.
        limit: most bytes to read.
    """

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream, self._left = stream, limit
        self._dropped: Counter[str] = Counter()
        self._others: Counter[str] = Counter()
        self._damage = 0

    def take_counts(self) -> tuple[Counter[str], Counter[str]]:
        """Return what was dropped, and records that hold no acceleration, since the last call."""
        counts = +self._dropped, +self._others
        self._dropped, self._others = Counter(), Counter()
        return counts

    def __iter__(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield type, second since 1970 on the device's clock, and payload.

        Raises:
            ValueError: so much is damaged that it is no log.
        """
        data, at = b"", 0
        while True:
            if len(data) - at < HEADER.size + MAX_PAYLOAD + 1:
                data, at = data[at:] + self._read(), 0
            if len(data) - at < HEADER.size + 1:
                self._dropped["bytes of a cut record"] += len(data[at:].strip(b"\x00"))
                return
            separator, number, second, size = HEADER.unpack_from(data, at)
            if separator == SEPARATOR and size <= MAX_PAYLOAD:
                end = at + HEADER.size + size
                if end < len(data) and _checksum(data, at, end) == data[end]:
                    yield from self._sound(number, second, data[at + HEADER.size : end])
                    at = end + 1
                    continue
                self._hurt("record whose checksum is wrong" if end < len(data) else "record that is cut short")
            at = self._next(data, at)

    def _sound(self, number: int, second: int, payload: bytes) -> Iterator[tuple[int, int, bytes]]:
        if number in ACTIVITY:
            if len(payload) > 1 and len(ACTIVITY[number](payload[:9])):
                yield number, second, payload
            else:
                self._others["activity record without samples (USB connected)"] += 1
            return
        self._others[KINDS.get(number, f"unknown record 0x{number:02x}")] += 1
        if number == PARAMETERS:
            yield number, second, payload

    def _next(self, data: bytes, at: int) -> int:
        """Where the next record may begin; zeros between records are no damage."""
        following = data.find(SEPARATOR, at + 1)
        following = len(data) if following < 0 else following
        if data[at] != SEPARATOR and data[at:following].strip(b"\x00"):
            self._hurt("stretch between records")
        return following

    def _hurt(self, what: str) -> None:
        self._dropped[what] += 1
        self._damage += 1
        if self._damage > MAX_DAMAGE:
            raise ValueError(f"more than {MAX_DAMAGE} damaged records")

    def _read(self) -> bytes:
        data = self._stream.read(min(READ_BYTES, self._left))
        self._left -= len(data)
        return data


def _checksum(data: bytes, begin: int, end: int) -> int:
    return ~int(np.bitwise_xor.reduce(np.frombuffer(data, np.uint8, end - begin, begin))) & 0xFF


def unpack_12_bits(payload: bytes) -> AnyArray:
    """Return pairs of nibble-packed values as int16 (n, 3), in the order of the file; a last half byte is padding."""
    data = np.frombuffer(payload, np.uint8)
    data = np.concatenate([data, np.zeros(-len(data) % 3, np.uint8)]).reshape(-1, 3).astype(np.int16)
    values = np.stack([(data[:, 0] << 4) | (data[:, 1] >> 4), ((data[:, 1] & 15) << 8) | data[:, 2]], axis=1).reshape(
        -1
    )
    samples = len(payload) * 8 // 36
    signed = np.where(values > 2047, values - 4096, values).astype(np.int16)
    return signed[: samples * 3].reshape(-1, 3)


def _activity(payload: bytes) -> AnyArray:
    return unpack_12_bits(payload)[:, [1, 0, 2]]  # stored as y, x, z


def _activity_2(payload: bytes) -> AnyArray:
    return np.frombuffer(payload, "<i2", len(payload) // 6 * 3).reshape(-1, 3)


ACTIVITY: dict[int, Callable[[bytes], AnyArray]] = {0: _activity, 26: _activity_2, 28: unpack_12_bits}


def accelerometer_scale(payload: bytes) -> float | None:
    """Return the steps of one g from a record of parameters; None where it does not say."""
    for at in range(0, len(payload) - 7, 8):
        address, identifier, value = struct.unpack_from("<HHI", payload, at)
        if (address, identifier) == ACCEL_SCALE:
            mantissa = value & 0xFFFFFF
            exponent = value >> 24
            mantissa -= (1 << 24) if mantissa >= 1 << 23 else 0
            exponent -= 256 if exponent >= 128 else 0
            scale = mantissa / (1 << 23) * 2.0**exponent
            return scale if 1 <= scale <= 65536 else None
    return None
