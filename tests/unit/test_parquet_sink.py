"""Parquet files of an hour each: whole or not there, whatever kills the program."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.sinks import open_sink, parquet
from fsq_edge_runtime.sinks.parquet import ParquetSink
from fsq_edge_runtime.stream.records import StreamEvent
from tests.factories.live import eventually
from tests.factories.records import decision

START = 1_700_002_800.0  # a full hour: 2023-11-14 23:00 in UTC


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_windows_of_an_hour_are_one_file_and_read_back(tmp_path: Path) -> None:
    sink = open_sink(f"parquet:{tmp_path / 'out'}", queued=False, scores=True)
    for number in range(0, 7200, 60):
        sink.write(decision(number, None if number == 60 else "walk", t_end=START + number, quality=("stuck:x",)))
    assert names(tmp_path / "out") == ["20231114T23Z-0000.parquet"]  # the second hour is not over
    sink.write(StreamEvent("end"))
    sink.close()
    assert names(tmp_path / "out") == ["20231114T23Z-0000.parquet", "20231115T00Z-0001.parquet"]
    assert sink.counters == {"records": 120, "files": 2}
    table = pd.read_parquet(tmp_path / "out")  # a folder is one table
    assert table["seq"].tolist() == list(range(0, 7200, 60))
    assert table["label"].isna().tolist() == [number == 1 for number in range(120)]
    row = pq.read_table(tmp_path / "out").to_pylist()[0]
    assert row == {
        "type": "decision", "seq": 0, "stream": "rex", "t_start": START - 2, "t_end": START, "label": "walk",
        "raw_label": "walk", "confidence": 0.93, "code": 117, "quality": ["stuck:x"], "labels": None, "backend": "onnx",
        "reason": None, "latency_us": 10.0, "probabilities": [0.1, 0.9], "smoothed": [0.2, 0.8],
    }  # fmt: skip


def test_a_second_run_adds_files_and_touches_none(tmp_path: Path) -> None:
    for _ in range(2):
        sink = ParquetSink(tmp_path)
        sink.write(decision(0, t_end=START))
        sink.close()
    assert names(tmp_path) == ["20231114T23Z-0000.parquet", "20231114T23Z-0001.parquet"]
    assert len(pq.read_table(tmp_path)) == 2


def test_a_source_that_counts_from_its_own_start_has_hours_of_its_own(tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path)
    for end in (10.0, 3599.0, 3601.0, 9000.0):
        sink.write(decision(int(end), t_end=end))
    sink.close()
    assert [name[:11] for name in names(tmp_path)] == ["hour-000000", "hour-000001", "hour-000002"]


def test_a_stream_that_falls_silent_is_written_after_an_hour_and_many_rows_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "MAX_ROWS", 100)
    clock = [0.0]
    sink = ParquetSink(tmp_path, now_s=lambda: clock[0])
    for number in range(250):
        sink.write(decision(number, t_end=START + number))
    assert sink.counters["files"] == 2
    clock[0] = 3600.0
    sink.write(StreamEvent("stats"))
    assert sink.counters["files"] == 3
    assert not sink._hours


def test_streams_with_clocks_of_their_own_keep_few_hours_open(tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path)
    for number in range(40):
        sink.write(decision(0, stream=f"s{number}", t_end=START + 3600 * number))
    assert len(sink._hours) == parquet.MAX_OPEN_HOURS
    sink.close()
    assert len(pq.read_table(tmp_path)) == 40


_WRITER = """
import sys
from pathlib import Path
from fsq_edge_runtime.sinks.parquet import ParquetSink
from tests.factories.records import decision

sink, number = ParquetSink(Path(sys.argv[1])), 0
while True:
    sink.write(decision(number, t_end={start} + number))
    number += 10
"""


def test_what_a_kill_leaves_reads_whole(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    program = [sys.executable, "-c", _WRITER.format(start=START), str(folder)]
    path = ":".join(["runtime", "."])
    with subprocess.Popen(program, env={"PYTHONPATH": path}, stderr=subprocess.PIPE) as process:
        eventually(lambda: process.poll() is not None or len(list(folder.glob("*.parquet"))) >= 3, "three hours")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.returncode == -signal.SIGKILL, process.stderr and process.stderr.read()
    seen = sorted(pq.read_table(folder).column("seq").to_pylist())
    assert seen == list(range(0, 10 * len(seen), 10))  # from the first row on, none missing
    assert len(seen) % 360 == 0  # whole hours


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot write"):
        open_sink(f"parquet:{tmp_path / 'file' / 'out'}")


def test_a_folder_that_vanishes_costs_its_rows_and_is_said(tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path / "out")
    (tmp_path / "out").rmdir()
    (tmp_path / "out").write_text("")
    sink.write(decision(0, t_end=START))
    with pytest.raises(OSError, match="out"):
        sink.write(decision(1, t_end=START + 3600))
    with pytest.raises(OSError, match="out"):
        sink.write(StreamEvent("end"))
    sink.close()
