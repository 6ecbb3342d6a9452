"""Writing the protobuf wire format, one field at a time; the counterpart of :mod:`fsq_edge_runtime.protobuf`.

Scalars that are zero are left out, as proto3 writers do.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct


def varint(value: int) -> bytes:
    """Return an integer from 0 to 2^64 - 1 as a varint."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def number_field(number: int, value: int) -> bytes:
    """Return field ``number`` as an integer from 0 to 2^64 - 1; nothing for 0."""
    return varint(number << 3) + varint(value) if value else b""


def float_field(number: int, value: float) -> bytes:
    """Return field ``number`` as a 32-bit float; nothing for 0."""
    return varint(number << 3 | 5) + struct.pack("<f", value) if value else b""


def double_field(number: int, value: float) -> bytes:
    """Return field ``number`` as a 64-bit float; nothing for 0."""
    return varint(number << 3 | 1) + struct.pack("<d", value) if value else b""


def nested_field(number: int, *parts: bytes) -> bytes:
    """Return field ``number`` as a message, or as bytes, made of ``parts``."""
    data = b"".join(parts)
    return varint(number << 3 | 2) + varint(len(data)) + data


def text_field(number: int, value: str) -> bytes:
    """Return field ``number`` as a string; nothing for an empty one."""
    return nested_field(number, value.encode()) if value else b""
