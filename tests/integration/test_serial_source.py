"""A pseudo-terminal as the serial port: lines, packed packets, noise, a cable that is pulled and plugged in again."""

from __future__ import annotations

import os
import tty
from pathlib import Path

import numpy as np
import pytest

from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.sources.notices import Notices
from fsq_edge_runtime.sources.packets import encode_packet
from fsq_edge_runtime.sources.serial import SerialSource
from tests.factories.bundles import motion
from tests.factories.live import Reader, eventually

CHANNELS = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")


class Cable:
    """A device file that leads to a pseudo-terminal; pulling it closes the far end."""

    def __init__(self, folder: Path) -> None:
        self.device = folder / "ttyIMU"
        self._far, self._near = -1, -1

    def plug(self) -> None:
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        fresh = self.device.with_suffix(".new")
        fresh.symlink_to(os.ttyname(self._near))
        fresh.replace(self.device)

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._far, data) :]

    def pull(self) -> None:
        self.device.unlink()
        os.close(self._near)
        os.close(self._far)


@pytest.fixture
def cable(tmp_path: Path) -> Cable:
    made = Cable(tmp_path)
    made.plug()
    return made


def line(at: float, row: np.ndarray) -> bytes:
    return (",".join([f"{at:.2f}", *(f"{value:.9g}" for value in row)]) + "\r\n").encode()


def test_lines_with_noise_and_a_pulled_cable(cable: Cable) -> None:
    rows = motion(60)
    notices = Notices(lambda line: None)
    source = SerialSource(str(cable.device), 115200, CHANNELS, notices=notices)
    with Reader(source) as reader:
        cable.send(b"5,0.1,-0.")  # somewhere within a line
        cable.send(b"\n\xff\xfe garbage\n1,2,3\n" + line(0.0, rows[0])[:-2] + b",7\n")
        for number in range(30):
            text = line(number / 50, rows[number])
            cable.send(text[:11])
            cable.send(text[11:])
        assert np.array_equal(reader.wait_for(30), rows[:30])
        assert source.counters["malformed"] == 4
        cable.send(b"0.62,1.0,2")  # lost with the cable: half a line belongs to nothing after that
        cable.pull()
        cable.plug()
        eventually(lambda: source.counters["reconnects"] == 1, "the port is opened again")
        assert notices.lines == [f"{cable.device} went away; it is tried again until it is back"]
        cable.send(b"".join(line(number / 50, rows[number]) for number in range(30, 60)))
        assert np.array_equal(reader.wait_for(60), rows)
        times = np.concatenate([chunk.timestamps for chunk in reader.chunks])
        assert np.allclose(times, np.arange(60) / 50)
    cable.pull()


def test_packed_packets_with_garbage_losses_and_a_pulled_cable(cable: Cable) -> None:
    rows = motion(80)
    packets = [encode_packet(20_000 * number, row.tolist(), number) for number, row in enumerate(rows)]
    source = SerialSource(str(cable.device), 921600, CHANNELS, framing="packed")
    with Reader(source) as reader:
        cable.send(packets[0][7:] + b"\xf5\x51\x06 no packet at all")
        cable.send(b"".join(packets[:20]) + b"\x00\xf5" + b"".join(packets[23:40]))
        broken = bytearray(packets[40])
        broken[20] ^= 4
        cable.send(bytes(broken) + packets[41])
        kept = [*range(20), *range(23, 40), 41]
        assert np.array_equal(reader.wait_for(len(kept)), rows[kept])
        assert source.counters["lost"] == 3 + 1
        assert source.counters["malformed"] >= 2
        cable.send(packets[42][:9])
        cable.pull()
        cable.plug()
        eventually(lambda: source.counters["reconnects"] == 1, "the port is opened again")
        cable.send(b"".join(packets[50:]))
        kept += range(50, 80)
        assert np.array_equal(reader.wait_for(len(kept)), rows[kept])
        times = np.concatenate([chunk.timestamps for chunk in reader.chunks])
        assert np.allclose(times, np.asarray(kept) / 50)
    cable.pull()


def test_a_port_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot open the serial port") as caught:
        SerialSource(str(tmp_path / "ttyNONE"), 9600, CHANNELS)
    assert caught.value.exit_code == 69
