"""A reader of one's own: ``pip install ./examples/fsq-edge-reader-demo`` and `data import` knows ``.imu6`` files.

An imu6 file is a head of 16 bytes (the mark ``IMU6``, the rate in Hz and the start in seconds since 1970 as float32 and
float64) and then rows of six little-endian int16: acceleration in steps of 1/4096 g, rotation in steps of 1/16 deg/s.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

import numpy as np

from fsq_edge.data.importing.inputs import InputFile
from fsq_edge.data.importing.reader import Block, Column, Content, Description
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tables.dialect import Dialect

HEAD = struct.Struct("<4sfd")
ROWS = 1 << 16
AXES = tuple((f"{sensor}_{axis}", unit) for sensor, unit in (("acc", "g"), ("gyro", "deg/s")) for axis in "xyz")
SCALE = np.array([1 / 4096] * 3 + [1 / 16] * 3, np.float32)


class Imu6Reader:
    """Follows ``fsq_edge.data.importing.reader.Reader``."""

    name = "imu6"
    about = "imu6 files of the example logger (.imu6)"

    def recognizes(self, file: InputFile, head: bytes) -> bool:
        """Whether it begins with the mark."""
        return head[:4] == b"IMU6"

    def describe(self, file: InputFile, dialect: Dialect | None) -> Description:
        """Read the head."""
        head = file.head(HEAD.size)
        if len(head) < HEAD.size:
            raise DataError(f"{file.name} is cut short: {len(head)} bytes, its head has {HEAD.size}")
        _, rate, start = HEAD.unpack(head)
        if not 0 < rate <= 10_000:
            raise DataError(f"{file.name} states a rate of {rate:g} Hz")
        columns = (Column("time", "s"), *(Column(name, unit) for name, unit in AXES))
        return Description(columns, time="time", rate_hz=rate, facts={"start": start})

    def blocks(self, file: InputFile, description: Description, columns: Mapping[str, Content]) -> Iterator[Block]:
        """Yield the rows; what is left of a row at the end is counted, not hidden."""
        done, start, rate = 0, float(description.facts["start"]), description.rate_hz or 1.0
        with file.open() as stream:
            stream.read(HEAD.size)
            while data := stream.read(ROWS * 12):
                rows = np.frombuffer(data, "<i2", len(data) // 12 * 6).reshape(-1, 6) * SCALE
                found = {name: rows[:, i] for i, (name, _) in enumerate(AXES)}
                found["time"] = start + (done + np.arange(len(rows))) / rate
                yield Block(found, done + 1, {"row that is cut short": 1} if len(data) % 12 else {})
                done += len(rows)
