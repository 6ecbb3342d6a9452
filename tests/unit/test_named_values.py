"""Lines that name their values, as phones and sketches send them, and what is said of those that cannot be read."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.sources import Notices
from fsq_edge_runtime.sources.base import Chunk
from fsq_edge_runtime.sources.columns import Wanted
from fsq_edge_runtime.sources.lines import NONE_GOOD, LineParser
from fsq_edge_runtime.sources.named_values import MAX_VALUES, JsonRows, named_in_object, named_in_text
from fsq_edge_runtime.sources.notices import FIRST_WINDOWS, tell_first_refusal
from fsq_edge_runtime.sources.parsing import RowError
from fsq_edge_runtime.stream.records import Decision, Record
from tests.factories.bundles import motion, random_bundle

CHANNELS = (Wanted("acc_x", "g"), Wanted("acc_y", "g"), Wanted("gyr_x", "rad/s"))


def parsed(line: str, *, header: bool = False) -> list[Chunk]:
    return LineParser(CHANNELS, {}, header=header, origin="port").parse([line.encode()])


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize(
    "line",
    [
        "acc_x:0.5,acc_y:-1,gyr_x:2e0",  # the Serial Plotter's form
        "gyr_x = 2 | acc_y = -1.0 | acc_x = 0.5 | temp = 36.5 degC",
        "acc_x: \t0.5\tacc_y: \t-1\tgyr_x: \t2",
        json.dumps({"acc": {"x": 0.5, "y": -1}, "gyr": {"x": 2}, "battery": "93 %"}),
        json.dumps([{"name": "acc", "values": {"x": 0.5, "y": -1}}, {"name": "gyr", "values": {"x": 2}}]),
    ],
)
def test_values_are_taken_by_their_names(line: str, header: bool) -> None:
    (chunk,) = parsed(line, header=header)
    assert chunk.samples.tolist() == [[0.5, -1.0, 2.0]]
    assert chunk.timestamps is None


def test_time_and_stream_have_names_too() -> None:
    (chunk,) = parsed('{"stream": "rex", "ts": 20, "acc_x": 1, "acc_y": null, "gyr_x": 3}')
    assert chunk.stream == "rex"
    assert chunk.timestamps is not None
    assert chunk.timestamps.tolist() == [20.0]
    assert math.isnan(chunk.samples[0, 1])


@pytest.mark.parametrize("line", ["2026-01-07T11:02:33.5,0.1,0.2,0.3", "0.1 0.2 0.3", "acc_x: 1", "a/g:\t12 4 16000"])
def test_a_line_with_numbers_that_have_no_name_is_left_to_the_rows(line: str) -> None:
    assert named_in_text(line) is None


def test_what_may_be_meant_is_said_for_every_channel() -> None:
    said: list[str] = []
    counters: dict[str, int] = {}
    parser = LineParser(CHANNELS, counters, header=False, origin="port", notices=Notices(said.append))
    parser.parse([b"AccX: 0.12 | AccY: 0.98 | GyroX: 1.5"] * NONE_GOOD)
    assert counters["malformed"] == NONE_GOOD
    assert "no value is named acc_x, acc_y, gyr_x; there are AccX, AccY, GyroX" in said[0]
    assert "'AccX' may be acc_x, 'AccY' acc_y, 'GyroX' gyr_x: rename them" in said[0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"acc_x (m/s^2)": 1, "acc_y": 2, "gyr_x": 3}', "is in m/s2, the bundle expects acc_x in g"),
        ('{"acc_x": 1, "acc_X": 1, "acc_y": 2, "gyr_x": 3, "ACC_Y": 4}', ""),
        ('{"acc_x": "far", "acc_y": 2, "gyr_x": 3}', "'far' is not a number"),
        ('{"acc_x": true, "acc_y": 2, "gyr_x": 3}', "'True' is not a number"),
        ("{}", 'not an object with "x"'),
    ],
)
def test_named_values_are_checked_as_columns_are(line: str, words: str) -> None:
    rows = JsonRows(CHANNELS, "port")
    if not words:
        assert rows.rows(line)
        return
    with pytest.raises(RowError, match=words.replace("(", "\\(")):
        rows.rows(line)


def test_a_hostile_object_stays_bounded() -> None:
    deep: object = 1
    for _ in range(500):
        deep = {"a": deep}
    assert named_in_object(deep) == ((), ())
    assert len(named_in_object({str(n): n for n in range(10_000)})[0]) == MAX_VALUES


@pytest.mark.parametrize(
    ("lines", "words", "hint"),
    [
        (["0.1,0.2,0.3"], "its lines hold 3 values, such as '0.1,0.2,0.3'", "put the line acc_x,acc_y,gyr_x before"),
        (["Started", "7\t1\t2\t3", "8\t1\t2\t3"], "hold 4 values", "put the line timestamp,acc_x,acc_y,gyr_x before"),
        (
            ["us,Gyroscope X (deg/s),Accelerometer X (g),Accelerometer Y (g)", "1,2,3,4", "5,6,7,8"],
            "no column 'acc_x'; the header found is: us, Gyroscope X",  # no line to put before: the order differs
            "'Accelerometer X (g)' may be acc_x",
        ),
        (["a/g:\t1\t2\t3"] * 3, "such as 'a/g:", "name every value in one line before them"),
        (["1 2 3 4 5 6 7 8"], "hold 8 values.*the bundle has 3 channels", "name every value"),
    ],
)
def test_rows_without_a_header_are_told_what_to_put_before_them(lines: list[str], words: str, hint: str) -> None:
    parser = LineParser(CHANNELS, {}, header=True, origin="standard input")
    assert parser.parse([line.encode() for line in lines]) == []
    with pytest.raises(DataError, match=words) as caught:
        parser.finish()
    assert hint in caught.value.hint


class Session:
    on_record = None


def window(seq: int, *quality: str) -> Decision:
    label = None if quality else "walk"
    return Decision(seq, "rex", 0.0, 2.0, label, label, None, None, quality, "onnx", None, None, None, None)


def test_the_first_refused_window_is_put_into_words_once() -> None:
    session, seen, said = Session(), [], []
    session.on_record = seen.append  # type: ignore[assignment]  # a stand-in with one attribute
    tell_first_refusal(session, "the bundle expects acc_x in g", lambda key, line: said.append(line))
    records: list[Record] = [window(0), window(1, "units", "range:acc_x"), window(2, "units")]
    for record in records:
        session.on_record(record)  # type: ignore[misc]
    assert seen == records
    assert len(said) == 1
    assert "window 1 of stream 'rex' gets no label: units: " in said[0]
    assert "raw counts" in said[0]
    assert said[0].endswith("the bundle expects acc_x in g")


def test_windows_that_come_together_are_looked_at_too() -> None:
    seen: list[Record] = []
    said: list[str] = []
    with random_bundle().open_session("onnx", deadline_ms=0.0) as session:
        each, together = seen.append, []
        session.report_to(each, together.append)
        tell_first_refusal(session, "", lambda key, line: said.append(line))
        samples = np.full((100, 6), np.nan, dtype=np.float32)
        session.push_many({"rex": motion(100), "max": samples, "kim": samples})
        assert session.on_record is each
        assert not together
    assert [(record.stream, record.seq) for record in seen if isinstance(record, Decision)] == [
        ("rex", 0),
        ("max", 0),
        ("kim", 0),
    ]
    assert len(said) == 1
    assert said[0].startswith("window 0 of stream 'max' gets no label: ")


def test_a_stream_that_starts_well_is_left_alone() -> None:
    session, said = Session(), []
    session.on_record = given = [].append  # type: ignore[assignment]
    tell_first_refusal(session, "", lambda key, line: said.append(line))
    for seq in range(FIRST_WINDOWS):
        session.on_record(window(seq))  # type: ignore[misc]
    assert session.on_record is given
    assert said == []
