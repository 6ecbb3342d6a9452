"""Files of real loggers' formats, made byte by byte from the public descriptions of the formats."""

from __future__ import annotations

import io
import struct
import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

EPOCH = datetime(1970, 1, 1)
START = datetime(2023, 5, 3, 12, 30, 0)
AX3, AX6 = 0x17, 0x64


def still_and_moving(samples: int, *, rate_hz: float = 25.0, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return accelerations in g, float32 (n, 3): gravity on z, a movement, a little noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / rate_hz
    xyz = np.stack([0.3 * np.sin(2 * np.pi * 1.5 * t), 0.2 * np.cos(2 * np.pi * 0.7 * t), np.ones(samples)], axis=1)
    return (xyz + rng.normal(0, 0.02, xyz.shape)).astype(np.float32)


def axivity_file(
    counts: npt.NDArray[np.integer[Any]],
    *,
    packed: bool = True,
    rate_code: int = 0x48,
    true_rate_hz: float = 25.0,
    start: datetime = START,
    skip_pages: tuple[int, ...] = (),
    light: int = 0,
) -> bytes:
    """Return a cwa file.

    Args:
        counts: (n, 3) steps of 1/256 g (packed: at most 511 times a power of two), or (n, 6) gyroscope then
            accelerometer steps of an AX6.
        packed: 3 axes of 10 bits and an exponent in 32 bits, else 16 bits a value.
        rate_code: of the pages; 0x48 is 25 Hz and +-8 g.
        true_rate_hz: at which the device's clock saw the samples.
        start: first sample, device clock.
        skip_pages: pages that are left out, as if lost.
        light: light field, whose upper bits hold the scales.
    """
    axes = counts.shape[1]
    per_page = 120 if packed else 480 // (2 * axes)
    nominal = 3200 / (1 << (15 - (rate_code & 15)))
    header = bytearray(1024)
    struct.pack_into("<2sHBHI", header, 0, b"MD", 1020, AX6 if axes == 6 else AX3, 31152, 7)
    header[36] = rate_code
    header[64:512] = b" " * 448
    pages = [bytes(header)]
    for number, at in enumerate(range(0, len(counts), per_page)):
        part = counts[at : at + per_page]
        page = bytearray(512)
        read_at = start + timedelta(seconds=(at + len(part)) / true_rate_hz)  # stamped when the page was full
        fraction = int(read_at.microsecond / 1e6 * 32768)
        offset = len(part) - int(fraction / 32768 * nominal)
        struct.pack_into("<2sHHII", page, 0, b"AX", 508, 0x8000 | fraction, 7, number)
        struct.pack_into("<IHHBBBB", page, 14, _packed_time(read_at), light, 0, 0, 0, rate_code, _layout(axes, packed))
        struct.pack_into("<hH", page, 26, offset, len(part))
        data = _packed_samples(part) if packed else part.astype("<i2").tobytes()
        page[30 : 30 + len(data)] = data
        total = sum(struct.unpack("<255H", page[:510])) & 0xFFFF
        struct.pack_into("<H", page, 510, -total & 0xFFFF)
        if number not in skip_pages:
            pages.append(bytes(page))
    return b"".join(pages)


def gt3x_file(
    counts: npt.NDArray[np.integer[Any]],
    *,
    kind: int = 26,
    rate: int = 30,
    scale: float = 256.0,
    start: datetime = START,
    asleep: tuple[int, ...] = (),
    between: bytes = b"",
    info: dict[str, str] | None = None,
) -> bytes:
    """Return a gt3x file.

    Args:
        counts: (n, 3) steps, x, y, z; n a multiple of ``rate``.
        kind: 0 (12 bits, y x z), 26 (16 bits) or 28 (12 bits, x y z).
        rate: of the samples.
        scale: steps of one g, as info.txt says.
        start: first second, device clock.
        asleep: seconds without a record.
        between: bytes after each record.
        info: more lines of info.txt.
    """
    log = bytearray(gt3x_record(6, 0, b'{"MetadataType":"Bios"}'))
    first = int((start - EPOCH).total_seconds())
    for second in range(len(counts) // rate):
        part = counts[second * rate : (second + 1) * rate]
        payload = (
            part.astype("<i2").tobytes() if kind == 26 else _twelve_bits(part[:, [1, 0, 2]] if kind == 0 else part)
        )
        if second not in asleep:
            log += gt3x_record(kind, first + second, payload) + between
        if second % 60 == 0:
            log += gt3x_record(2, first + second, struct.pack("<H", 4090))
    ticks = (first * 10_000_000) + 621_355_968_000_000_000
    lines = {
        "Serial Number": "TAS1F00000001",
        "Device Type": "Link",
        "Firmware": "1.7.1",
        "Sample Rate": str(rate),
        "Start Date": str(ticks),
        "TimeZone": "-05:00:00",
        "Acceleration Scale": f"{scale:.1f}",
        "Acceleration Max": "8.0",
        "Subject Name": "wearer-1",
        **(info or {}),
    }
    return zip_bytes(
        {
            "info.txt": "".join(f"{key}: {value}\r\n" for key, value in lines.items() if value).encode(),
            "log.bin": bytes(log),
        }
    )


def gt3x_record(kind: int, second: int, payload: bytes) -> bytes:
    """Return one record with its checksum."""
    body = struct.pack("<BBIH", 0x1E, kind, second, len(payload)) + payload
    check = 0
    for byte in body:
        check ^= byte
    return body + bytes([~check & 0xFF])


def zip_bytes(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of these members with fixed dates."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, compression)
    return out.getvalue()


def write_table(
    path: Path,
    columns: dict[str, Any],
    *,
    delimiter: str = ",",
    decimal: str = ".",
    preamble: str = "",
    encoding: str = "utf-8",
    end: str = "\n",
) -> Path:
    """Write columns as text: floats in the fewest digits that read back equal, all else as it is."""
    cells = [[_cell(value, decimal) for value in values] for values in columns.values()]
    lines = [delimiter.join(columns), *(delimiter.join(row) for row in zip(*cells, strict=True))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((preamble + end.join(lines) + end).encode(encoding))
    return path


def _cell(value: Any, decimal: str) -> str:
    if isinstance(value, float | np.floating):
        text = "" if np.isnan(value) else np.format_float_positional(value, unique=True, trim="0")
        return text.replace(".", decimal)
    return str(value)


def _packed_time(at: datetime) -> int:
    return ((at.year - 2000) << 26) | (at.month << 22) | (at.day << 17) | (at.hour << 12) | (at.minute << 6) | at.second


def _layout(axes: int, packed: bool) -> int:
    return (axes << 4) | (0 if packed else 2)


def _packed_samples(part: npt.NDArray[np.integer[Any]]) -> bytes:
    words = []
    for sample in part.tolist():
        exponent = 0
        while exponent < 3 and any(not -512 <= value >> exponent <= 511 for value in sample):
            exponent += 1
        word = exponent << 30
        for i, value in enumerate(sample):
            word |= ((value >> exponent) & 0x3FF) << (10 * i)
        words.append(word)
    return struct.pack(f"<{len(words)}I", *words)


def _twelve_bits(part: npt.NDArray[np.integer[Any]]) -> bytes:
    values = (part.reshape(-1) & 0xFFF).tolist()
    nibbles = [(value >> shift) & 15 for value in values for shift in (8, 4, 0)]
    nibbles += [0] * (len(nibbles) % 2)
    return bytes((nibbles[i] << 4) | nibbles[i + 1] for i in range(0, len(nibbles), 2))
