"""ActiGraph files: three packings, idle sleep as a hole, damage found and passed over."""

from datetime import datetime

import numpy as np
import pytest

from fsq_edge.data.importing.inputs import find_inputs
from fsq_edge.data.importing.readers.actigraph import ActigraphReader
from fsq_edge.data.importing.readers.actigraph_records import unpack_12_bits
from fsq_edge_runtime.errors import DataError
from tests.factories.loggers import START, gt3x_file, gt3x_record, zip_bytes

READER = ActigraphReader()
FIRST = (START - datetime(1970, 1, 1)).total_seconds()


def read(tmp_path, data):
    (tmp_path / "wrist.gt3x").write_bytes(data)
    (file,) = find_inputs([tmp_path / "wrist.gt3x"])
    assert READER.recognizes(file, file.head(64))
    description = READER.describe(file, None)
    blocks = list(READER.blocks(file, description, {}))
    columns = {c.name: np.concatenate([block.columns[c.name] for block in blocks]) for c in description.columns}
    dropped = {reason: count for block in blocks for reason, count in block.dropped.items()}
    others = {kind: count for block in blocks for kind, count in block.others.items()}
    return description, columns, dropped, others


def counts(seconds, rate=30, seed=0):
    return np.random.default_rng(seed).integers(-2000, 2001, (seconds * rate, 3))


def test_the_example_of_the_format_s_own_description():
    # Activity.md: y 6, x 8, z -323; y 7, x 9, z -321; y 7, x 8, z -321.
    packed = bytes.fromhex("00 60 08 EB D0 07 00 9E BF 00 70 08 EB F0")
    assert unpack_12_bits(packed).tolist() == [[6, 8, -323], [7, 9, -321], [7, 8, -321]]


@pytest.mark.parametrize("kind", [0, 26, 28])
def test_values_come_back_to_the_bit(tmp_path, kind):
    steps = counts(20)
    description, columns, dropped, others = read(tmp_path, gt3x_file(steps, kind=kind))
    for i, axis in enumerate("xyz"):
        assert (columns[f"acc_{axis}"] == (steps[:, i] / 256).astype(np.float32)).all()
    np.testing.assert_allclose(columns["time"], FIRST + np.arange(600) / 30, atol=1e-6)
    assert description.facts["device"] == "ActiGraph Link"
    assert description.facts["time_zone_of_device"] == "-05:00:00"
    assert description.subject == "wearer-1"
    assert dropped == {}
    assert others == {"metadata": 1, "battery": 1}


def test_idle_sleep_is_a_hole(tmp_path):
    _, columns, _, _ = read(tmp_path, gt3x_file(counts(20), asleep=tuple(range(5, 12))))
    steps = np.diff(columns["time"])
    assert len(columns["time"]) == 13 * 30
    assert steps.max() == pytest.approx(7 + 1 / 30)


def test_damage_costs_one_record(tmp_path):
    good = gt3x_file(counts(20), between=b"\x00\x00\x00")
    assert read(tmp_path, good)[2] == {}
    flipped = gt3x_file(counts(20), between=b"junk")
    assert read(tmp_path, flipped)[2] == {"stretch between records": 19, "bytes of a cut record": 4}
    assert len(read(tmp_path, flipped)[1]["time"]) == 600


def test_a_wrong_checksum_is_counted(tmp_path):
    log = bytearray()
    for second in range(10):
        record = bytearray(gt3x_record(26, 1000 + second, np.full((30, 3), 7, "<i2").tobytes()))
        if second == 4:
            record[20] ^= 0xFF
        log += record
    info = b"Serial Number: MOS2\r\nSample Rate: 30\r\nStart Date: 0\r\n"
    _, columns, dropped, _ = read(tmp_path, zip_bytes({"info.txt": info, "log.bin": bytes(log)}))
    assert dropped["record whose checksum is wrong"] == 1
    assert len(columns["time"]) == 270
    assert columns["acc_x"][0] == np.float32(7 / 256)


def test_a_record_of_parameters_gives_the_scale(tmp_path):
    parameters = bytes.fromhex("0000 3700 0000 4009".replace(" ", ""))  # address 0, 55: 0.5 * 2^9 = 256
    log = gt3x_record(21, 0, parameters) + gt3x_record(26, 1000, np.full((30, 3), 64, "<i2").tobytes())
    info = b"Serial Number: XYZ\r\nSample Rate: 30\r\nStart Date: 0\r\n"
    _, columns, _, _ = read(tmp_path, zip_bytes({"info.txt": info, "log.bin": log}))
    assert columns["acc_z"][0] == np.float32(0.25)


def test_unknown_records_are_named(tmp_path):
    log = gt3x_record(0x2B, 0, b"new") + gt3x_record(26, 1000, np.zeros((30, 3), "<i2").tobytes())
    info = b"Serial Number: MOS2\r\nSample Rate: 30\r\nStart Date: 0\r\n"
    assert read(tmp_path, zip_bytes({"info.txt": info, "log.bin": log}))[3] == {"unknown record 0x2b": 1}


def test_files_of_nhanes_have_no_records(tmp_path):
    packed = bytes.fromhex("00 60 08 EB D0 07 00 9E BF")
    info = b"Serial Number: NEO1\r\nSample Rate: 80\r\nStart Date: 633423888000000000\r\n"
    description, columns, _, _ = read(tmp_path, zip_bytes({"info.txt": info, "activity.bin": packed}))
    assert description.rate_hz == 80
    assert columns["acc_y"].tolist() == [np.float32(0.018), np.float32(0.021)]
    assert columns["time"].tolist() == [1206792000.0, 1206792000.0 + 1 / 80]


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"log.bin": b""}, "holds no info.txt"),
        ({"info.txt": b"Sample Rate: fast\r\nSerial Number: MOS2", "log.bin": b""}, "Sample Rate: 'fast'"),
        ({"info.txt": b"Sample Rate: 30\r\nSerial Number: ???", "log.bin": b""}, "accelerometer's scale"),
    ],
)
def test_what_is_missing_is_said(tmp_path, members, text):
    (tmp_path / "x.gt3x").write_bytes(zip_bytes(members))
    (file,) = find_inputs([tmp_path / "x.gt3x"])
    with pytest.raises(DataError, match=text.replace("?", r"\?")):
        READER.describe(file, None)
