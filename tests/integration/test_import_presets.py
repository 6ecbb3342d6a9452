"""Every preset imports a file of its logger, in the form that the maker documents, and other formats give columns."""

import json
import zipfile
from datetime import datetime, timedelta

import cbor2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io

from fsq_edge.data import open_dataset
from fsq_edge.data.importing.guess import guess_map
from fsq_edge.data.importing.import_map import parse_map
from fsq_edge.data.importing.importer import import_files
from fsq_edge.data.importing.presets import PRESETS, load_preset
from fsq_edge_runtime.errors import DataError
from tests.factories.loggers import still_and_moving, write_table

N = 300
ACC = still_and_moving(N, rate_hz=50)
SI = ACC * np.float32(9.80665)
TURN = np.random.default_rng(1).normal(0, 0.3, (N, 3)).astype(np.float32)
T = np.arange(N) / 50


def named(pattern, values):
    return {pattern.replace("@", axis.upper()).replace("%", axis): values[:, i] for i, axis in enumerate("xyz")}


def generic(folder):
    write_table(folder / "rex.csv", {"timestamp": T, **named("acc_%", ACC), **named("gyro_%", TURN)})


def xsens(folder):
    preamble = "// Start Time: 0\n// Sample rate: 50.0Hz\n// Scenario: 5.9\n// Firmware Version: 2.5.1\n"
    table = {"Counter": range(37328, 37328 + N), **named("Acc_@", SI), **named("Gyr_@", TURN), **named("Mag_@", TURN)}
    write_table(folder / "rex.txt", table, delimiter="\t", preamble=preamble, end="\t\n")


def xio(folder):
    time = (392093562 + np.arange(N) * 20034).tolist()
    table = {"Timestamp (us)": time, **named("Gyroscope @ (deg/s)", TURN), **named("Accelerometer @ (g)", ACC)}
    write_table(folder / "s1" / "Inertial.csv", table)
    slow = {"Timestamp (us)": time[1::2], **named("@ Axis (a.u.)", TURN[1::2])}
    write_table(folder / "s1" / "Magnetometer.csv", slow)


def ngimu(folder):
    table = {"Time (s)": T, **named("Gyroscope @ (deg/s)", TURN), **named("Accelerometer @ (g)", ACC)}
    write_table(
        folder / "s1" / "sensors.csv", {**table, **named("Magnetometer @ (uT)", TURN + 30), "Barometer (hPa)": T}
    )


def shimmer(folder):
    lines = [
        '"sep=\t"',
        "Shimmer_E1B5_Timestamp_Unix_CAL\t" + "\t".join(f"Shimmer_E1B5_Accel_LN_{a}_CAL" for a in "XYZ"),
    ]
    lines += ["ms\tm/(s^2)\tm/(s^2)\tm/(s^2)"]
    lines += [f"{1700000000000 + i * 20:.6f}\t{x:.6f}\t{y:.6f}\t{z:.6f}" for i, (x, y, z) in enumerate(SI)]
    (folder / "rex.csv").write_text("\r\n".join(lines) + "\r\n")


def geneactiv(folder):
    header = ["Device Type,GENEActiv", "Measurement Frequency,50.0 Hz", "Time Zone,GMT +00:00", *[""] * 97]
    start = datetime(2012, 5, 23, 16, 47, 50)
    rows = [
        f"{(start + timedelta(seconds=i / 50)).strftime('%Y-%m-%d %H:%M:%S:%f')[:-3]},{x:.4f},{y:.4f},{z:.4f},0,0,24.1"
        for i, (x, y, z) in enumerate(ACC)
    ]
    (folder / "rex.csv").write_text("\n".join([*header, *rows]) + "\n")


def sensor_logger(folder):
    time = (1697040000000000000 + np.arange(N) * 20_000_000).tolist()
    with zipfile.ZipFile(folder / "walk.zip", "w") as archive:
        for name, values in (("Accelerometer", SI - [0, 0, 9.80665]), ("Gravity", np.tile([0, 0, 9.80665], (N, 1)))):
            archive.writestr(f"{name}.csv", phone_table(time, values))
        archive.writestr("Gyroscope.csv", phone_table(time, TURN))
        archive.writestr("Metadata.csv", "version,device name\n3,iPhone\n")


