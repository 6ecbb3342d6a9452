"""A Raspberry Pi with an MPU-6050 on I2C: read, classify, print every decision as a JSON line.

    python examples/pi_mpu6050.py dog.fsqb --bus /dev/i2c-1
    python examples/pi_mpu6050.py dog.fsqb --bus simulated --seconds 10

The hardware is one class, ``I2cBus``. ``SimulatedBus`` takes its place where there is no sensor: what it gives is
computed, not measured. Wiring: VCC 3.3 V, GND, SDA to pin 3, SCL to pin 5; ``sudo raspi-config`` enables I2C. For
200 Hz and more set ``dtparam=i2c_arm_baudrate=400000`` in /boot/firmware/config.txt.
"""

from __future__ import annotations

import argparse
import fcntl
import math
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from fsq_edge_runtime import Bundle
from fsq_edge_runtime.errors import FsqEdgeError, UnavailableError, UsageError
from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.sinks import open_sink
from fsq_edge_runtime.sources.base import Chunk

# Register map and product specification of the MPU-6000 and MPU-6050, revision 4.2.
ADDRESS = 0x68
SMPLRT_DIV, CONFIG, GYRO_CONFIG, ACCEL_CONFIG, ACCEL_XOUT_H, PWR_MGMT_1, WHO_AM_I = (
    0x19,
    0x1A,
    0x1B,
    0x1C,
    0x3B,
    0x6B,
    0x75,
)
LSB_PER_G, LSB_PER_DEG_S = 8192.0, 65.5  # at the full scales of 4 g and 500 deg/s that are set below
READING = struct.Struct(">7h")  # acceleration, temperature, rotation
FACTOR = {"g": 1.0, "m/s2": 9.80665, "deg/s": 1.0, "rad/s": math.pi / 180.0}
AXES = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
SHORT = {f"gyr_{axis}": f"gyro_{axis}" for axis in "xyz"}  # as many loggers name them


class Bus(Protocol):
    """What the reader needs of I2C."""

    def read(self, register: int, count: int) -> bytes:
        """Return so many bytes from a register on."""

    def write(self, register: int, value: int) -> None:
        """Set a register."""


class I2cBus:
    """A Linux I2C adapter, e.g. /dev/i2c-1; the only part that needs hardware."""

    _SLAVE = 0x0703  # ioctl I2C_SLAVE, linux/i2c-dev.h

    def __init__(self, path: str) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            fcntl.ioctl(self._file, self._SLAVE, ADDRESS)
        except OSError as error:
            raise UnavailableError(
                f"cannot open {path}: {error.strerror}",
                hint="is I2C enabled (sudo raspi-config), are you in group i2c?",
            ) from error

    def read(self, register: int, count: int) -> bytes:
        """Return so many bytes from a register on."""
        os.write(self._file, bytes([register]))
        return os.read(self._file, count)

    def write(self, register: int, value: int) -> None:
        """Set a register."""
        os.write(self._file, bytes([register, value]))


class SimulatedBus:
    """A simulated sensor: gravity and a swing of 2 Hz; one transfer in 500 fails, as on a loose wire."""

    def __init__(self) -> None:
        self._begun, self._transfers = time.monotonic(), 0

    def read(self, register: int, count: int) -> bytes:
        """Return what the simulated registers hold now."""
        self._transfers += 1
        if register == WHO_AM_I:
            return bytes([ADDRESS])
        if self._transfers % 500 == 0:
            raise OSError(121, "simulated: Remote I/O error")
        phase = 2 * math.pi * 2.0 * (time.monotonic() - self._begun)
        swing, noise = math.sin(phase), (self._transfers * 7919 % 64) - 32
        acceleration = (0.4 * swing * LSB_PER_G + noise, 0.2 * swing * LSB_PER_G - noise, LSB_PER_G + noise)
        rotation = (60 * swing * LSB_PER_DEG_S + noise, noise, -noise)
        return READING.pack(*(int(value) for value in (*acceleration, 0, *rotation)))[:count]

    def write(self, register: int, value: int) -> None:
        """The simulated sensor needs no settings."""


