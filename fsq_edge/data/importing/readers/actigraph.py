"""ActiGraph recordings (``.gt3x``): a zip that holds ``info.txt`` and the records of ``log.bin``.

Idle sleep, when the device stops sampling since nothing moves, is left as it is: a hole in the times. Files of NHANES
and of firmware below 3 hold ``activity.bin`` in place of records.

Source: ActiGraph, "GT3X File Format" and "NHANES GT3X File Format" (public repositories of the manufacturer).
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fsq_edge.data.importing.inputs import ARCHIVE_ERRORS, InputFile
from fsq_edge.data.importing.reader import BLOCK_ROWS, Block, Column, Content, Description
from fsq_edge.data.importing.readers.actigraph_records import ACTIVITY, PARAMETERS, Records, accelerometer_scale
from fsq_edge_runtime.arrays import AnyArray, Float32Array
from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.files import first_line
from fsq_edge_runtime.tables.dialect import Dialect

TIME = "time"
AXES = ("acc_x", "acc_y", "acc_z")
MAX_LOG_BYTES = 8 << 30
MAX_INFO_BYTES = 1 << 16
NHANES_SCALE = 341.0
TICKS_PER_SECOND = 10_000_000
TICKS_TO_1970 = 621_355_968_000_000_000  # .NET ticks from the year 1
RATES = (1.0, 1000.0)


class ActigraphReader:
    """Reads gt3x files record by record, and decodes runs of equal records together."""

    name = "actigraph"
    about = "ActiGraph GT3X+, wGT3X-BT, GT9X Link and NHANES (.gt3x)"

    def recognizes(self, file: InputFile, head: bytes) -> bool:
        """Whether it is a zip that is called gt3x."""
        return file.suffix in (".gt3x", ".agdc") and head[:2] == b"PK" and not file.member

    def describe(self, file: InputFile, dialect: Dialect | None) -> Description:
        """Read ``info.txt``."""
        with _archive(file) as archive:
            info = _info(archive, file.name)
            scale = _scale(archive, info, file.name)
        rate = _number(info, "Sample Rate", file.name)
        if not RATES[0] <= rate <= RATES[1]:
            raise DataError(f"{file.name}: info.txt says a sample rate of {rate:g} Hz")
        facts: dict[str, Any] = {
            "device": f"ActiGraph {info.get('Device Type', '')}".strip(),
            "serial": info.get("Serial Number", ""),
            "firmware": info.get("Firmware", ""),
            "acc_step_g": 1 / scale,
            "time_zone_of_device": info.get("TimeZone", ""),
        }
        if _is_number(info.get("Acceleration Max", "")):
            facts["acc_range_g"] = abs(float(info["Acceleration Max"]))
        return Description(
            (Column(TIME, "s"), *(Column(name, "g", full_scale=facts.get("acc_range_g")) for name in AXES)),
            time=TIME,
            device_clock=True,
            rate_hz=rate,
            subject=info.get("Subject Name", ""),
            facts={name: value for name, value in facts.items() if value != ""},
            reasons={"reader": "it is a zip with info.txt and log.bin, as ActiGraph writes"},
        )

    def blocks(self, file: InputFile, description: Description, columns: Mapping[str, Content]) -> Iterator[Block]:
        """Yield the samples; errors as :class:`fsq_edge.data.importing.reader.Reader`."""
        rate = description.rate_hz or 0.0
        row = 1
        with _archive(file) as archive:
            info = _info(archive, file.name)
            scale = _scale(archive, info, file.name)
            try:
                if "log.bin" in archive.namelist():
                    parts = _records(archive, rate, scale)
                else:
                    parts = _continuous(archive, rate, _start(info, file.name))
                for times, values, dropped, others in parts:
                    axes = {name: values[:, i] for i, name in enumerate(AXES)}
                    yield Block({TIME: times, **axes}, row, dropped, others)
                    row += len(times)
            except ARCHIVE_ERRORS as error:
                raise DataError(f"{file.name} is damaged after {row - 1} samples: {first_line(error)}") from error


Part = tuple[AnyArray, Float32Array, Counter[str], Counter[str]]


def _records(archive: zipfile.ZipFile, rate: float, scale: float) -> Iterator[Part]:
    with archive.open("log.bin") as log:
        records = Records(log, MAX_LOG_BYTES)
        held: list[tuple[int, bytes]] = []
        kind = size = 0
        for number, second, payload in records:
            if number not in ACTIVITY:
                continue
            if held and (number != kind or len(payload) != size or len(held) * rate >= BLOCK_ROWS):
                yield _part(held, kind, rate, scale, records)
                held = []
            kind, size = number, len(payload)
            held.append((second, payload))
        yield _part(held, kind, rate, scale, records)


def _part(held: list[tuple[int, bytes]], kind: int, rate: float, scale: float, records: Records) -> Part:
    dropped, others = records.take_counts()
    if not held:
        return np.empty(0), np.empty((0, 3), np.float32), dropped, others
    unpack = ACTIVITY[kind]
    whole = [unpack(payload) for _, payload in held]
    samples = len(whole[0])
    step = 1 / max(rate, samples)  # a second never holds more than itself
    times = np.array([second for second, _ in held], np.float64)[:, None] + np.arange(samples) * step
    values = np.concatenate(whole) / np.float32(scale)
    return times.reshape(-1), values.astype(np.float32), dropped, others


def _continuous(archive: zipfile.ZipFile, rate: float, start: float) -> Iterator[Part]:
    unpack = ACTIVITY[0]
    done = 0
    with archive.open("activity.bin") as log:
        while data := log.read(9 * (BLOCK_ROWS // 2)):  # nine bytes are two samples
            values = unpack(data) / np.float32(NHANES_SCALE)
            times = start + (done + np.arange(len(values))) / rate
            done += len(values)
            yield times, np.round(values, 3).astype(np.float32), Counter(), Counter()


def _archive(file: InputFile) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file.path)
    except OSError as error:
        raise MissingInputError(f"cannot read {file.path}: {error.strerror or error}") from error
    except ARCHIVE_ERRORS as error:
        raise DataError(f"{file.name} is not a readable gt3x file: {first_line(error)}") from error


def _info(archive: zipfile.ZipFile, name: str) -> dict[str, str]:
    members = archive.namelist()
    if "info.txt" not in members or not {"log.bin", "activity.bin"} & set(members):
        raise DataError(f"{name} holds no info.txt with log.bin or activity.bin", hint="is it a gt3x file?")
    try:
        with archive.open("info.txt") as file:
            text = file.read(MAX_INFO_BYTES).decode("utf-8-sig", "replace")
    except ARCHIVE_ERRORS as error:
        raise DataError(f"{name}: info.txt is damaged: {first_line(error)}") from error
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def _scale(archive: zipfile.ZipFile, info: dict[str, str], name: str) -> float:
    """Return the steps of one g: as info.txt says, else the record of parameters, else by the serial number."""
    stated = info.get("Acceleration Scale", "")
    if _is_number(stated) and 1 <= float(stated) <= 65536:
        return float(stated)
    if "log.bin" in archive.namelist():
        try:
            with archive.open("log.bin") as log:
                for number, _, payload in Records(log, 1 << 20):
                    found = accelerometer_scale(payload) if number == PARAMETERS else None
                    if found:
                        return found
        except ARCHIVE_ERRORS:
            pass  # a damaged log is reported when its samples are read
    serial = info.get("Serial Number", "")
    if re.match(r"(NEO|CLE|MRA)", serial):
        return 341.0
    if re.match(r"(MOS|TAS)", serial):
        return 256.0
    raise DataError(f"{name}: neither info.txt nor the serial number {serial!r} says the accelerometer's scale")


def _start(info: dict[str, str], name: str) -> float:
    return (int(_number(info, "Start Date", name)) - TICKS_TO_1970) / TICKS_PER_SECOND


def _number(info: Mapping[str, Any], key: str, name: str) -> float:
    if not _is_number(info.get(key, "")):
        raise DataError(f"{name}: info.txt says {key}: {info.get(key, 'nothing')!r}, expected a number")
    return float(info[key])


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d+)?", text) is not None