def phone_table(time, values):
    rows = [
        f"{t},{i / 50:.6f},{z:.6f},{y:.6f},{x:.6f}" for i, (t, (x, y, z)) in enumerate(zip(time, values, strict=True))
    ]
    return "time,seconds_elapsed,z,y,x\n" + "\n".join(rows) + "\n"


def phyphox(folder):
    with zipfile.ZipFile(folder / "experiment.zip", "w") as archive:
        for name, head, values in (
            ("Accelerometer", "Acceleration % (m/s^2)", SI),
            ("Gyroscope", "Gyroscope % (rad/s)", TURN),
        ):
            header = ",".join(f'"{text}"' for text in ("Time (s)", *named(head, values)))
            rows = "\n".join(f"{t:.9E},{x:.9E},{y:.9E},{z:.9E}" for t, (x, y, z) in zip(T, values, strict=True))
            archive.writestr(f"{name}.csv", f"{header}\n{rows}\n")


def acquisition():
    sensors = [{"name": f"acc{a}", "units": "m/s2"} for a in "XYZ"]
    payload = {"device_name": "ac:87", "device_type": "DISCO", "interval_ms": 20, "sensors": sensors}
    return {"protected": {"ver": "v1", "alg": "none"}, "signature": "0", "payload": {**payload, "values": SI.tolist()}}


def edge_impulse(folder):
    (folder / "walk.1.json").write_text(json.dumps(acquisition()))
    (folder / "walk.2.cbor").write_bytes(cbor2.dumps(acquisition()))


def movebank(folder):
    header = (
        "event-id,visible,timestamp,eobs:acceleration-axes,eobs:acceleration-sampling-frequency-per-axis,"
        "eobs:accelerations-raw,eobs:start-timestamp,individual-local-identifier"
    )
    rows = []
    for burst in range(5):
        raw = " ".join(str(int(2048 + 100 * value)) for value in ACC[burst * 60 : burst * 60 + 60].reshape(-1))
        start = f"2014-05-07 13:{29 + burst}:50.000"
        rows.append(f"{burst},true,{start},XYZ,20.0,{raw},{start},stork-{burst % 2}")
    (folder / "acc.csv").write_text("\n".join([header, *rows]) + "\n")


def actigraph_csv(folder):
    preamble = (
        "------------ Data File Created By ActiGraph GT3X+ ActiLife v6.13.3 Firmware v1.7.1 date format M/d/yyyy"
        " at 50 Hz  Filter Normal -----------\nSerial Number: TAS1F\nStart Time 09:00:00\nStart Date 10/22/2019\n"
        "Epoch Period (hh:mm:ss) 00:00:00\nDownload Time 10:00:00\nDownload Date 10/23/2019\n"
        "Current Memory Address: 0\nCurrent Battery Voltage: 4.2     Mode = 12\n"
        "--------------------------------------------------\n"
    )
    write_table(folder / "rex.csv", named("Accelerometer @", ACC), preamble=preamble)


MAKERS = {
    "generic": (generic, "g"),
    "xsens": (xsens, "m/s2"),
    "xio": (xio, "g"),
    "ngimu": (ngimu, "g"),
    "shimmer": (shimmer, "m/s2"),
    "geneactiv": (geneactiv, "g"),
    "sensor-logger": (sensor_logger, "m/s2"),
    "phyphox": (phyphox, "m/s2"),
    "edge-impulse": (edge_impulse, "m/s2"),
    "movebank": (movebank, ""),
    "actigraph-csv": (actigraph_csv, "g"),
}


