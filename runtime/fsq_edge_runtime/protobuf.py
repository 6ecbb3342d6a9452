"""A bounded reader of the protobuf wire format: only what a HEF needs, and nothing an attacker can stretch.

A message is read once, field by field, without descending; a submessage is read when it is asked for. Work is bounded
by a budget of fields shared by the whole file and by a nesting limit. Where protobuf's rules are lenient and two
readers could disagree about a file (a wire type that differs from the schema's, a number beyond its type, two members
of a oneof), this reader refuses, because HailoRT must not see in a file what we did not.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from fsq_edge_runtime.protobuf_writer import varint

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

MAX_DEPTH = 24  # the deepest path of the schema, a mux inside a partial core op, is 12
MAX_FIELDS = 100_000  # a HEF of this model family has about 200; each costs about a microsecond and 250 bytes
MAX_TEXT_BYTES = 4096
MAX_MERGED_BYTES = 64 << 10  # no known writer splits a message; merging copies


class WireError(ValueError):
    """The bytes are not the message the schema says."""


class FieldBudget:
    """The number of fields that may still be read from one file."""

    __slots__ = ("remaining",)

    def __init__(self, limit: int = MAX_FIELDS) -> None:
        self.remaining = limit

    def spend(self, path: str) -> None:
        """Take one field from the budget.

        Raises:
            WireError: the budget is used up.
        """
        self.remaining -= 1
        if self.remaining < 0:
            raise WireError(f"{path}: more than {MAX_FIELDS} fields in the file")


class Message:
    """One message: its own fields by number, submessages still as bytes.

    Args:
        data: the encoded message.
        path: where it stands in the file, for error messages, e.g. ``network_group[0].context[1]``.
        budget: the file's field budget.
        depth: nesting level of this message; the root is 0.

    Raises:
        WireError: the bytes are not a protobuf message, or a limit is passed.
    """

    __slots__ = ("_budget", "_depth", "_fields", "path")

    def __init__(self, data: memoryview, path: str, budget: FieldBudget, depth: int = 0) -> None:
        if depth > MAX_DEPTH:
            raise WireError(f"{path}: nested deeper than {MAX_DEPTH} levels")
        self.path = path
        self._budget = budget
        self._depth = depth
        self._fields: dict[int, list[tuple[int, int | memoryview]]] = {}
        for number, wire_type, value in _read_fields(data, path, budget):
            self._fields.setdefault(number, []).append((wire_type, value))

    def __contains__(self, number: int) -> bool:
        """Whether the field is on the wire (proto3 leaves out zeros)."""
        return number in self._fields

    def _values(self, number: int, wire_type: int) -> list[int | memoryview]:
        found = self._fields.get(number, [])
        for actual, _ in found:
            if actual != wire_type:
                raise WireError(f"{self.path}: field {number} has wire type {actual}, expected {wire_type}")
        return [value for _, value in found]

    def _integer(self, number: int, wire_type: int) -> int:
        values = self._values(number, wire_type)
        return int(values[-1]) if values else 0

    def _blocks(self, number: int) -> list[memoryview]:
        return [value for value in self._values(number, BYTES) if isinstance(value, memoryview)]

    def uint(self, number: int, *, bits: int = 32) -> int:
        """Return an unsigned integer or enum, 0 when absent.

        Raises:
            WireError: it does not fit ``bits``.
        """
        value = self._integer(number, VARINT)
        if value >> bits:
            raise WireError(f"{self.path}: field {number} is {value}, more than {bits} bits hold")
        return value

    def uints(self, number: int, *, bits: int = 32) -> tuple[int, ...]:
        """Return repeated unsigned integers, written packed or one by one.

        Raises:
            WireError: one does not fit ``bits``, or the file's budget is used up.
        """
        numbers: list[int] = []
        for wire_type, value in self._fields.get(number, []):
            if wire_type == VARINT:
                numbers.append(int(value))
            elif wire_type == BYTES and isinstance(value, memoryview):
                position = 0
                while position < len(value):
                    self._budget.spend(self.path)
                    one, position = _read_varint(value, position, self.path)
                    numbers.append(one)
            else:
                raise WireError(f"{self.path}: field {number} has wire type {wire_type}, expected 0 or 2")
        if any(one >> bits for one in numbers):
            raise WireError(f"{self.path}: field {number} holds a number of more than {bits} bits")
        return tuple(numbers)

    def float32(self, number: int) -> float:
        """Return a 32-bit float, 0.0 when absent."""
        return float(struct.unpack("<f", self._integer(number, FIXED32).to_bytes(4, "little"))[0])

    def float64(self, number: int) -> float:
        """Return a 64-bit float, 0.0 when absent."""
        return float(struct.unpack("<d", self._integer(number, FIXED64).to_bytes(8, "little"))[0])

    def float64s(self, number: int) -> tuple[float, ...]:
        """Return repeated 64-bit floats, written packed or one by one.

        Raises:
            WireError: a packed block is not a multiple of 8 bytes, or the file's budget is used up.
        """
        numbers: list[float] = []
        for wire_type, value in self._fields.get(number, []):
            if wire_type == FIXED64:
                numbers.append(struct.unpack("<d", int(value).to_bytes(8, "little"))[0])
            elif wire_type == BYTES and isinstance(value, memoryview):
                if len(value) % 8:
                    raise WireError(f"{self.path}: field {number} holds {len(value)} bytes, not a multiple of 8")
                self._budget.remaining -= len(value) // 8
                self._budget.spend(self.path)
                numbers.extend(struct.unpack(f"<{len(value) // 8}d", value))
            else:
                raise WireError(f"{self.path}: field {number} has wire type {wire_type}, expected 1 or 2")
        return tuple(numbers)

    def raw(self, number: int) -> bytes:
        """Return a field of bytes; absent is empty, the last of several counts."""
        return b"".join(self._blocks(number)[-1:])

    def text(self, number: int) -> str:
        """Return a string, empty when absent.

        Raises:
            WireError: it is not UTF-8, has control characters, or is too long.
        """
        values = self._blocks(number)
        return self._decode(values[-1], number) if values else ""

    def texts(self, number: int) -> tuple[str, ...]:
        """Return repeated strings in file order; raises as :meth:`text`."""
        return tuple(self._decode(value, number) for value in self._blocks(number))

    def _decode(self, value: memoryview, number: int) -> str:
        if len(value) > MAX_TEXT_BYTES:
            raise WireError(f"{self.path}: text field {number} has {len(value)} bytes, more than {MAX_TEXT_BYTES}")
        try:
            text = bytes(value).decode("utf-8")
        except UnicodeDecodeError as error:
            raise WireError(f"{self.path}: text field {number} is not UTF-8") from error
        if not text.isprintable():
            # A name goes to terminals and logs: an escape sequence there is an attack, not a name.
            raise WireError(f"{self.path}: text field {number} has control characters")
        return text

    def message(self, number: int, name: str) -> Message:
        """Return a singular submessage, empty when absent; parts written separately are merged as protobuf merges them.

        Raises:
            WireError: it is not a message, nested too deep, or written in many large parts.
        """
        parts = self._blocks(number)
        if len(parts) > 1 and sum(map(len, parts)) > MAX_MERGED_BYTES:
            raise WireError(f"{self.path}.{name}: written in {len(parts)} parts of more than {MAX_MERGED_BYTES} bytes")
        data = parts[0] if len(parts) == 1 else memoryview(b"".join(parts))
        return Message(data, f"{self.path}.{name}", self._budget, self._depth + 1)

    def messages(self, number: int, name: str) -> Iterator[Message]:
        """Yield repeated submessages in file order."""
        for index, part in enumerate(self._blocks(number)):
            yield Message(part, f"{self.path}.{name}[{index}]", self._budget, self._depth + 1)

    def count(self, number: int) -> int:
        """Return how often the field is on the wire."""
        return len(self._fields.get(number, []))

    def encoded(self, *, without: tuple[int, ...] = ()) -> bytes:
        """Return the message's own fields as they are on the wire, except the numbers in ``without``.

        Fields of one number keep their order; those of different numbers, whose order means nothing, are sorted by it.
        """
        parts: list[bytes] = []
        for number in sorted(set(self._fields) - set(without)):
            for wire_type, value in self._fields[number]:
                key = varint(number << 3 | wire_type)
                if isinstance(value, memoryview):
                    parts += [key, varint(len(value)), bytes(value)]
                elif wire_type == VARINT:
                    parts += [key, varint(value)]
                else:
                    parts += [key, value.to_bytes(8 if wire_type == FIXED64 else 4, "little")]
        return b"".join(parts)

    def only_one_of(self, *numbers: int) -> int:
        """Return which member of a oneof is set, 0 for none.

        Raises:
            WireError: more than one is set; protobuf would keep the last, and readers could disagree.
        """
        present = [number for number in numbers if number in self]
        if len(present) > 1:
            raise WireError(f"{self.path}: fields {present} exclude each other")
        return present[0] if present else 0


def _read_fields(data: memoryview, path: str, budget: FieldBudget) -> Iterator[tuple[int, int, int | memoryview]]:
    position, end = 0, len(data)
    while position < end:
        budget.spend(path)
        key, position = _read_varint(data, position, path)
        number, wire_type = key >> 3, key & 7
        if not 1 <= number <= 0x1FFFFFFF:
            raise WireError(f"{path}: field number {number} is out of range")
        if wire_type == VARINT:
            value, position = _read_varint(data, position, path)
            yield number, wire_type, value
            continue
        if wire_type == BYTES:
            size, position = _read_varint(data, position, path)
        elif wire_type == FIXED64:
            size = 8
        elif wire_type == FIXED32:
            size = 4
        else:
            raise WireError(f"{path}: field {number} has wire type {wire_type}, which no HEF uses")
        if size > end - position:
            raise WireError(f"{path}: field {number} needs {size} bytes, {end - position} are left")
        block = data[position : position + size]
        position += size
        yield number, wire_type, block if wire_type == BYTES else int.from_bytes(block, "little")


def _read_varint(data: memoryview, position: int, path: str) -> tuple[int, int]:
    value, shift = 0, 0
    for index in range(position, min(position + 10, len(data))):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                raise WireError(f"{path}: a number of more than 64 bits")
            return value, index + 1
        shift += 7
    raise WireError(f"{path}: a number is cut off or longer than 10 bytes")
