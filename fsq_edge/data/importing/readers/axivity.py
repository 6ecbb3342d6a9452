"""Axivity AX3 and AX6 recordings (``.cwa``): a header of 1,024 bytes, then pages of 512 bytes.

Source: Open Movement, "AX3 technical documentation" (layout of header and page, packing, timestamps); the fields that
the AX6 added (axis count, scale of the accelerometer and range of the gyroscope in the bits of the light field) are
those of the public description of the format, ``cwa.h``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fsq_edge.data.importing.inputs import InputFile
from fsq_edge.data.importing.reader import Block, Column, Content, Description
from fsq_edge.data.importing.readers.axivity_clock import PageClock
from fsq_edge_runtime.arrays import AnyArray, Float32Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tables.dialect import Dialect

PAGE_BYTES = 512
HEADER_BYTES = 1024
BATCH_PAGES = 2048  # a mebibyte
SAMPLE_BYTES = 480
PAGE = np.dtype(
    [
        ("magic", "S2"),
        ("length", "<u2"),
        ("fraction", "<u2"),
        ("session", "<u4"),
        ("sequence", "<u4"),
        ("time", "<u4"),
        ("light", "<u2"),
        ("temperature", "<u2"),
        ("events", "u1"),
        ("battery", "u1"),
        ("rate", "u1"),
        ("axes", "u1"),
        ("offset", "<i2"),
        ("count", "<u2"),
        ("samples", "u1", SAMPLE_BYTES),
        ("checksum", "<u2"),
    ]
)
TIME = "time"
AXES: dict[int, tuple[tuple[str, str], ...]] = {
    # In the order in which a page holds them.
    3: (("acc_x", "g"), ("acc_y", "g"), ("acc_z", "g")),
    6: tuple((f"{s}_{a}", u) for s, u in (("gyro", "deg/s"), ("acc", "g")) for a in "xyz"),
    9: tuple((f"{s}_{a}", u) for s, u in (("gyro", "deg/s"), ("acc", "g"), ("mag", "uT")) for a in "xyz"),
}
MAGNETIC_STEPS_PER_UT = 16.0


class AxivityReader:
    """Reads cwa files with numpy, a mebibyte at a time."""

    name = "axivity"
    about = "Axivity AX3 and AX6 (.cwa)"

    def recognizes(self, file: InputFile, head: bytes) -> bool:
        """Whether it begins like a cwa file."""
        return head[:2] == b"MD" and head[2:4] == b"\xfc\x03"

    def describe(self, file: InputFile, dialect: Dialect | None) -> Description:
        """Read the header and the first sound page."""
        with file.open() as stream:
            header = stream.read(HEADER_BYTES)
            page = next((pages[good][0] for pages, good, _ in _batches(stream, file.name) if good.any()), None)
        if len(header) < HEADER_BYTES or not self.recognizes(file, header):
            raise DataError(f"{file.name} is not an Axivity file: its header is missing or cut short")
        if page is None:
            raise DataError(f"{file.name} holds no page of samples", hint="did the recording ever begin?")
        columns = AXES[int(page["axes"]) >> 4]
        rate = page_rate(int(page["rate"]))
        accelerometer = 16 >> (int(page["rate"]) >> 6)
        facts: dict[str, Any] = {
            "device": "Axivity AX6" if header[4] == 0x64 else "Axivity AX3",
            "serial": int.from_bytes(header[5:7], "little"),
            "session": int.from_bytes(header[7:11], "little"),
            "acc_range_g": accelerometer,
        }
        ranges: dict[str, float] = {"g": float(accelerometer)}
        if len(columns) > 3:
            ranges["deg/s"] = facts["gyro_range_deg_s"] = gyro_range(int(page["light"]))
        ordered = sorted(columns, key=lambda column: column[0][0] == "g")  # accelerometer first
        return Description(
            (
                Column(TIME, "s"),
                *(Column(name, unit, full_scale=ranges.get(unit)) for name, unit in ordered),
            ),
            time=TIME,
            device_clock=True,
            rate_hz=rate,
            facts=facts,
            reasons={"reader": "it begins with MD, as Axivity files do"},
        )

    def blocks(self, file: InputFile, description: Description, columns: Mapping[str, Content]) -> Iterator[Block]:
        """Yield the samples of the sound pages; errors as :class:`fsq_edge.data.importing.reader.Reader`."""
        names = [column.name for column in description.columns if column.name != TIME]
        clock = PageClock()
        row = 1
        with file.open() as stream:
            stream.read(HEADER_BYTES)
            for pages, good, dropped in _batches(stream, file.name):
                block = _block(*clock.add(pages[good]), names, row, dropped)
                row += len(block)
                yield block
        yield _block(*clock.add(np.empty(0, PAGE), last=True), names, row, Counter())


def _block(pages: AnyArray, times: AnyArray, names: list[str], row: int, dropped: Counter[str]) -> Block:
    values = decode(pages, len(names))
    return Block({TIME: times, **{name: values[:, i] for i, name in enumerate(names)}}, row, dropped)


def _batches(stream: Any, name: str) -> Iterator[tuple[AnyArray, AnyArray, Counter[str]]]:
    """Yield pages, which of them are sound, and how many samples or pages were dropped for which reason."""
    axes = 0
    while data := stream.read(BATCH_PAGES * PAGE_BYTES):
        while len(data) < BATCH_PAGES * PAGE_BYTES and (more := stream.read(BATCH_PAGES * PAGE_BYTES - len(data))):
            data += more
        whole = len(data) // PAGE_BYTES
        pages = np.frombuffer(data, PAGE, whole)
        dropped: Counter[str] = Counter()
        if len(data) % PAGE_BYTES:
            dropped["truncated page"] += 1
        kinds = pages["axes"] >> 4
        known = (pages["magic"] == b"AX") & (pages["length"] == PAGE_BYTES - 4)
        sums = (
            np.frombuffer(data, "<u2", whole * PAGE_BYTES // 2)
            .reshape(whole, PAGE_BYTES // 2)
            .sum(axis=1, dtype=np.uint16)
        )
        size = np.where(pages["axes"] & 15 == 2, 2 * kinds.astype(np.int64), 4)
        sane = (pages["count"] * size <= SAMPLE_BYTES) & (pages["count"] > 0) & ((pages["rate"] & 15) >= 6)
        readable = np.isin(pages["axes"], (0x30, 0x32, 0x62, 0x92))
        if not axes and (known & (sums == 0) & sane & readable).any():
            axes = int(kinds[known & (sums == 0) & sane & readable][0])
        good = known & (sums == 0) & sane & readable & (kinds == axes)
        dropped["page without the mark AX"] += int((~known).sum())
        dropped["page whose checksum is wrong"] += int((known & (sums != 0)).sum())
        dropped["page of an unknown layout"] += int((known & (sums == 0) & ~good).sum())
        yield pages, good, +dropped


def decode(pages: AnyArray, axes: int) -> Float32Array:
    """Return the samples of sound pages, float32 (n, axes) in g, deg/s and uT, accelerometer first."""
    found = np.empty((int(pages["count"].sum()), axes), np.float32)
    at = 0
    # Pages of one layout, scale and fill are decoded together; a recording has one or two such kinds.
    change = (
        np.flatnonzero(
            np.any([np.diff(pages[key]) != 0 for key in ("axes", "count")], axis=0)
            | (np.diff(pages["light"] >> 10) != 0)
        )
        + 1
        if len(pages) > 1
        else np.empty(0, np.int64)
    )
    for run in np.split(pages, change):
        if len(run):
            values = _decode_run(run, axes)
            found[at : at + len(values)] = values
            at += len(values)
    return found


def _decode_run(pages: AnyArray, axes: int) -> Float32Array:
    count, layout, light = int(pages["count"][0]), int(pages["axes"][0]), int(pages["light"][0])
    raw = np.ascontiguousarray(pages["samples"])
    if layout & 15 == 0:
        packed = raw.view("<u4")[:, :count].reshape(-1)
        whole = np.stack([_signed_10(packed >> np.uint32(10 * i)) for i in range(3)], axis=1)
        shifted = whole << (packed >> np.uint32(30)).astype(np.int32)[:, None]
        return (shifted / np.float32(256)).astype(np.float32)
    whole = raw.view("<i2")[:, : count * axes].reshape(-1, axes)
    scale = np.full(3, 1 / (1 << (8 + (light >> 13))), np.float32)
    if axes == 3:
        return whole * scale
    turn = np.full(3, gyro_range(light) / 32768, np.float32)
    parts: list[AnyArray] = [whole[:, 3:6] * scale, whole[:, :3] * turn]
    if axes == 9:
        parts.append(whole[:, 6:9] / np.float32(MAGNETIC_STEPS_PER_UT))
    return np.concatenate(parts, axis=1).astype(np.float32)


def _signed_10(values: AnyArray) -> AnyArray:
    ten = (values & np.uint32(0x3FF)).astype(np.int32)
    return np.where(ten >= 512, ten - 1024, ten)


def page_rate(code: int) -> float:
    """Return the nominal rate in Hz of a rate code."""
    return 3200 / (1 << (15 - (code & 15)))


def gyro_range(light: int) -> float:
    """Return the gyroscope's range in deg/s from the light field; 2,000 where none is set."""
    code = (light >> 10) & 7
    return 8000 / (1 << code) if code else 2000.0
