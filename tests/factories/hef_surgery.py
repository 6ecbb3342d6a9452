"""Take fields out of a HEF's protobuf or put others in, and make length and checksum right again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fsq_edge_runtime.testing.hef_writer import seal

HEADER_BYTES = 44  # of header version 2
Fields = list[tuple[int, int, bytes]]  # number, wire type, encoded value (without the length of a submessage)


def varint(value: int) -> bytes:
    """Encode a number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def read(message: bytes) -> Fields:
    """Split a message into its fields."""
    fields: Fields = []
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        start = at
        if key & 7 == 0:
            _, at = _varint(message, at)
        elif key & 7 == 2:
            size, start = _varint(message, at)
            at = start + size
        else:
            at += {1: 8, 5: 4}[key & 7]
        fields.append((key >> 3, key & 7, message[start:at]))
    return fields


def write(fields: Fields) -> bytes:
    """Join fields to a message."""
    parts = []
    for number, kind, value in fields:
        parts += [varint(number << 3 | kind), varint(len(value)) if kind == 2 else b"", value]
    return b"".join(parts)


def edit(message: bytes, path: Sequence[int], change: Callable[[Fields], Fields]) -> bytes:
    """Change the fields of every message at a path of field numbers; () is the message itself."""
    fields = read(message)
    if not path:
        return write(change(fields))
    inside = [
        (number, kind, edit(value, path[1:], change) if number == path[0] and kind == 2 else value)
        for number, kind, value in fields
    ]
    return write(inside)


def without(hef: bytes, path: Sequence[int]) -> bytes:
    """Return a HEF (header version 2, no weights) without any field at a path."""
    return _sealed(hef, path[:-1], lambda fields: [field for field in fields if field[0] != path[-1]])


def having(hef: bytes, path: Sequence[int], value: int | bytes) -> bytes:
    """Return a HEF in which the field at a path has this value alone, a number or the bytes of a submessage."""
    kind, encoded = (2, value) if isinstance(value, bytes) else (0, varint(value))
    last = path[-1]
    return _sealed(
        hef, path[:-1], lambda fields: [*(field for field in fields if field[0] != last), (last, kind, encoded)]
    )


def paths(message: bytes, depth: int = 12) -> set[tuple[int, ...]]:
    """Return the paths of all fields, descending into what reads as a message."""
    found: set[tuple[int, ...]] = set()
    for number, kind, value in read(message):
        found.add((number,))
        if kind == 2 and value and depth:
            try:
                found |= {(number, *path) for path in paths(value, depth - 1)}
            except (IndexError, KeyError):
                continue  # a string, not a message
    return found


def proto_of(hef: bytes) -> bytes:
    """Return the protobuf of a HEF of header version 2."""
    return hef[HEADER_BYTES : HEADER_BYTES + int.from_bytes(hef[8:12], "big")]


def _sealed(hef: bytes, path: Sequence[int], change: Callable[[Fields], Fields]) -> bytes:
    proto = proto_of(hef)
    return seal(edit(proto, path, change), hef[HEADER_BYTES + len(proto) :])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
