"""Four animals' CSVs and a BORIS export become a model, a stream and a time budget, by the commands of the docs."""

from __future__ import annotations

import json
import re
import shlex
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from fsq_edge.cli.main import run
from tests.factories.loggers import write_table

PAGE = Path(__file__).parents[2] / "docs" / "recordings.md"
ANIMALS = ("kim", "pia", "rex", "tom")
BEHAVIORS = {"rest": (0.0, 0.02), "walk": (1.8, 0.25), "run": (3.6, 0.9)}  # strides a second, g
RATE, SECONDS, VIDEO_LATE = 50, 240, 3.2
SHORTER = {"train": ["--epochs", "3"]}


def bouts(seed: int) -> list[tuple[float, float, str]]:
    rng = np.random.default_rng(seed)
    found, at = [], 2.0
    while at < SECONDS - 14:
        length = float(rng.integers(8, 14))
        found.append((at, at + length, str(rng.choice(list(BEHAVIORS)))))
        at += length
    return found


def collar(seed: int) -> np.ndarray:
    t = np.arange(SECONDS * RATE) / RATE
    rng = np.random.default_rng(seed)
    xyz = np.stack([0.1 * np.ones_like(t), np.zeros_like(t), np.ones_like(t)], axis=1) + rng.normal(
        0, 0.01, (len(t), 3)
    )
    for begin, end, name in bouts(seed):
        inside = (t >= begin) & (t < end)
        pace, size = BEHAVIORS[name]
        for axis, share in enumerate((0.5, 0.3, 1.0)):
            xyz[inside, axis] += share * size * np.sin(2 * np.pi * pace * t[inside] + axis)
    return xyz


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Semicolons and decimal commas; kim has a 40 s gap, pia repeated rows, tom is in m/s2."""
    lines = [
        "Observation id,Observation date,Media file,Total length,FPS,Subject,Behavior,Behavior type,Start (s),Stop (s)"
    ]
    for seed, animal in enumerate(ANIMALS):
        values = collar(seed) * (9.80665 if animal == "tom" else 1.0)
        start = datetime(2024, 6, 1, 10 + seed)
        times = [start + timedelta(seconds=i / RATE) for i in range(len(values))]
        keep = np.ones(len(values), bool)
        if animal == "kim":
            keep[100 * RATE : 140 * RATE] = False
        rows = np.flatnonzero(keep)
        if animal == "pia":
            rows = np.sort(np.concatenate([rows, rows[500:503]]))
        table = {
            "Timestamp": [times[i].isoformat(timespec="milliseconds") for i in rows],
            **{f"Acc{axis.upper()}": np.round(values[rows, i], 4) for i, axis in enumerate("xyz")},
        }
        write_table(tmp_path / "raw" / f"collar_{animal}.csv", table, delimiter=";", decimal=",")
        for begin, end, name in bouts(seed):
            shifted = f"{begin - VIDEO_LATE:.3f},{end - VIDEO_LATE:.3f}"
            lines.append(f"{animal},2024-06-01,{animal}.mp4,{SECONDS},25,{animal},{name},STATE,{shifted}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def commands() -> list[list[str]]:
    section = PAGE.read_text().split("\n## ")[0]
    return [shlex.split(line.strip())[1:] for line in re.findall(r"^    fsq-edge .*$", section, flags=re.MULTILINE)]


def test_ten_commands_and_no_python(
    raw: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = commands()
    assert len(words) == 10
    monkeypatch.chdir(raw)
    for command in words:
        code = run([*command, *SHORTER.get(command[0], [])])
        out, err = capfd.readouterr()
        assert code == 0, (command, err)
    assert "walk" in out  # the time budget's table
    decisions = [json.loads(line) for line in (raw / "rex.jsonl").read_text().splitlines()]
    labels = [line["label"] for line in decisions if line["type"] == "decision"]
    assert len(labels) > 100
    assert set(labels) <= {"rest", "walk", "run", "unknown", None}
    record = json.loads((raw / "collars" / "import.json").read_text())
    by_file = {entry["file"]: entry for entry in record["inputs"]}
    assert by_file["collar_pia.csv"]["dropped"] == {"repeated row": 3}
    assert [account["holes"] for account in record["recordings"]] == [1, 0, 0, 0]
    assert {
        tuple(channel.values()) for channel in json.loads((raw / "collars" / "dataset.json").read_text())["channels"]
    } == {
        ("acc_x", "g"),
        ("acc_y", "g"),
        ("acc_z", "g"),
    }
    labelling = json.loads((raw / "collars" / "labelling.json").read_text())
    assert sum(entry["seconds"]["outside"] for entry in labelling["recordings"]) == pytest.approx(40, abs=3)
    report = json.loads((raw / "runs" / "collars" / "evaluation" / "summary.json").read_text())
    assert report["accuracy"] > 0.6
