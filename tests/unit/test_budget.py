"""Time budgets: no moment counts twice, the shares add up to 100 %, days have their own length."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge.budget import bouts, day_shares, read_decisions, time_budget, transitions
from fsq_edge.budget.figures import Colors
from fsq_edge.cli.main import run
from fsq_edge.report.palette import class_color
from fsq_edge_runtime.errors import DataError

Row = tuple[float, float, str | None]


def _log(path: Path, rows: list[Row], stream: str = "0") -> Path:
    lines = [{"type": "decision", "stream": stream, "t_start": a, "t_end": b, "label": label} for a, b, label in rows]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_overlapping_windows_count_once_and_a_gap_is_no_data(tmp_path: Path) -> None:
    log = _log(tmp_path / "a", [(0, 2, "walk"), (1, 3, "walk"), (2, 4, None), (6, 8, "rest")])
    budget = time_budget(read_decisions([log])).set_index("state")
    assert budget["total_s"].to_dict() == {"(abstained)": 1, "(no data)": 2, "rest": 2, "walk": 3}
    assert budget["percent"].sum() == pytest.approx(100)
    assert budget.loc["walk", "count"] == 1


def test_a_break_joins_bouts_and_short_ones_are_left_out(tmp_path: Path) -> None:
    pieces = read_decisions([_log(tmp_path / "a", [(0, 2, "walk"), (2, 3, "rest"), (3, 6, "walk")])])
    found = bouts(pieces, min_bout_s=2, max_break_s=1)
    assert found[["state", "length_s"]].to_numpy().tolist() == [["walk", 6]]


@pytest.mark.parametrize(("start", "hours"), [(1711839600, 23), (1729980000, 25), (1717192800, 24)])
def test_a_day_has_its_own_length(tmp_path: Path, start: int, hours: int) -> None:
    # Midnights of Berlin: 31 March 2024, 27 October 2024, 1 June 2024.
    rows: list[Row] = [(start + 1800.0 * i, start + 1800.0 * (i + 1), "rest") for i in range(2 * hours)]
    days = day_shares(read_decisions([_log(tmp_path / "a", rows)]), "Europe/Berlin")
    rest = days[days["state"] == "rest"]
    assert rest["total_s"].tolist() == [hours * 3600.0]
    assert rest["percent"].tolist() == [100.0]


steps = st.tuples(st.integers(1, 40), st.sampled_from(["walk", "rest", None]))


@settings(deadline=None, max_examples=30)
@given(st.lists(steps, min_size=1, max_size=30), st.integers(0, 30))
def test_shares_add_up_and_the_order_of_shards_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, str | None]], cut: int
) -> None:
    folder, end = tmp_path_factory.mktemp("logs"), 0
    rows: list[Row] = []
    for step, label in moves:
        end += step
        rows.append((float(end - 20), float(end), label))
    one, two = _log(folder / "a", rows[:cut]), _log(folder / "b", rows[cut:])
    budget = time_budget(read_decisions([one, two]))
    assert budget["percent"].sum() == pytest.approx(100)
    assert budget.equals(time_budget(read_decisions([two, one, two])))


def test_the_half_written_last_line_of_a_killed_run_is_left_out(tmp_path: Path) -> None:
    log = _log(tmp_path / "a", [(0, 2, "walk"), (2, 4, "walk")])
    log.write_bytes(log.read_bytes()[:-20])
    assert read_decisions([log])["end"].tolist() == [2]


def test_a_change_across_a_gap_is_no_transition(tmp_path: Path) -> None:
    rows: list[Row] = [(0, 2, "walk"), (2, 4, "rest"), (4, 6, "walk"), (9, 11, "rest")]
    counted = transitions(read_decisions([_log(tmp_path / "a", rows)]))
    assert counted[["state", "next", "count", "share"]].to_numpy().tolist() == [
        ["rest", "walk", 1, 1],
        ["walk", "rest", 1, 1],
    ]


def test_two_runs_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    logs = [_log(tmp_path / "a", [(0, 2, "walk")]), _log(tmp_path / "b", [(0, 2, "rest")])]
    with pytest.raises(DataError, match="two different decisions"):
        read_decisions(logs)


def test_the_verb_writes_tables_and_its_exit_codes(tmp_path: Path) -> None:
    log = str(_log(tmp_path / "a", [(2e9, 2e9 + 2, "walk"), (2e9 + 2, 2e9 + 4, "rest")]))
    assert run(["budget", log, "--zone", "UTC", "--csv", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{name}.csv" for name in ("budget", "bouts", "transitions", "days", "hours")
    }
    assert run(["budget", log, "--zone", "Mars"]) == 64
    assert run(["budget", str(tmp_path / "none")]) == 66
    assert run(["budget", str(_log(tmp_path / "zero", [(0, 2, "walk")])), "--zone", "UTC"]) == 65
    (tmp_path / "bad").write_text("walk\n")
    assert run(["budget", str(tmp_path / "bad")]) == 65


def test_a_behavior_has_the_color_of_its_class_and_keeps_it_from_log_to_log(tmp_path: Path) -> None:
    pieces = pd.DataFrame({"state": ["trot", "rest", "walk"], "start": [0.0, 9.0, 10.0], "end": [9.0, 10.0, 15.0]})
    known = Colors.of(pieces, ("walk", "trot", "rest", "sit"))
    assert known.states == ("trot", "walk", "rest")
    assert [known[name] for name in ("walk", "trot", "rest")] == [class_color(number) for number in range(3)]
    reversed_log = pieces.assign(state=["rest", "walk", "trot"])
    for name in ("walk", "trot", "rest"):
        assert Colors.of(pieces)[name] == Colors.of(reversed_log)[name]
