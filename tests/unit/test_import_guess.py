"""What ``--guess`` makes of folders as loggers leave them; the forms are those of real exports, the values are made."""

import json
import re

import numpy as np
import pytest

from fsq_edge.data import open_dataset
from fsq_edge.data.importing.guess import guess_map, left_out
from fsq_edge.data.importing.import_map import ImportMap, parse_map
from fsq_edge.data.importing.importer import import_files
from fsq_edge_runtime.errors import DataError
from tests.factories.loggers import still_and_moving, write_table

N = 400
ACC = still_and_moving(N, rate_hz=50)
T = np.arange(N) / 50


def axes(pattern, values=ACC):
    return {pattern.replace("@", axis): values[:, i] for i, axis in enumerate("XYZ")}


def imported(tmp_path):
    guessed = guess_map([tmp_path / "raw"])
    import_files([tmp_path / "raw"], parse_map(guessed.text.encode(), "guess"), tmp_path / "out")
    return guessed, open_dataset(f"folder:{tmp_path / 'out'}")


def test_a_second_accelerometer_beside_is_no_second_recording(tmp_path):
    raw = tmp_path / "raw"
    stamps = (np.arange(N) * 20_000).tolist()
    both = {"Timestamp (us)": stamps, **axes("Gyroscope @ (deg/s)"), **axes("Accelerometer @ (g)")}
    write_table(raw / "Inertial.csv", both)
    write_table(
        raw / "HighGAccelerometer.csv", {"Timestamp (us)": stamps[::3], **axes("Accelerometer @ (g)", ACC[::3])}
    )
    write_table(raw / "Battery.csv", {"Timestamp (us)": stamps[::50], "Percentage (%)": np.full(8, 83.5)})
    write_table(raw / "Temperature.csv", {"Timestamp (us)": stamps[::40], "Accelerometer (degC)": np.full(10, 30.25)})
    guessed, dataset = imported(tmp_path)
    assert len(dataset.recordings) == 1
    names = [channel.name for channel in dataset.channels]
    assert names[:3] == ["acc_x", "acc_y", "acc_z"]
    assert names[6:] == ["highgaccelerometer_x", "highgaccelerometer_y", "highgaccelerometer_z"]
    assert set(guessed.passed_over) == {"Battery.csv", "Temperature.csv"}


def test_numbers_without_names_give_a_map_with_doubts(tmp_path):
    rows = "\n".join(f"{x:7.3f} {y:7.3f}   {z:7.3f}" for x, y, z in ACC)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "board.txt").write_text(rows + "\n")
    guessed, dataset = imported(tmp_path)
    assert [channel.name for channel in dataset.channels] == ["column_1", "column_2", "column_3"]
    assert any("give the rate" in doubt for doubt in guessed.doubts)
    assert "CHECK: no sensor is recognised by the names; give the unit" in guessed.text


def test_labels_subjects_and_coarse_stamps_are_seen(tmp_path):
    table = {
        "animal_id": ["rex"] * N,
        "time": [f"01/0{1 + i // 200}/2024 10:00:{i // 50 % 60:02d}" for i in range(N)],
        **axes("acc@"),
        "behaviour": ["walk", "rest"] * (N // 2),
    }
    write_table(tmp_path / "raw" / "all.csv", table)
    guessed, dataset = imported(tmp_path)
    assert dataset.subjects == ("rex",)
    assert dataset.classes == ("rest", "walk")
    assert re.search(r"spread: true +# \d+ % of the rows share a stamp", guessed.text)
    assert dataset.sample_rate_hz == 50


def test_date_and_clock_in_two_columns_are_one_time(tmp_path):
    table = {
        "Data": ["2000/1/1"] * N,
        "Hora": [f"00:00:{i / 50:06.3f}" for i in range(N)],
        **axes("Acc@ [m/s²]", ACC * np.float32(9.80665)),
    }
    write_table(tmp_path / "raw" / "x.txt", table, delimiter=";", encoding="cp1252")
    guessed, dataset = imported(tmp_path)
    assert '["Data", "Hora"]' in guessed.text
    assert dataset.recordings[0].timestamps[0] == 946684800.0
    assert dataset.channels[0].unit == "m/s2"


def test_a_file_of_another_unit_keeps_its_subject(tmp_path):
    for animal, values in (("kim", ACC), ("pia", ACC), ("tom", ACC * np.float32(9.80665))):
        write_table(tmp_path / "raw" / f"{animal}.csv", {"time_s": T, **axes("a@", values)})
    _, dataset = imported(tmp_path)
    assert dataset.subjects == ("kim", "pia", "tom")
    np.testing.assert_allclose(dataset.recordings[2].samples, ACC, rtol=1e-5)


def test_the_map_has_a_schema_that_editors_can_use():
    schema = ImportMap.model_json_schema()
    assert set(schema["required"]) == {"files"}
    assert "pattern" in json.dumps(schema)


def test_nothing_to_import_is_said(tmp_path):
    (tmp_path / "notes.md").write_text("# only words\n")
    with pytest.raises(DataError, match=r"no file with samples was recognised \(notes.md: no reader knows"):
        guess_map([tmp_path])


def test_a_folder_an_animal_and_a_file_a_day_with_bare_axes(tmp_path):
    for animal, days in {
        "bella": ("02-09-15", "03-09-15"),
        "abbey": ("15-12-14", "30-10-14"),
        "sly": ("13-08-14",),
    }.items():
        for day in days:
            stamps = [f"{(3590 + t) // 60 % 60:02.0f}:{(3590 + t) % 60:04.1f}" for t in T.round(1)]
            table = {"behaviour_event": ["1.walk"] * N, "time": stamps, **axes("@"), "behaviour": ["walk"] * N}
            write_table(tmp_path / "raw" / animal / f"{day}.csv", table)
    guessed, dataset = imported(tmp_path)
    assert 'pattern: "{subject}/{session}.csv"' in guessed.text
    assert dataset.subjects == ("abbey", "bella", "sly")
    assert [(channel.name, channel.unit) for channel in dataset.channels] == [(f"acc_{axis}", "g") for axis in "xyz"]
    assert dataset.classes == ("walk",)
    assert {len(recording.samples) for recording in dataset.recordings} == {N}


def test_bare_axes_of_another_length_stay_in_doubt(tmp_path):
    write_table(tmp_path / "raw" / "a.csv", {"time": T.tolist(), **axes("@", 50 * ACC)})
    assert "no sensor is recognised by the names" in guess_map([tmp_path / "raw"]).text


def test_files_left_out_for_one_reason_are_one_line():
    assert left_out({"a": "empty", "b": "empty", "c": "text"}) == ["2 files such as a: empty", "c: text"]


def test_a_part_of_the_name_that_repeats_is_the_subject_and_is_asked_about(tmp_path):
    for name in ("s01_01", "s01_02", "s02_01", "s02_02"):
        write_table(tmp_path / "raw" / name[:3] / f"{name}.csv", {"time_s": T, **axes("a@")})
    write_table(tmp_path / "raw" / "subjects_info.csv", {"subject": ["s01", "s02"], "age": [31, 42]})
    guessed, dataset = imported(tmp_path)
    assert 'pattern: "*/{subject}_{session}.csv"' in guessed.text  # without the folder it fits subjects_info.csv
    assert any("are s01, s02 (2) the people or animals?" in doubt for doubt in guessed.doubts)
    assert dataset.subjects == ("s01", "s02")
    assert len(dataset.recordings) == 4
