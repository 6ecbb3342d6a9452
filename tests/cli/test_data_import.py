"""``data import`` as it is used: dialects, guessed maps, accounting, errors that name file, line, column and key."""

import json
import zipfile
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge.data import open_dataset
from tests.factories.loggers import axivity_file, gt3x_file, still_and_moving, write_table

DIALECTS = [
    {"delimiter": ",", "decimal": "."},
    {"delimiter": ";", "decimal": ",", "encoding": "utf-8-sig", "end": "\r\n"},
    {"delimiter": "\t", "preamble": "# Device: watch\n# Sample rate: 50 Hz\n", "encoding": "utf-16"},
]
AXES = ("acc_x", "acc_y", "acc_z")


def call(capsys, *words):
    code = run(["data", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def columns(samples, **more):
    return {**more, **{name: samples[:, i] for i, name in enumerate(AXES)}}


def iso(n, rate_hz=50.0, start=datetime(2024, 6, 1, 10, 0, tzinfo=UTC), zone="Z"):
    return [(start + timedelta(seconds=i / rate_hz)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + zone for i in range(n)]


def the_map(tmp_path, text):
    (tmp_path / "map.yaml").write_text(text)
    return tmp_path / "map.yaml"


PLAIN = """
files:
  - pattern: "{subject}.csv"
    time: {column: time}
    channels: {acc_x: {column: acc_x, unit: g}, acc_y: {column: acc_y, unit: g}, acc_z: {column: acc_z, unit: g}}
"""


@pytest.mark.parametrize("dialect", DIALECTS, ids=["comma", "semicolon", "tab"])
def test_watch_comes_back_equal_from_every_dialect(capsys, tmp_path, dialect):
    watch = open_dataset("watch")
    names = [channel.name for channel in watch.channels]
    for recording in watch.recordings[::14]:
        table = {name: recording.samples[:, i] for i, name in enumerate(names)}
        table["exercise"] = [watch.classes[label] for label in recording.labels]
        name = f"{recording.subject}_{recording.session}_{recording.recording_id}.csv"
        write_table(tmp_path / "raw" / name, table, **dialect)
    channels = ", ".join(f"{c.name}: {{column: {c.name}, unit: {c.unit}}}" for c in watch.channels)
    text = (
        "name: watch\nfiles:\n  - pattern: '{subject}_{session}_{id}.csv'\n    time: {rate_hz: 50}\n"
        f"    channels: {{{channels}}}\n    label: {{column: exercise}}\n"
    )
    code, _, err = call(
        capsys, "import", tmp_path / "raw", "--map", the_map(tmp_path, text), "--out", tmp_path / "out", "--quiet"
    )
    assert (code, err) == (0, "")
    back = open_dataset(f"folder:{tmp_path / 'out'}")
    assert back.channels == watch.channels
    assert back.sample_rate_hz == 50
    by_id = {recording.recording_id.partition("_s")[2]: recording for recording in back.recordings}
    for recording in watch.recordings[::14]:
        found = by_id[recording.recording_id.removeprefix("s")]
        assert found.samples.tobytes() == recording.samples.tobytes()
        assert [back.classes[i] for i in found.labels] == [watch.classes[i] for i in recording.labels]
        assert (found.subject, found.session) == (recording.subject, recording.session)


def test_guess_writes_a_map_that_imports_and_imports_nothing_itself(capsys, tmp_path):
    for animal in ("rex", "tom"):
        samples = still_and_moving(400, rate_hz=50)
        write_table(
            tmp_path / "raw" / f"collar_{animal}.csv",
            {"Timestamp": iso(400), **{f"Acc{a.upper()} [g]": samples[:, i] for i, a in enumerate("xyz")}},
            delimiter=";",
        )
    target = tmp_path / "map.yaml"
    code, out, _ = call(capsys, "import", tmp_path / "raw", "--guess", "--map", target, "--json", "-")
    assert code == 0
    assert json.loads(out)["doubts"] == []
    text = target.read_text()
    assert '"collar_{subject}.csv"' in text
    assert "# values such as '2024-06-01T10:00:00.000Z' are ISO 8601" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.yaml", "raw"]
    assert call(capsys, "import", tmp_path / "raw", "--guess", "--map", target)[0] == 64
    assert call(capsys, "import", tmp_path / "raw", "--map", target, "--out", tmp_path / "out", "--quiet")[0] == 0
    dataset = open_dataset(f"folder:{tmp_path / 'out'}")
    assert dataset.subjects == ("rex", "tom")
    assert dataset.sample_rate_hz == 50
    assert dataset.recordings[0].timestamps[0] == datetime(2024, 6, 1, 10, tzinfo=UTC).timestamp()


def test_files_that_say_everything_need_no_map(capsys, tmp_path):
    steps = np.random.default_rng(0).integers(-300, 300, (3000, 3))
    steps[:, 2] += 256
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "night.cwa").write_bytes(axivity_file(steps, true_rate_hz=24.42))
    code, out, _ = call(capsys, "import", tmp_path / "raw", "--out", tmp_path / "cwa", "--json", "-")
    assert code == 0
    account = json.loads(out)["recordings"][0]
    assert account["nominal_rate_hz"] == 25.0
    assert account["measured_rate_hz"] == pytest.approx(24.42, abs=0.01)
    assert account["steps"]["acc_x"] == 1 / 256
    description = json.loads((tmp_path / "cwa" / "dataset.json").read_text())
    assert description["measured_rate_hz"] == pytest.approx(24.42, abs=0.01)
    assert description["sensors"]["acc_x"] == {"step": 1 / 256, "full_scale": 8.0}
    shown = call(capsys, "inspect", tmp_path / "cwa")[1]
    assert "25 Hz, measured 24.4" in shown
    assert "acc_x, acc_y, acc_z: steps of 0.003906 g, range 8 g" in shown
    (tmp_path / "wrist.gt3x").write_bytes(gt3x_file(steps, asleep=tuple(range(30, 60))))
    code, out, _ = call(capsys, "import", tmp_path / "wrist.gt3x", "--out", tmp_path / "gt3x", "--json", "-")
    account = json.loads(out)["recordings"][0]
    assert (account["holes"], account["longest_hole_seconds"]) == (1, pytest.approx(30 + 1 / 30))
    assert account["subject"] == "wearer-1"


def test_every_row_is_accounted_for_and_the_bytes_are_the_same_twice(capsys, tmp_path):
    samples = still_and_moving(1000, rate_hz=50)
    path = write_table(tmp_path / "rex.csv", columns(samples, time=iso(1000)))
    lines = path.read_text().splitlines()
    lines[101:101] = [lines[100], lines[100]]  # two repeated rows
    lines[202] = lines[202].replace(",", ",x", 1)  # a value that is no number
    lines[303] += ",7"  # too many cells
    lines[404] = lines[404].rpartition(",")[0]  # too few
    lines[505], lines[506] = lines[506], lines[505]  # one time steps back
    lines[607] = "yesterday" + lines[607][lines[607].index(",") :]
    lines[708:708] = ["", ""]
    path.write_text("\n".join(lines) + "\n")
    for out in ("a", "b"):
        words = ("import", path, "--map", the_map(tmp_path, PLAIN), "--out", tmp_path / out, "--quiet")
        assert call(capsys, *words) == (0, "", "")
    entry = json.loads((tmp_path / "a" / "import.json").read_text())["inputs"][0]
    assert entry["rows_read"] == 1002
    assert entry["dropped"] == {
        "repeated row": 2,
        "time that cannot be read": 1,
        "time that steps back": 1,
        "too few cells": 1,
        "too many cells": 1,
        "value that is no number": 1,
    }
    assert entry["rows_kept"] == 1002 - 7
    assert any(note.startswith("line 203, column acc_x: 'x") for note in entry["notes"])
    for name in ("dataset.json", "import.json", "rex.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_units_are_converted_and_a_wrong_unit_is_refused_by_gravity(capsys, tmp_path):
    samples = still_and_moving(500, rate_hz=50)
    write_table(tmp_path / "raw" / "rex.csv", columns(samples, time=iso(500)))
    write_table(tmp_path / "raw" / "tom.csv", columns(samples * np.float32(9.80665), time=iso(500)))
    code, _, err = call(capsys, "import", tmp_path / "raw", "--map", the_map(tmp_path, PLAIN), "--out", tmp_path / "o")
    assert code == 65
    assert "tom.csv, column acc_x: the median norm is 10.1 g, gravity would be that in m/s2" in err
    assert "channels.acc_x.unit" in err
    assert not (tmp_path / "o").exists()
    # --guess sees both units, and the data set gets one.
    assert call(capsys, "import", tmp_path / "raw", "--guess", "--map", tmp_path / "g.yaml", "--quiet")[0] == 0
    assert call(capsys, "import", tmp_path / "raw", "--map", tmp_path / "g.yaml", "--out", tmp_path / "o")[0] == 0
    rex, tom = open_dataset(f"folder:{tmp_path / 'o'}").recordings
    np.testing.assert_allclose(rex.samples, tom.samples, rtol=1e-5)


def test_sensors_of_one_recording_are_put_on_one_grid(capsys, tmp_path):
    t = np.arange(1000) / 50
    slow = np.arange(200) / 10 + 0.013
    for animal, phase in (("rex", 0.0), ("tom", 1.0)):
        acc = still_and_moving(1000, rate_hz=50)
        write_table(tmp_path / "raw" / animal / "Accelerometer.csv", columns(acc, time=t))
        turn = {f"gyro_{a}": np.sin(slow + phase + i) for i, a in enumerate("xyz")}
        write_table(tmp_path / "raw" / animal / "Gyroscope.csv", {"time": slow, **turn})
    text = PLAIN.replace("{subject}.csv", "{subject}/Accelerometer.csv") + (
        "  - pattern: '{subject}/Gyroscope.csv'\n    time: {column: time}\n    channels: "
        "{gyro_x: {column: gyro_x, unit: rad/s}, gyro_y: {column: gyro_y, unit: rad/s}, "
        "gyro_z: {column: gyro_z, unit: rad/s}}\n"
    )
    assert call(capsys, "import", tmp_path / "raw", "--map", the_map(tmp_path, text), "--out", tmp_path / "o")[0] == 0
    dataset = open_dataset(f"folder:{tmp_path / 'o'}")
    assert dataset.subjects == ("rex", "tom")
    tom = dataset.recordings[1]
    assert np.abs(tom.samples[:, 3] - np.sin(tom.timestamps + 1.0)).max() < 0.01
    assert np.diff(tom.timestamps) == pytest.approx(0.02)


def test_one_file_with_several_subjects_is_parted(capsys, tmp_path):
    samples = still_and_moving(600, rate_hz=50)
    time = np.repeat(np.arange(300) / 50, 2)
    animals = ["rex", "007"] * 300
    write_table(
        tmp_path / "all.csv", columns(samples, time=time, animal=animals, state=["walk"] * 400 + ["rest"] * 200)
    )
    text = PLAIN.replace("{subject}.csv", "all.csv") + "    subject: {column: animal}\n    label: {column: state}\n"
    words = ("import", tmp_path / "all.csv", "--map", the_map(tmp_path, text), "--out", tmp_path / "o", "--quiet")
    assert call(capsys, *words) == (0, "", "")
    dataset = open_dataset(f"folder:{tmp_path / 'o'}")
    assert dataset.subjects == ("007", "rex")  # not 7: a text stays as it is written
    assert dataset.classes == ("rest", "walk")
    rex = next(recording for recording in dataset.recordings if recording.subject == "rex")
    assert (rex.samples == samples[::2]).all()
    assert [dataset.classes[i] for i in rex.labels[[0, -1]]] == ["walk", "rest"]


def test_stamps_of_whole_seconds_are_spread(capsys, tmp_path):
    samples = still_and_moving(250, rate_hz=25)
    write_table(tmp_path / "rex.csv", columns(samples, time=np.repeat(np.arange(10), 25)))
    text = PLAIN.replace("{column: time}", "{column: time, form: s, spread: true}")
    words = ("import", tmp_path / "rex.csv", "--map", the_map(tmp_path, text), "--out", tmp_path / "o", "--quiet")
    assert call(capsys, *words) == (0, "", "")
    (rex,) = open_dataset(f"folder:{tmp_path / 'o'}").recordings
    np.testing.assert_allclose(rex.timestamps, np.arange(250) / 25, atol=1e-9)


def test_archives_are_read_without_unpacking(capsys, tmp_path):
    samples = still_and_moving(200, rate_hz=50)
    path = write_table(tmp_path / "Accelerometer.csv", columns(samples, time=np.arange(200) / 50))
    with zipfile.ZipFile(tmp_path / "phone.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "Accelerometer.csv")
        archive.writestr("__MACOSX/._Accelerometer.csv", b"\0\5\x16\7")
    text = PLAIN.replace("{subject}.csv", "Accelerometer.csv")
    words = ("import", tmp_path / "phone.zip", "--map", the_map(tmp_path, text), "--out", tmp_path / "o", "--json", "-")
    code, out, _ = call(capsys, *words)
    assert code == 0
    assert json.loads(out)["inputs"][0]["file"] == "phone/Accelerometer.csv"
    assert (open_dataset(f"folder:{tmp_path / 'o'}").recordings[0].samples == samples).all()


def test_a_hole_is_kept_or_parts_the_recording(capsys, tmp_path):
    samples = still_and_moving(500, rate_hz=50)
    time = np.arange(500) / 50
    time[250:] += 40
    write_table(tmp_path / "rex.csv", columns(samples, time=time))
    for then, recordings in (("keep", 1), ("split", 2)):
        text = PLAIN + f"gaps: {{then: {then}}}\n"
        words = ("import", tmp_path / "rex.csv", "--map", the_map(tmp_path, text), "--out", tmp_path / then, "--quiet")
        assert call(capsys, *words) == (0, "", "")
        assert len(open_dataset(f"folder:{tmp_path / then}").recordings) == recordings
    record = json.loads((tmp_path / "keep" / "import.json").read_text())["recordings"][0]
    assert (record["holes"], record["longest_hole_seconds"]) == (1, 40.02)


@pytest.mark.parametrize(
    ("change", "text", "hint"),
    [
        (
            ("column: acc_x", "column: AccX"),
            "rex.csv has no column 'AccX'; near it are 'acc_x'",
            "channels.acc_x.column",
        ),
        (("column: time", "column: tmie"), "rex.csv has no column 'tmie'; near it are 'time'", "time.column"),
        (("column: time", "column: time, form: iso, zone: Europe/Wien"), "'Europe/Wien' is not a time zone", ""),
        (("unit: g", "unit: rad/s"), "cannot be turned", ""),
        (("{subject}.csv", "*.txt"), "no pattern of the map (*.txt) fits rex.csv", "--guess"),
        (("files:", "fiels: 1\nfiles:"), "fiels: there is no such key", ""),
        (("column: time", "column: time, form: ms"), "runs at 5e+04 Hz", ""),
    ],
)
def test_a_mistake_in_the_map_names_its_key(capsys, tmp_path, change, text, hint):
    write_table(tmp_path / "rex.csv", columns(still_and_moving(300, rate_hz=50), time=np.arange(300) / 50))
    changed = ("channels: {acc_x: g}\nrate_hz: 50\n" + PLAIN).replace(*change)
    words = ("import", tmp_path / "rex.csv", "--map", the_map(tmp_path, changed), "--out", tmp_path / "o")
    code, out, err = call(capsys, *words)
    assert code == 65
    assert text in err
    assert hint in err
    assert out == ""
    assert len(err.splitlines()) == 2
    assert not (tmp_path / "o").exists()


def test_local_times_need_a_zone_and_the_repeated_hour_a_decision(capsys, tmp_path):
    start = datetime(2024, 10, 27, 1, 59, 58, tzinfo=UTC)
    write_table(tmp_path / "rex.csv", columns(still_and_moving(300), time=iso(300, start=start, zone="")))
    words = ("import", tmp_path / "rex.csv", "--out", tmp_path / "o", "--map")
    code, _, err = call(capsys, *words, the_map(tmp_path, PLAIN))
    assert code == 65
    assert "rex.csv, column time: the times say no zone" in err
    assert "time.zone" in err
    zoned = PLAIN.replace("column: time", "column: time, zone: Europe/Vienna")
    code, _, err = call(capsys, *words, the_map(tmp_path, zoned))
    assert code == 65
    assert "rex.csv, line 102, column time: 2024-10-27 02:00:00 occurs twice in Europe/Vienna" in err
    assert "time.ambiguous" in err
    decided = zoned.replace("Vienna", "Vienna, ambiguous: earlier")
    assert call(capsys, *words, the_map(tmp_path, decided))[0] == 0
    first = open_dataset(f"folder:{tmp_path / 'o'}").recordings[0].timestamps[0]
    assert first == start.timestamp() - 2 * 3600  # CEST
    record = json.loads((tmp_path / "o" / "import.json").read_text())
    assert record["inputs"][0]["zone"] == "local times of Europe/Vienna"


def test_too_many_bad_rows_are_an_error_with_the_first_of_them(capsys, tmp_path):
    path = write_table(tmp_path / "rex.csv", columns(still_and_moving(300), time=np.arange(300) / 50))
    path.write_text(path.read_text().replace("0.", "0,"))  # a decimal comma that a comma parts
    text = PLAIN.replace("    time:", "    table: {delimiter: ','}\n    time:")
    code, _, err = call(capsys, "import", path, "--map", the_map(tmp_path, text), "--out", tmp_path / "o")
    assert code == 65
    assert "rex.csv gave no samples: line 2 has 7 cells, expected 4" in err
    assert not (tmp_path / "o").exists()


def test_no_map_and_a_plain_table_say_how_to_get_one(capsys, tmp_path):
    path = write_table(tmp_path / "rex.csv", columns(still_and_moving(300), time=np.arange(300) / 50))
    code, _, err = call(capsys, "import", path, "--out", tmp_path / "o")
    assert code == 64
    assert "--guess" in err
    assert call(capsys, "import", tmp_path / "none", "--out", tmp_path / "o")[0] == 66
    assert call(capsys, "import", path)[0] == 64
    assert call(capsys, "import", path, "--preset", "nope", "--out", tmp_path / "o")[0] == 64


def test_labels_are_laid_over_in_the_same_step_or_nothing_appears(capsys, tmp_path):
    samples = still_and_moving(500, rate_hz=50)
    write_table(tmp_path / "raw" / "rex.csv", columns(samples, time=np.arange(500) / 50))
    (tmp_path / "labels.csv").write_text("start,stop,label\n2,5,walk\n")
    words = (
        "import",
        tmp_path / "raw",
        "--map",
        the_map(tmp_path, PLAIN),
        "--labels",
        tmp_path / "labels.csv",
        "--out",
    )
    assert call(capsys, *words, tmp_path / "o", "--quiet") == (0, "", "")
    dataset = open_dataset(f"folder:{tmp_path / 'o'}")
    assert dataset.classes == ("walk",)
    assert (dataset.recordings[0].labels == 0).sum() == 150
    assert {path.name for path in (tmp_path / "o").iterdir()} == {
        "dataset.json",
        "import.json",
        "labelling.json",
        "rex.npz",
    }
    (tmp_path / "labels.csv").write_text("start,stop,label\n200,500,walk\n")
    assert call(capsys, *words, tmp_path / "p")[0] == 65
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.csv", "map.yaml", "o", "raw"]


def test_many_files_are_shown_in_short_and_kept_whole(capsys, tmp_path):
    samples = np.float32([[0, 0, 1], [0, 0.1, 1], [0, 0.2, 1], [0, 0.3, 1]])
    for number in range(30):
        write_table(tmp_path / "raw" / f"a{number:02}.csv", columns(samples, time=[0, 0.02, 0.02, 0.04]))
    text = PLAIN + "max_dropped_percent: 50\nrate_hz: 50\n"
    code, out, err = call(
        capsys, "import", tmp_path / "raw", "--map", the_map(tmp_path, text), "--out", tmp_path / "out"
    )
    assert code == 0, err
    assert len(out.splitlines()) < 70
    assert "all 30" in out
    assert "30 subjects" in out
    assert out.count("repeated time with other values") <= 23  # 20 files, their sum, one note for all
    assert "(first of 30)" in out
    assert len(json.loads((tmp_path / "out" / "import.json").read_text())["inputs"]) == 30


@pytest.mark.parametrize(("times", "hint"), [
    ([0, 0.3, 0.1, 0.2, 0.05, 0.15], "sort the file by its column of times"),
    ([0, 0.02, 0.02, 0.02, 0.04, 0.06], "spread: true under time:"),
])  # fmt: skip
def test_rows_out_of_order_and_shared_stamps_get_a_hint_of_their_own(capsys, tmp_path, times, hint):
    samples = np.float32([[0, 0.1 * i, 1] for i in range(len(times))])
    write_table(tmp_path / "raw" / "rex.csv", columns(samples, time=times))
    text = PLAIN.replace("{column: time}", "{column: time, form: s}")
    code, _, err = call(capsys, "import", tmp_path / "raw", "--map", the_map(tmp_path, text), "--out", tmp_path / "out")
    assert code == 65
    assert hint in err
