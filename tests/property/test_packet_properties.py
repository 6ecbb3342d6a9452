"""Packed packets are found again after any noise; none is invented."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge_runtime.sources.packets import MAGIC, PacketBuffer, encode_packet, packet_bytes

OFTEN = settings(max_examples=60, deadline=None, derandomize=True)
noise = st.one_of(st.binary(max_size=40), st.just(MAGIC), st.just(MAGIC + b"\x06"), st.just(MAGIC * 9))


def packet(number: int) -> bytes:
    return encode_packet(20_000 * number, [number + channel / 8 for channel in range(6)], number)


def feed(data: bytes, sizes: list[int]):
    counters: dict[str, int] = {}
    buffer, rows, at = PacketBuffer(6, counters), [], 0
    for size in [*sizes, len(data)]:
        rows += buffer.feed(data[at : at + size])
        at += size
    rows += buffer.feed(bytes(2 * packet_bytes(6)))  # pushes out what a false start still holds back
    return rows, counters


@OFTEN
@given(parts=st.lists(noise, min_size=1, max_size=12), sizes=st.lists(st.integers(0, 30), max_size=30))
def test_every_sound_packet_is_found_whatever_lies_between(parts, sizes):
    data = b"".join(part + packet(number) for number, part in enumerate(parts))
    rows, counters = feed(data, sizes)
    assert [row[1] for row in rows] == [0.02 * number for number in range(len(parts))]
    assert [row[2] for row in rows] == [[number + channel / 8 for channel in range(6)] for number in range(len(parts))]
    assert counters["lost"] == 0


@OFTEN
@given(data=st.data(), sizes=st.lists(st.integers(0, 30), max_size=10))
def test_a_flipped_bit_costs_one_packet_and_is_counted(data, sizes):
    whole = bytearray(b"".join(packet(number) for number in range(8)))
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    hit = bit // 8 // packet_bytes(6)
    rows, counters = feed(bytes(whole), sizes)
    assert [row[2][0] for row in rows] == [float(number) for number in range(8) if number != hit]
    assert counters["malformed"] >= 1
    assert counters["lost"] == (1 if 0 < hit < 7 else 0)  # before the first and after the last nobody can know


def test_another_channel_count_is_refused_and_the_counter_wraps():
    counters: dict[str, int] = {}
    buffer = PacketBuffer(6, counters)
    assert buffer.feed(encode_packet(0, [0.0] * 4) + bytes(40)) == []
    assert counters["malformed"] >= 1
    for number in range(600):
        (row,) = buffer.feed(packet(number))
        assert np.float32(row[2][0]) == number
    assert counters["lost"] == 0
