"""Streams as public loggers and sketches write them, with motion of our own in them.

Each form was written down from a public source before it was run: sketches and loggers of repositories, documentation
of devices. What is right is stated beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from tests.factories.bundles import motion

RATE = 50.0
COUNT = 400


@dataclass(frozen=True)
class Foreign:
    """One form.

    Attributes:
        name: for the test.
        source: what writes it.
        text: the whole stream.
        said: what a note or the error must contain; every text of it.
        samples: how many samples are read; 0 where the form is refused.
        step_s: median step of the times that are read; None where there are none.
        wrong_values: the values are in another unit or order and so differ from the motion.
    """

    name: str
    source: str
    text: str
    said: tuple[str, ...] = ()
    samples: int = COUNT
    step_s: float | None = 1 / RATE
    wrong_values: bool = False


def rows(count: int = COUNT) -> np.ndarray:
    return motion(count).astype(np.float32)


def lines(row: Callable[[int, Sequence[float]], str], head: str = "", end: str = "\n") -> str:
    body = end.join(row(number, values.tolist()) for number, values in enumerate(rows()))
    return head + body + end


def joined(values: Sequence[float], mark: str = ",", digits: int = 9) -> str:
    return mark.join(f"{value:.{digits}g}" for value in values)


START = datetime(2024, 5, 3, 23, 59, 57)


def clock(number: int) -> datetime:
    return START + timedelta(milliseconds=20 * number)


NAMES = "acc_x,acc_y,acc_z,gyr_x,gyr_y,gyr_z"

RECORDINGS = (
    Foreign(
        "sense-hat-datetime-last",
        "Raspberry Pi Sense HAT logger with csv.writer (KelfordManor/ESA): datetime.now() as the last column",
        lines(lambda i, v: f"20.1,1013.2,{joined(v)},{clock(i)}", f"temp,pres,{NAMES},datetime\n"),
        ("'datetime'", "temp, pres"),
    ),
    Foreign(
        "picoquake-comments",
        "PicoQuake acquisition file (PLab-SI/PicoQuake): comment lines, then count, no time",
        lines(lambda i, v: f"{i + 1},{joined(v)}", f"# PLab\n# Time: 2024-04-21\n# 50 Hz\ncount,{NAMES}\n"),
        ("header is line 4", "count"),
        step_s=None,
    ),
    Foreign(
        "millis-in-timestamp",
        "Python logger of a rover: round((time - start) * 1000) under timestamp",
        lines(lambda i, v: f"{20 * i},{joined(v)},0,0,0", f"timestamp,{NAMES},pitch,roll,yaw\n"),
        ("milliseconds", "pitch, roll, yaw"),
    ),
    Foreign(
        "metawear",
        "MetaBase app (mbientlab): epoch (ms), local time, elapsed (s), one sensor with its unit",
        "epoch (ms),time (-07:00),elapsed (s),x-axis (g),y-axis (g),z-axis (g)\n1714780797000,T,0.0,0,0,1\n" * 9,
        ("no column 'acc_x'", "x-axis (g)"),
        samples=0,
    ),
    Foreign(
        "empatica",
        "Empatica E4 ACC.csv: start in the first row, rate in the second, then bare values of 1/64 g",
        "1714780797.0,1714780797.0,1714780797.0\n32.0,32.0,32.0\n" + "1,2,63\n" * 100,
        ("no column 'acc_x'",),
        samples=0,
    ),
    Foreign(
        "lis3dh-utime",
        "Raspberry Pi LIS3DH logger (HSSBoston/raspi-python): utime (s), X (G), Y (G), Z (G)",
        "utime (s),X (G),Y (G),Z (G)\n" + "1714780797.01,0,0,1\n" * 20,
        ("no column 'acc_x'", "utime (s)"),
        samples=0,
    ),
    Foreign(
        "excel-german",
        "a table saved by a German Excel: sep line, semicolons, decimal commas, byte order mark",
        "\ufeffsep=;\r\n"
        + lines(
            lambda i, v: f"{i / RATE:.2f};{joined(v, ';')}".replace(".", ","),
            f"Timestamp;{NAMES.replace(',', ';')}\r\n",
            "\r\n",
        ),
        ("';'", "decimal comma"),
    ),
    Foreign(
        "pandas-index",
        "DataFrame.to_csv with its index: a first column without a name",
        lines(lambda i, v: f"{i},{i / RATE},{joined(v)}", f",timestamp,{NAMES}\n"),
    ),
    Foreign(
        "wall-clock",
        "loggers that write %H:%M:%S.%f, over midnight",
        lines(lambda i, v: f"{clock(i):%H:%M:%S.%f},{joined(v)}", f"time,{NAMES}\n"),
        ("midnight",),
    ),
    Foreign(
        "epoch-nanoseconds",
        "Sensor Logger (phone): time in nanoseconds since 1970, with the channels under our names",
        lines(
            lambda i, v: f"{1714780797000000000 + 20_000_000 * i},{i / RATE},{joined(v)}",
            f"time,seconds_elapsed,{NAMES}\n",
        ),
        ("nanoseconds", "seconds_elapsed"),
    ),
    Foreign(
        "whole-second-clock",
        "loggers with DateTime.Now to the second: fifty samples share each time",
        lines(lambda i, v: f"{clock(i):%Y-%m-%d %H:%M:%S},{joined(v)}", f"Timestamp,{NAMES}\n"),
        ("share the timestamp", "spread"),
    ),
    Foreign(
        "header-in-a-comment",
        "a camera rig's debug log (writeIMUFrameCSV): the header stands behind a number sign, quaternions behind",
        lines(lambda i, v: f"{1714780797 + i / RATE:.6f},{joined(v)},1,0,0,0", f"# timestamp,{NAMES},qw,qx,qy,qz\n"),
        ("not read: qw",),
    ),
    Foreign(
        "sd-card-sketch",
        "SD card logger of a sketch: Time;msDelta;Acc_X;..., many more columns, semicolons and points",
        lines(
            lambda i, v: f"{20 * i};20;{joined(v, ';')};1.5;2.5;-33.4",
            f"Time;msDelta;{';'.join(n.title() for n in NAMES.split(','))};Tilt_X;Tilt_Y;Lat\n",
        ),
        ("';'", "milliseconds", "msDelta"),
    ),
    Foreign(
        "phone-app-mixed-case",
        "step tracking app: timestamp,acc_X,..., milliseconds since 1970, a header that ends in a blank",
        lines(
            lambda i, v: f"{1714780797000 + 20 * i},{joined(v)},1.5,48.2",
            f"timestamp,{NAMES.replace('_x', '_X').replace('_y', '_Y').replace('_z', '_Z')},speed,latitude \n",
        ),
        ("milliseconds", "speed, latitude"),
    ),
    Foreign(
        "edge-impulse-windows",
        "IMU data set layout for Edge Impulse: time_ms, pads shorter captures with rows of NaN",
        lines(lambda i, v: f"{20 * i},{joined(v)}", f"time_ms,{NAMES}\n"),
        ("milliseconds",),
    ),
    Foreign(
        "restarted-logger",
        "a data logger that appends after a power cut and writes its header again",
        lines(
            lambda i, v: f"{i / RATE},{joined(v)}" + (f"\ntimestamp,{NAMES}" if i == 200 else ""),
            f"timestamp,{NAMES}\n",
        ),
        ("header is repeated",),
    ),
)

LIVE = (
    Foreign(
        "sketch-millis",
        "Arduino sketch (Lumiwarum/AML-term-project): millis(), then six values, comma and blank",
        lines(lambda i, v: f"{20 * i}, {joined(v, ', ')}", end="\r\n"),
        ("milliseconds",),
        step_s=0.02,
    ),
    Foreign(
        "sketch-seconds",
        "Arduino sketch (amir-kedis/embedded-systems-labs): millis() / 1000.0 with two decimals",
        lines(lambda i, v: f"{i / RATE:.2f},{joined(v)}", "Failed to find MPU6050 chip\r\n", "\r\n"),
    ),
    Foreign(
        "sketch-header-and-counter",
        "Arduino sketch with the header n,ax,ay,az,gx,gy,gz",
        lines(lambda i, v: f"{i},{joined(v)}", "n,ax,ay,az,gx,gy,gz\r\n", "\r\n"),
        ("does not name the channels", "count the samples"),
        step_s=None,
    ),
    Foreign(
        "sketch-excel-streamer",
        "sketch for the PLX-DAQ tool (ispaik06/MPU6050_KalmanFilter): CLEARDATA, then rows that begin with Data,",
        lines(lambda i, v: f"Data,{joined(v)}", "CLEARDATA\r\nAcX,AcY,AcZ,GyX,GyY,GyZ\r\n", "\r\n"),
        ("none of the first", "Data,", "a line is [time,] acc_x"),
        samples=0,
    ),
    Foreign(
        "sketch-temperature-behind",
        "sketch with the header t_ms,ax_g,...,temp_C: one value too many",
        lines(lambda i, v: f"{20 * i},{joined(v)},24.5", "t_ms,ax_g,ay_g,az_g,gx_deg_s,gy_deg_s,gz_deg_s,temp_C\n"),
        ("none of the first", "8 values"),
        samples=0,
    ),
    Foreign(
        "serial-plotter",
        "Arduino's serial plotter: label:value pairs",
        lines(lambda i, v: " ".join(f"{n}:{x:.3f}" for n, x in zip("abcdef", v, strict=True))),
        ("none of the first",),
        samples=0,
    ),
    Foreign(
        "sketch-time-behind",
        "Arduino sketch (rmadukayil/gait-freezing-detection): six values, then millis()",
        lines(lambda i, v: f"{joined(v)},{20 * i}", end="\r\n"),
        ("steps back",),
        wrong_values=True,
        step_s=None,
    ),
    Foreign(
        "i2cdevlib-tabs",
        "the examples of i2cdevlib print tabs",
        lines(lambda i, v: f"{i / RATE:.2f}\t{joined(v, chr(9))}", end="\r\n"),
    ),
    Foreign(
        "micropython-blanks",
        "MicroPython logger: format('{} {} {} {}')",
        lines(lambda i, v: f"{i / RATE:.2f} {joined(v, ' ')}"),
    ),
    Foreign(
        "header-in-another-order",
        "a sketch that names our channels, the gyroscope first",
        lines(
            lambda i, v: f"{i / RATE:.2f},{joined([*v[3:], *v[:3]])}",
            "t,gyr_x,gyr_y,gyr_z,acc_x,acc_y,acc_z\r\n",
            "\r\n",
        ),
    ),
)