class Mpu6050Source:
    """The sensor as a source: one sample a period, stamped when it was read; a failed transfer is a missing sample."""

    live = True

    def __init__(self, bus: Bus, bundle: Bundle) -> None:
        config = bundle.preprocess
        names = [channel.name for channel in config.channels]
        axes = [SHORT.get(name, name) for name in names]
        unknown = [
            channel
            for channel, axis in zip(config.channels, axes, strict=True)
            if axis not in AXES or channel.unit not in FACTOR
        ]
        if unknown:
            raise UsageError(
                f"an MPU-6050 has no channel {unknown[0].name!r} in {unknown[0].unit!r}",
                hint=f"it gives {', '.join(AXES)} in {', '.join(FACTOR)}",
            )
        per_lsb = [1 / LSB_PER_G if axis < 3 else 1 / LSB_PER_DEG_S for axis in range(6)]
        self._axes = [AXES.index(axis) for axis in axes]
        self._scale = [
            per_lsb[axis] * FACTOR[channel.unit] for axis, channel in zip(self._axes, config.channels, strict=True)
        ]
        self._bus, self._period_s = bus, 1.0 / config.sample_rate_hz
        self.counters = {"samples": 0, "failed": 0}
        if bus.read(WHO_AM_I, 1)[0] & 0x7E != ADDRESS:
            raise UnavailableError("the device at address 0x68 is no MPU-6050", hint="try: i2cdetect -y 1")
        divider = max(0, min(255, round(1000.0 / config.sample_rate_hz) - 1))  # of the 1 kHz behind the filter
        for register, value in (
            (PWR_MGMT_1, 1), (CONFIG, 3), (SMPLRT_DIV, divider), (GYRO_CONFIG, 1 << 3), (ACCEL_CONFIG, 1 << 3),
        ):  # awake on the gyroscope's clock; 44 Hz low-pass; full scales  # fmt: skip
            bus.write(register, value)

    def chunks(self, stop: threading.Event) -> Iterator[Chunk]:
        """Yield a sample every period until ``stop`` is set."""
        due = time.monotonic()
        while not stop.is_set():
            due = max(due + self._period_s, time.monotonic() - 1.0)
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                raw = READING.unpack(self._bus.read(ACCEL_XOUT_H, READING.size))
            except OSError:
                self.counters["failed"] += 1
                continue
            values = (*raw[:3], *raw[4:])
            row = [values[axis] * scale for axis, scale in zip(self._axes, self._scale, strict=True)]
            self.counters["samples"] += 1
            now = time.monotonic()
            yield Chunk("0", np.asarray([row], np.float32), np.asarray([now]), time.monotonic_ns())

    def close(self) -> None:
        """The bus is left open: the process ends with it."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Classify the motion of an MPU-6050.")
    parser.add_argument("bundle", help="NAME.fsqb, of acc_x to gyro_z or some of them")
    parser.add_argument("--bus", default="/dev/i2c-1", help="I2C adapter, or 'simulated'")
    parser.add_argument("--sink", default="jsonl:-", help="as of fsq-edge run")
    parser.add_argument("--seconds", type=float, help="stop after this time")
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        bundle = Bundle.open(arguments.bundle)
        bus: Bus = SimulatedBus() if arguments.bus == "simulated" else I2cBus(arguments.bus)
        sink = open_sink(arguments.sink)
        if arguments.seconds is not None:
            timer = threading.Timer(arguments.seconds, stop.set)
            timer.daemon = True
            timer.start()
        with bundle.open_session(backend="auto") as session:
            Runner(session, [Mpu6050Source(bus, bundle)], [sink]).run(stop)
        sink.close()
    except FsqEdgeError as error:
        print(f"error: {error}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
