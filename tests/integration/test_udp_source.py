"""UDP on loopback: lines, JSON and packets; what is lost, doubled or overtaken on the way."""

from __future__ import annotations

import json
import socket
import time

import numpy as np
import pytest

from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.sources.notices import Notices
from fsq_edge_runtime.sources.packets import encode_packet
from fsq_edge_runtime.sources.udp import UdpSource
from tests.factories.bundles import motion, random_bundle
from tests.factories.live import Reader, eventually
from tests.factories.streams import stream

CHANNELS = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")


def sender(source: UdpSource) -> socket.socket:
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.connect(("127.0.0.1", source.port))
    return out


def test_loss_and_reordering_become_a_gap_and_late_samples() -> None:
    rows = motion(1000)
    order = [at for at in range(0, 1000, 5) if not 400 <= at < 430]  # six datagrams lost: more than the longest gap
    order[20], order[21] = order[21], order[20]  # one overtakes another
    order.insert(70, order[69])  # one comes twice
    source = UdpSource("127.0.0.1", 0, CHANNELS)
    with Reader(source) as reader, sender(source) as out:
        for number, at in enumerate(order, start=1):
            times = [sample / 50 for sample in range(at, at + 5)]
            out.send(json.dumps({"t": times, "x": rows[at : at + 5].tolist()}).encode())
            eventually(lambda number=number: source.counters["datagrams"] == number, "the datagram")
        reader.wait_for(975)
        chunks = [(chunk.samples, chunk.timestamps) for chunk in reader.chunks]
    assert source.counters == {"datagrams": 195, "samples": 975, "malformed": 0, "overflowed": 0}
    records = stream(random_bundle(), chunks)
    with random_bundle().open_session(backend="onnx") as session:
        for samples, times in chunks:
            session.push(samples, times)
        totals = session.totals
    assert (totals.late, totals.duplicate, totals.gaps, totals.clock_jumps) == (5 + 4, 1, 1, 0)
    gaps = [line for line in records if line["type"] == "gap"]
    # The overtaken datagram comes late and is dropped: a hole of a tenth of a second, which is bridged.
    assert [(round(gap["t_start"], 2), round(gap["t_end"], 2), gap["cause"]) for gap in gaps] == [(7.98, 8.6, "gap")]
    windows = [line for line in records if line["type"] == "decision"]
    assert [line["seq"] for line in windows] == list(range(len(windows)))
    assert len(windows) == (400 - 100) // 50 + 1 + (570 - 100) // 50 + 1
    assert not any(line["t_start"] < 8.6 and line["t_end"] > 7.99 for line in windows)


def test_lines_json_and_packets_in_one_stream() -> None:
    rows = motion(6)
    source = UdpSource("127.0.0.1", 0, CHANNELS)
    with Reader(source) as reader, sender(source) as out:
        out.send((",".join(f"{value:.9g}" for value in rows[0]) + "\n").encode())
        reader.wait_for(1)
        out.send(json.dumps({"t": 0.02, "x": rows[1].tolist()}).encode())
        reader.wait_for(2)
        out.send(encode_packet(40_000, rows[2].tolist(), 0) + encode_packet(60_000, rows[3].tolist(), 1))
        reader.wait_for(4)
        out.send(encode_packet(80_000, rows[5].tolist(), 3))
        assert np.array_equal(reader.wait_for(5), rows[[0, 1, 2, 3, 5]])
        assert source.counters["lost"] == 1
        for bad in (b"", b"\xff" * 60000, b'{"x": [1]}', b"1,2,3", b"[" * 5000, b'{"t": 1e999, "x": [0,0,0,0,0,0]}'):
            before = source.counters["datagrams"]
            out.send(bad)
            eventually(lambda before=before: source.counters["datagrams"] > before, "the bad datagram")
        # An empty datagram holds nothing that could be bad.
        eventually(lambda: source.counters["malformed"] == 5, "five that are malformed")
        assert len(reader.samples()) == 5


def test_what_the_system_had_no_room_for_is_counted_and_said_once() -> None:
    notices = Notices(lambda line: None)
    source = UdpSource("127.0.0.1", 0, CHANNELS, notices=notices)
    line = b",".join([b"0.1"] * 6) + b"\n"
    sent = 200
    with sender(source) as out:
        for _ in range(sent):
            out.send(line * 2000)  # while nobody reads
        with Reader(source) as reader:
            reader.wait_for(2000)
            while not source.counters["overflowed"]:  # the next one that has room brings the count
                out.send(line)
                sent += 1
                time.sleep(0.05)
            eventually(lambda: source.counters["datagrams"] + source.counters["overflowed"] == sent, "all of them")
    assert [said for said in notices.lines if "the system lost some" in said] == notices.lines != []


def test_senders_and_stream_ids_are_kept_apart() -> None:
    source = UdpSource("127.0.0.1", 0, CHANNELS, by_sender=True)
    with Reader(source) as reader, sender(source) as one, sender(source) as two:
        for out in (one, two):
            out.send(b'{"x": [0, 0, 1, 0, 0, 0]}')
        one.send(b'{"x": [0, 0, 1, 0, 0, 0], "stream": "wrist"}')
        reader.wait_for(3)
        names = {f"127.0.0.1:{out.getsockname()[1]}" for out in (one, two)}
        assert {chunk.stream for chunk in reader.chunks} == {*names, "wrist"}


def test_an_address_that_cannot_be_had_is_unavailable() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(UnavailableError, match="cannot listen"):
            UdpSource("127.0.0.1", taken.getsockname()[1], CHANNELS)
