"""Corrected shares: exact where the answers are, and intervals that hold for wearers who are drawn anew (simulated)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fsq_edge.budget import Correction, correct
from fsq_edge.cli.main import run
from fsq_edge_runtime.errors import DataError

CLASSES = ("rest", "walk", "trot")
RATES = np.array([[0.9, 0.07, 0.03], [0.15, 0.7, 0.15], [0.02, 0.2, 0.78]])


def pieces(stream: str, states: list[str]) -> pd.DataFrame:
    at = np.arange(len(states), dtype=float)
    return pd.DataFrame({"stream": stream, "start": at, "end": at + 1, "state": states})


def wearer(draw: np.random.Generator, shares: np.ndarray, n: int = 600) -> tuple[list[str], list[str]]:
    """Draw what one simulated wearer does, and what a classifier with habits of this wearer answers."""
    truth = draw.choice(3, size=n, p=shares)
    habits = [draw.dirichlet(row) for row in 30 * RATES]
    answers = [draw.choice(3, p=habits[k]) for k in truth]
    return [CLASSES[k] for k in truth], [CLASSES[k] for k in answers]


def measured(draw: np.random.Generator, wearers: int) -> Correction:
    tables = []
    for _ in range(wearers):
        truth, answers = wearer(draw, np.array([1, 1, 1]) / 3)
        table = pd.crosstab(truth, answers).reindex(index=CLASSES, columns=CLASSES, fill_value=0)
        tables.append(tuple(tuple(float(cell) for cell in row) for row in table.to_numpy()))
    names = tuple(f"w{number}" for number in range(wearers))
    return Correction(classes=CLASSES, answers=CLASSES, streams=names, seconds=tuple(tables))


def test_shares_are_found_again_where_wearers_are_alike() -> None:
    table = tuple(tuple(1000 * float(cell) for cell in row) for row in RATES)
    names = tuple(f"w{number}" for number in range(24))
    correction = Correction(classes=CLASSES, answers=CLASSES, streams=names, seconds=(table,) * 24)
    true = np.array([0.05, 0.25, 0.7])
    counts = np.round(10_000 * true @ RATES).astype(int)
    states = [name for name, count in zip(CLASSES, counts, strict=True) for _ in range(count)]
    found = correct(pieces("x", states), correction)
    assert found["corrected"].to_numpy() == pytest.approx(100 * true, abs=0.05)
    few = correct(pieces("x", states), correction.model_copy(update={"streams": names[:3], "seconds": (table,) * 3}))
    wide, narrow = ((table["high"] - table["low"]).max() for table in (few, found))
    assert narrow < 8 < wide, "three wearers who are alike do not rule out a fourth who is not"
    assert abs(found["percent"].to_numpy() - 100 * true).max() > 5


@pytest.mark.parametrize("wearers", [3, 6, 24])
def test_the_intervals_hold_for_wearers_drawn_anew_and_the_correction_is_nearer(wearers: int) -> None:
    draw = np.random.default_rng(7)
    correction = measured(draw, wearers)
    inside, widths, off, raw = [], [], [], []
    for _ in range(25):
        shares = draw.dirichlet([1.5, 1.5, 1.5])
        truth, answers = wearer(draw, shares)
        found = correct(pieces("x", answers), correction).set_index("state")
        for name in CLASSES:
            true = 100 * truth.count(name) / len(truth)
            widths.append(found.loc[name, "high"] - found.loc[name, "low"])
            inside.append(found.loc[name, "low"] <= true <= found.loc[name, "high"])
            off.append(abs(found.loc[name, "corrected"] - true))
            raw.append(abs(found.loc[name, "percent"] - true))
        assert found["corrected"].sum() == pytest.approx(100)
    assert np.mean(inside) >= 0.92  # of 75 figures; 95 % is the aim
    assert np.mean(widths) < 60  # an interval that says something
    assert np.mean(off) < np.mean(raw)


def test_a_class_that_may_not_have_been_there_can_have_a_share_of_exactly_nothing() -> None:
    correction = measured(np.random.default_rng(3), 6)
    found = correct(pieces("x", ["rest"] * 90 + ["walk"] * 9 + ["trot"]), correction).set_index("state")
    assert found.loc["trot", "low"] == 0.0
    assert found.loc["rest", "low"] > 50.0


def test_answers_that_tell_nothing_have_no_interval() -> None:
    tables = []
    for kind in range(3):  # each takes another class for all the others
        table = np.full((3, 3), 1.0)
        table[:, kind] = 98.0
        tables.append(tuple(tuple(float(cell) for cell in row) for row in table))
    correction = Correction(classes=CLASSES, answers=CLASSES, streams=("a", "b", "c"), seconds=tuple(tables))
    found = correct(pieces("x", ["rest"] * 40 + ["walk"] * 40 + ["trot"] * 20), correction)
    assert found["low"].isna().all()


def test_few_streams_have_no_interval() -> None:
    correction = measured(np.random.default_rng(0), 2)
    found = correct(pieces("x", ["rest", "walk"]), correction)
    assert found["low"].isna().all()
    assert found["high"].isna().all()
    assert found["corrected"].sum() == pytest.approx(100)


def test_an_unknown_answer_counts_as_an_answer_and_has_no_share_of_its_own() -> None:
    truth = pd.DataFrame({"stream": "a", "start": [0.0], "end": [6.0], "truth": ["walk"]})
    log = pieces("a", ["walk", "walk", "unknown", "rest", "(abstained)", "(missed)"])
    correction = Correction.measure(log, truth)
    assert correction.classes == ("walk",)
    assert correction.answers == ("rest", "unknown", "walk")
    assert correction.seconds == (((1.0, 1.0, 2.0),),)
    found = correct(log, correction).set_index("state")
    assert found["corrected"].to_dict() == {"walk": 100, "rest": 0, "unknown": 0}
    with pytest.raises(DataError, match="'trot', which the correction has never seen"):
        correct(pieces("a", ["trot"]), correction)


def test_the_verb_measures_and_corrects(tmp_path: Path) -> None:
    import json

    lines = [{"type": "decision", "stream": "a", "t_start": n, "t_end": n + 1, "label": "walk" if n % 4 else "rest"}
             for n in range(40)]  # fmt: skip
    (tmp_path / "log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "truth.csv").write_text("start,end,label\n0,20,walk\n20,40,rest\n")
    out = str(tmp_path / "c.json")
    log = ["budget", str(tmp_path / "log")]
    assert run([*log, "--truth", str(tmp_path / "truth.csv"), "--correction-out", out]) == 0
    assert run([*log, "--correction", out, "--json", str(tmp_path / "r.json")]) == 0
    assert {row["state"] for row in json.loads((tmp_path / "r.json").read_text())["corrected"]} == {"rest", "walk"}
    (tmp_path / "c.json").write_text((tmp_path / "c.json").read_text().replace('"classes": [', '"classes": ["fly",'))
    assert run([*log, "--correction", out]) == 65
    assert run([*log, "--correction", str(tmp_path / "none")]) == 66