def test_every_preset_has_its_file():
    assert set(MAKERS) == set(PRESETS)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_imports_its_logger_s_file(tmp_path, name):
    (tmp_path / "raw").mkdir()
    make, unit = MAKERS[name]
    make(tmp_path / "raw")
    record = import_files([tmp_path / "raw"], load_preset(name), tmp_path / "out")
    dataset = open_dataset(f"folder:{tmp_path / 'out'}")
    assert dataset.channels[0].unit == unit
    assert all(entry.rows_read == entry.rows_kept + sum(entry.dropped.values()) for entry in record.inputs)
    if name == "movebank":
        assert dataset.subjects == ("stork-0", "stork-1")
        assert dataset.sample_rate_hz == 20
        return
    first = dataset.recordings[0].samples
    assert dataset.sample_rate_hz == 50
    truth = SI if unit == "m/s2" else ACC
    truth = truth - np.float32([0, 0, 9.80665]) if name == "sensor-logger" else truth
    assert len(first) >= N - 2
    if name not in ("xio",):  # interpolated onto the grid
        np.testing.assert_allclose(first[:, :3], truth[: len(first)], atol=2e-4)
    if name == "edge-impulse":
        assert dataset.classes == ("walk",)
    if name == "actigraph-csv":
        assert (
            dataset.recordings[0].timestamps[0]
            == datetime(2019, 10, 22, 9).timestamp() - datetime(1970, 1, 1).timestamp()
        )


# Bursts of counts and acceleration without gravity say no unit; the others' files are less than a guess needs.
NOT_GUESSED = {"movebank", "sensor-logger", "actigraph-csv", "geneactiv", "edge-impulse"}


@pytest.mark.parametrize("name", sorted(set(PRESETS) - NOT_GUESSED))
def test_the_guessed_map_of_such_files_imports_as_well(tmp_path, name):
    (tmp_path / "raw").mkdir()
    MAKERS[name][0](tmp_path / "raw")
    guessed = guess_map([tmp_path / "raw"])
    import_files([tmp_path / "raw"], parse_map(guessed.text.encode(), "guess"), tmp_path / "out")
    dataset = open_dataset(f"folder:{tmp_path / 'out'}")
    assert dataset.channels[0].unit == MAKERS[name][1]
    assert dataset.sample_rate_hz == 50


def test_matlab_npz_and_parquet_give_columns(tmp_path):
    (tmp_path / "raw").mkdir()
    struct = {"imu": {"time": T, "acc": ACC.astype(np.float64)}, "note": "first day"}
    scipy.io.savemat(tmp_path / "raw" / "rex.mat", struct)
    np.savez(tmp_path / "raw" / "tom.npz", samples=ACC, timestamps=T, channels=["acc_x", "acc_y", "acc_z"])
    stamps = pa.array((1697040000_000000 + np.arange(N) * 20_000).astype("datetime64[us]"))
    pq.write_table(pa.table({"time": stamps, **named("acc_%", ACC)}), tmp_path / "raw" / "kim.parquet")
    axes = "{acc_x: {column: %s_1, unit: g}, acc_y: {column: %s_2, unit: g}, acc_z: {column: %s_3, unit: g}}"
    plain = "{acc_x: {column: acc_x, unit: g}, acc_y: {column: acc_y, unit: g}, acc_z: {column: acc_z, unit: g}}"
    dotted = axes.replace("%s", "imu.acc")
    text = (
        f"files:\n  - {{pattern: '*.mat', time: {{column: imu.time, form: s}}, channels: {dotted}}}\n"
        f"  - {{pattern: '*.npz', time: {{column: timestamps, form: s}}, channels: {plain}}}\n"
        f"  - {{pattern: '*.parquet', time: {{column: time, form: ns}}, channels: {plain}}}\n"
    )
    import_files([tmp_path / "raw"], parse_map(text.encode(), "map"), tmp_path / "out")
    dataset = open_dataset(f"folder:{tmp_path / 'out'}")
    assert len(dataset.recordings) == 3
    for recording in dataset.recordings:
        assert (recording.samples == ACC).all()
        np.testing.assert_allclose(recording.timestamps - recording.timestamps[0], T, atol=1e-6)


@pytest.mark.parametrize(("name", "data"), [("x.mat", b"MATLAB 5.0"), ("x.npz", b"PK"), ("x.parquet", b"PAR1junk")])
def test_damaged_arrays_are_one_error(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    wanted = parse_map(b"files: [{pattern: '*', channels: {acc_x: {column: a}}}]", "map")
    with pytest.raises(DataError, match="not a readable"):
        import_files([tmp_path / name], wanted, tmp_path / "out")
