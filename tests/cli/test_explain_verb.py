"""``fsq-edge explain`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsq_edge.cli.main import run

ALLOCATOR = (
    "[error] Mapping Failed (allocation time: 13s)\nNo successful assignments: concat24 errors:\n  Agent infeasible\n"
)


def write(folder: Path, text: str) -> str:
    (folder / "a.log").write_text(text)
    return str(folder / "a.log")


def test_the_layer_the_advice_and_what_follows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", write(tmp_path, ALLOCATOR)]) == 0
    shown = capsys.readouterr().out
    assert "line 2 concat24 (allocate" in shown
    assert "end the device part before the concat" in shown
    assert "follows from it: line 1, 3" in shown


def test_json_names_row_layer_and_consequences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["explain", write(tmp_path, ALLOCATOR), "--json", "-"])
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["id"], finding["layer"], finding["consequences"]) == ("alloc-layer", "concat24", [1, 3])


def test_what_is_not_explained_is_listed_and_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", write(tmp_path, "[error] an error that nobody reported\n")]) == 1
    shown = capsys.readouterr().out
    assert "not in the table" in shown
    assert "no error in this log" not in shown


def test_a_log_without_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", write(tmp_path, "[info] Successful Compilation (compilation time: 13s)\n")]) == 0
    assert "no error in this log" in capsys.readouterr().out


def test_a_log_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", str(tmp_path / "none.log")]) == 66
    assert capsys.readouterr().err.startswith("error: ")
