"""Axivity files: values to the bit, times along the device's true rate, damage counted."""

from datetime import datetime

import numpy as np
import pytest

from fsq_edge.data.importing.inputs import find_inputs
from fsq_edge.data.importing.readers.axivity import PAGE, AxivityReader, decode
from fsq_edge_runtime.errors import DataError
from tests.factories.loggers import START, axivity_file

READER = AxivityReader()


def read(tmp_path, data):
    (tmp_path / "night.cwa").write_bytes(data)
    (file,) = find_inputs([tmp_path / "night.cwa"])
    assert READER.recognizes(file, file.head(64))
    description = READER.describe(file, None)
    blocks = list(READER.blocks(file, description, {}))
    columns = {c.name: np.concatenate([block.columns[c.name] for block in blocks]) for c in description.columns}
    dropped = {reason: count for block in blocks for reason, count in block.dropped.items()}
    return description, columns, dropped


def counts(n, axes=3, high=511, seed=0):
    return np.random.default_rng(seed).integers(-high, high + 1, (n, axes))


@pytest.mark.parametrize("packed", [True, False])
def test_values_of_an_ax3_come_back_to_the_bit(tmp_path, packed):
    steps = counts(1000)
    description, columns, dropped = read(tmp_path, axivity_file(steps, packed=packed))
    assert description.facts == {"device": "Axivity AX3", "serial": 31152, "session": 7, "acc_range_g": 8}
    assert description.rate_hz == 25.0
    for i, axis in enumerate("xyz"):
        assert (columns[f"acc_{axis}"] == (steps[:, i] / 256).astype(np.float32)).all()
    assert dropped == {}


def test_large_values_use_the_exponent(tmp_path):
    steps = counts(480, high=500) * 8
    _, columns, _ = read(tmp_path, axivity_file(steps))
    assert (columns["acc_x"] == (steps[:, 0] / 256).astype(np.float32)).all()


def test_an_ax6_gives_acceleration_first_and_degrees_per_second(tmp_path):
    steps = counts(400, axes=6, high=30000)
    light = (3 << 13) | (2 << 10)  # accelerometer 2048 steps a g, gyroscope +-2000 deg/s
    data = axivity_file(steps, packed=False, light=light, rate_code=0x4A, true_rate_hz=100.0)
    description, columns, _ = read(tmp_path, data)
    assert [column.name for column in description.columns[1:]] == [
        "acc_x",
        "acc_y",
        "acc_z",
        "gyro_x",
        "gyro_y",
        "gyro_z",
    ]
    assert description.facts["gyro_range_deg_s"] == 2000.0
    np.testing.assert_array_equal(columns["acc_x"], (steps[:, 3] / 2048).astype(np.float32))
    np.testing.assert_allclose(columns["gyro_z"], steps[:, 2] * 2000 / 32768, rtol=1e-6)


@pytest.mark.parametrize("code", range(1, 7))
def test_angular_rates_are_exact_in_float32(code):
    steps = np.arange(-32768, 32768)
    pages = np.zeros(1, PAGE)
    pages["axes"], pages["count"], pages["light"] = 0x62, 40, code << 10
    for part in np.split(steps[:65520], 1638):
        pages["samples"][0, :480] = np.repeat(part.astype("<i2")[:, None], 6, axis=1).reshape(-1).view("u1")
        found = decode(pages, 6)[:, 3].astype(np.float64)
        assert np.array_equal(found, part * (8000 / 2**code) / 32768)


def test_times_follow_the_true_rate(tmp_path):
    true = 24.42
    _, columns, _ = read(tmp_path, axivity_file(counts(12_000), true_rate_hz=true))
    truth = (START - datetime(1970, 1, 1)).total_seconds() + np.arange(12_000) / true
    assert np.abs(columns["time"] - truth).max() < 0.05  # one sample: a stamp is an index of samples
    steps = np.diff(columns["time"])
    assert steps.min() > 0.9 / true
    assert steps.max() < 1.1 / true


def test_lost_pages_leave_a_hole(tmp_path):
    whole = read(tmp_path, axivity_file(counts(3600)))[1]["time"]
    _, columns, _ = read(tmp_path, axivity_file(counts(3600), skip_pages=(10, 11)))
    steps = np.diff(columns["time"])
    assert len(columns["time"]) == len(whole) - 240
    assert (steps > 1).sum() == 1
    assert steps.max() == pytest.approx(241 / 25, abs=0.05)


def test_damage_is_named_and_counted(tmp_path):
    data = bytearray(axivity_file(counts(3600)))
    data[1024 + 512 * 3 + 100] ^= 1  # a sample of the fourth page
    data[1024 + 512 * 5] = 0  # the mark of the sixth
    _, columns, dropped = read(tmp_path, bytes(data) + b"AX" + bytes(98))
    assert dropped == {"page whose checksum is wrong": 1, "page without the mark AX": 1, "truncated page": 1}
    assert len(columns["time"]) == 3600 - 240


@pytest.mark.parametrize("data", [b"MD\xfc\x03" + bytes(100), axivity_file(counts(120))[:1024]])
def test_a_file_without_a_page_is_refused(tmp_path, data):
    (tmp_path / "x.cwa").write_bytes(data)
    (file,) = find_inputs([tmp_path / "x.cwa"])
    with pytest.raises(DataError, match=r"header is missing|no page of samples"):
        READER.describe(file, None)
