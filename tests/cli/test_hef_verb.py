"""``fsq-edge hef inspect`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsq_edge.cli.main import run
from fsq_edge_runtime.testing.hef_writer import TensorSpec, write_hef
from tests.factories.bundles import random_bundle

FITTING = {
    "inputs": (TensorSpec("input_layer1", (2, 50, 12), -5.0, 5.0, original_names=("conv",)),),
    "outputs": (TensorSpec("fc1", (3,), -1.0, 1.0, original_names=("tanh",)),),
}


def test_a_sound_file_is_shown_and_exits_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_hef(tmp_path / "dog.hef", arch="hailo8l", network="[red]dog[/red]")
    assert run(["hef", "inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "[red]dog[/red]" in shown
    assert "simulated, not measured" in shown


def test_json_has_the_whole_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_hef(tmp_path / "dog.hef", arch="hailo8l")
    assert run(["hef", "inspect", str(path), "--json", "-", "--device", "hailo8l", "--hailort", "4.23.0"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["architecture"]["targets"] == ["hailo8l"]
    assert value["load"] == {"loads": True, "status": None, "reasons": [], "warnings": []}


def test_against_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random_bundle().save(tmp_path / "dog.fsqb")
    good = write_hef(tmp_path / "good.hef", **FITTING)
    noise = TensorSpec("input_layer1", (2, 50, 12), 0.0, 1.0, original_names=("conv",))
    bad = write_hef(tmp_path / "bad.hef", **{**FITTING, "inputs": (noise,)})
    assert run(["hef", "inspect", str(good), "--bundle", str(tmp_path / "dog.fsqb")]) == 0
    assert "against the bundle: fits" in capsys.readouterr().out
    assert run(["hef", "inspect", str(bad), "--bundle", str(tmp_path / "dog.fsqb")]) == 1
    shown = capsys.readouterr().out
    assert "calibrated with uniform noise" in shown
    assert "fix: calibrate with real training windows" in shown


def test_a_device_that_will_not_load_it_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_hef(tmp_path / "dog.hef", arch="hailo8")
    assert run(["hef", "inspect", str(path), "--device", "hailo8l"]) == 1
    assert "refuses it (status 93)" in capsys.readouterr().out


def test_quiet_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["hef", "inspect", str(write_hef(tmp_path / "dog.hef")), "--quiet"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["none.hef"], 66),
        (["damaged.hef"], 65),
        (["dog.hef", "--no-such-flag"], 64),
        (["dog.hef", "--hailort", "4.23.0"], 64),
        (["dog.hef", "--device", "hailo9"], 64),
        (["dog.hef", "--bundle", "none.fsqb"], 66),
    ],
)
def test_mistakes_are_one_line_and_a_code(
    arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_hef(tmp_path / "dog.hef").read_bytes()
    (tmp_path / "damaged.hef").write_bytes(data[:-1])
    assert run(["hef", "inspect", *arguments]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error
    assert len(error.splitlines()) <= 2
