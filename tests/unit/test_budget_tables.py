"""Budgets by hour and subject, of Parquet logs, beside a truth; what a killed run left behind."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge.budget import (
    compare,
    hour_shares,
    read_decisions,
    read_subjects,
    read_truth,
    subject_budget,
    time_budget,
)
from fsq_edge.budget.calendar import cut_at, day_shares
from fsq_edge.cli.main import run
from fsq_edge.data import write_folder
from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.sinks.files import JsonlSink, Output
from fsq_edge_runtime.sinks.parquet import ParquetSink
from tests.factories.records import decision
from tests.factories.runs import gait_dataset

AUTUMN = 1_729_980_000  # midnight of Berlin, 27 October 2024: a day of 25 hours begins
SPRING = 1_711_839_600  # 31 March 2024: a day of 23 hours


def records(count: int = 400, start: float = 1.7e9) -> list:
    draw = np.random.default_rng(0)
    names = np.array(["walk", "rest", None], dtype=object)
    found = [
        decision(n, names[draw.integers(3)], t_end=start + 30.0 * n, length=60.0, stream="rex" if n % 2 else "bella")
        for n in range(count)
    ]
    return [*found, decision(count, None, t_end=start + 30.0 * count, missed="deadline")]


def test_a_run_that_was_killed_in_the_middle_of_a_line_and_went_on_loses_that_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    sink = JsonlSink(Output(path))
    for number in range(20):
        sink.write(decision(number))
    sink.close()
    path.write_bytes(path.read_bytes()[:-40])
    sink = JsonlSink(Output(path, append=True))
    for number in range(20, 40):
        sink.write(decision(number))
    sink.close()
    ends = read_decisions([path])["end"]
    assert ends.tolist() == [2.0 + number for number in range(40) if number != 19]


def test_parquet_and_json_lines_give_the_same_budget(tmp_path: Path) -> None:
    sinks = [JsonlSink(Output(tmp_path / "a.jsonl")), ParquetSink(tmp_path / "parquet")]
    for record in records():
        for sink in sinks:
            sink.write(record)
    for sink in sinks:
        sink.close()
    lines, table = read_decisions([tmp_path / "a.jsonl"]), read_decisions([tmp_path / "parquet"])
    pd.testing.assert_frame_equal(lines, table)
    both = read_decisions([*sorted((tmp_path / "parquet").iterdir(), reverse=True), tmp_path / "a.jsonl"])
    pd.testing.assert_frame_equal(lines, both)  # every decision twice, in any order
    assert set(lines["state"]) == {"walk", "rest", "(abstained)", "(missed)"}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"type": ["decision"], "stream": ["a"], "t_start": [0.0], "t_end": [1.0]}, "no column 'label'"),
        ({"type": ["x"], "stream": ["a"], "t_start": [2.0], "t_end": [1.0], "label": ["a"]}, "no window"),
        ({"type": ["x"], "stream": ["a"], "t_start": ["soon"], "t_end": [1.0], "label": ["a"]}, "no numbers"),
    ],
)
def test_a_foreign_parquet_file_is_refused(tmp_path: Path, columns: dict, words: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=words):
        read_decisions([tmp_path / "a.parquet"])


def test_what_is_no_parquet_file_and_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="no Parquet file"):
        read_decisions([tmp_path / "a.parquet"])
    with pytest.raises(MissingInputError):
        read_decisions([tmp_path / "b.parquet"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no decision"):
        read_decisions([tmp_path / "empty"])


def pieces(rows: list[tuple[str, float, float, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["stream", "start", "end", "state"])


@pytest.mark.parametrize(("start", "hours"), [(AUTUMN, 25), (SPRING, 23)])
def test_a_day_has_its_own_hours(start: int, hours: int) -> None:
    table = hour_shares(pieces([("rex", start, start + hours * 3600.0, "rest")]), "Europe/Berlin")
    rest = table[table["state"] == "rest"]
    assert rest["hour"].nunique() == len(rest) == hours
    assert (rest["percent"] == 100).all()
    twice = [hour for hour in rest["hour"] if "T02" in hour]
    assert twice == ([f"2024-10-27T02+0{offset}00" for offset in (2, 1)] if hours == 25 else [])


def test_hours_of_a_zone_with_half_an_hour() -> None:
    start = 1_700_000_000 // 86_400 * 86_400 - 5.5 * 3600  # midnight in Kolkata
    table = hour_shares(pieces([("rex", start, start + 7200.0, "rest")]), "Asia/Kolkata")
    assert [hour[-8:] for hour in table[table["state"] == "rest"]["hour"]] == ["T00+0530", "T01+0530"]


spans = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(1, 90_000), st.sampled_from("abc")), min_size=1, max_size=20
)


@settings(deadline=None, max_examples=20)
@given(spans, st.sampled_from(["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]))
def test_shares_of_every_hour_and_day_add_up(moves: list[tuple[int, int, str]], zone: str) -> None:
    at, rows = float(AUTUMN) - 5000, []
    for gap, length, state in moves:
        rows.append(("rex", at + gap, at + gap + length, state))
        at += gap + length
    table = pieces(rows)
    seconds = (table["end"] - table["start"]).sum()
    for shares, part in ((hour_shares(table, zone), "hour"), (day_shares(table, zone), "day")):
        assert shares.groupby(part)["percent"].sum().to_numpy() == pytest.approx(100)
        assert shares[shares["state"] != "(no data)"]["total_s"].sum() == pytest.approx(seconds)


def test_cutting_keeps_every_second() -> None:
    table = pieces([("a", 0.5, 9.5, "x"), ("a", 10.0, 12.0, "y"), ("b", 3.0, 4.0, "x")])
    cut = cut_at(table, np.array([0.0, 3.0, 4.0, 10.0, 12.0]))
    assert cut[["start", "end", "part"]].to_numpy().tolist() == [
        [0.5, 3, 0], [3, 4, 1], [4, 9.5, 2], [10, 12, 3], [3, 4, 1],
    ]  # fmt: skip


def test_the_columns_are_those_of_boris() -> None:
    # Events of BORIS's own test observation 1, and the time budget that it computes from them (tests/files of BORIS:
    # test_export_events_tabular.tsv, test_time_budget1.json); "inter" is the mean of the times between two events.
    events = [("subject1", 3.3, 7.75), ("subject1", 9.9, 16.2), ("subject1", 18.35, 24.475), ("subject2", 38.425, 46.1)]
    found = time_budget(pieces([(stream, start, end, "s") for stream, start, end in events]))
    rows = found[found["state"] == "s"].set_index("stream")
    assert rows["total_s"].to_dict() == pytest.approx({"subject1": 16.875, "subject2": 7.675})
    assert rows["count"].to_dict() == {"subject1": 3, "subject2": 1}
    assert rows["mean_s"].to_dict() == pytest.approx({"subject1": 5.625, "subject2": 7.675})
    assert rows.loc["subject1", "sd_s"] == pytest.approx(1.021, abs=5e-4)
    assert rows.loc["subject1", "between_s"] == pytest.approx(2.15)
    assert rows.loc["subject2", ["sd_s", "between_s"]].isna().all()


def test_subjects_count_once_however_long_they_were_recorded(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("\ufeffstream, subject\na1,A\na2,A\n")
    rows = [("a1", 0, 90, "rest"), ("a2", 0, 10, "walk"), ("b", 0, 10, "walk")]
    table = subject_budget(time_budget(pieces([(s, float(a), float(b), n) for s, a, b, n in rows])),
                           read_subjects(tmp_path / "s.csv"))  # fmt: skip
    found = table.set_index(["subject", "state"])["percent"]
    assert found["A", "rest"] == 90
    assert found["b", "walk"] == 100
    assert found["(all subjects)", "walk"] == pytest.approx(55)
    assert table.set_index(["subject", "state"]).loc[("(all subjects)", "walk"), "sd"] == pytest.approx(90 / 2**0.5)
    assert table.groupby("subject")["percent"].sum().to_numpy() == pytest.approx(100)


def test_the_truth_stands_beside_what_was_decided(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("start,end,label\n0,4,walk\n4,10,rest\n12,14,walk\n")
    table = pieces([("0", 0.0, 6.0, "walk"), ("0", 6.0, 9.0, "rest"), ("0", 9.0, 13.0, "(abstained)")])
    found = compare(table, read_truth(tmp_path / "t.csv", ["0"])).set_index("state")
    assert found["true_s"].to_dict() == {"walk": 5, "rest": 6, "(abstained)": 0}
    assert found["total_s"].to_dict() == {"walk": 6, "rest": 3, "(abstained)": 2}
    assert found["agreed_s"].to_dict() == {"walk": 4, "rest": 3, "(abstained)": 0}
    assert found["true_percent"].sum() == found["percent"].sum() == pytest.approx(100)


def test_the_labels_of_a_dataset_folder_are_a_truth(tmp_path: Path) -> None:
    write_folder(gait_dataset(subjects=1, samples=500), tmp_path / "data")
    truth = read_truth(tmp_path / "data", ["s1-rest", "s1-walk.npz", "other"])
    assert truth.to_numpy().tolist() == [["s1-rest", 0, 10, "rest"], ["s1-walk.npz", 0, 10, "walk"]]
    with pytest.raises(DataError, match="named like a recording"):
        read_truth(tmp_path / "data", ["0"])
    recording = gait_dataset(subjects=1, samples=10).recordings[0]
    labels = np.array([0, 0, -1, -1, 1, 1, 1, 1, 2, 2], dtype=np.int16)
    times = np.arange(10) / 50.0 + 100.0
    times[7:] += 5.0  # a hole within the walk
    one = dataclasses.replace(recording, labels=labels, timestamps=times)
    write_folder(dataclasses.replace(gait_dataset(), recordings=(one,)), tmp_path / "one")
    found = read_truth(tmp_path / "one", ["0"])
    assert found["truth"].tolist() == ["rest", "walk", "trot"]
    assert found["start"].to_numpy() == pytest.approx([100.0, 100.08, 105.16])
    assert found["end"].to_numpy() == pytest.approx([100.04, 105.16, 105.2])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("start,end\n0,1\n", "no column 'label'"),
        ("start,end,label\n", "no row"),
        ("start,end,label\n0,now,walk\n", "could not convert"),
        ("start,end,label\n1,1,walk\n", "no interval"),
        ("start,end,label\n0,2,walk\n1,3,rest\n", "overlap"),
    ],
)
def test_a_faulty_truth_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        read_truth(tmp_path / "t.csv", ["0"])


def test_a_truth_without_streams_is_of_one(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("start,end,label\n0,1,walk\n")
    with pytest.raises(DataError, match="2 streams"):
        read_truth(tmp_path / "t.csv", ["0", "1"])


def test_the_page_and_its_pictures(tmp_path: Path) -> None:
    sink = JsonlSink(Output(tmp_path / "a.jsonl"))
    for record in records(start=float(AUTUMN)):
        sink.write(record._replace(stream="a<b" if record.stream == "rex" else record.stream))
    sink.close()
    (tmp_path / "t.csv").write_text(f"stream,start,end,label\nbella,{AUTUMN},{AUTUMN + 5000},walk\n")
    for zone in ([], ["--zone", "Europe/Berlin"]):
        words = ["budget", str(tmp_path / "a.jsonl"), *zone, "--html", str(tmp_path / "a.html"), "--quiet",
                 "--svg", str(tmp_path / "svg"), "--truth", str(tmp_path / "t.csv"), "--csv", str(tmp_path / "csv"),
                 "--json", str(tmp_path / "a.json")]  # fmt: skip
        assert run(words) == 0
        page = (tmp_path / "a.html").read_text()
        assert page.count("<svg") == 5
        assert "a&lt;b" in page
        assert "a<b" not in page.replace("a&lt;b", "")
        assert "<strong>much is unknown</strong>" in page
        for heading in ("Time budget", "Ethogram", "Actogram", "Beside the truth"):
            assert f">{heading}</h2>" in page
    assert "By day" in page
    names = {path.name for path in (tmp_path / "svg").iterdir()}
    assert names == {"budget.svg", *(f"{kind}-{n}.svg" for kind in ("ethogram", "actogram") for n in (0, 1))}
    tables = json.loads((tmp_path / "a.json").read_text())
    assert set(tables) == {"schema_version", "budget", "bouts", "transitions", "days", "hours", "truth"}
    assert {path.stem for path in (tmp_path / "csv").iterdir()} == set(tables) - {"schema_version"}


def test_options_that_need_each_other(tmp_path: Path) -> None:
    assert run(["budget", str(tmp_path / "a"), "--correction-out", str(tmp_path / "c")]) == 64
    assert run(["budget", str(tmp_path / "a"), "--subjects", str(tmp_path / "none")]) == 66
