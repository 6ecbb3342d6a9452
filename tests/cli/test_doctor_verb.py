"""``fsq-edge doctor`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsq_edge.cli.main import run
from tests.factories.hailo_rig import bundle_with_hefs


def test_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["doctor"])
    shown = capsys.readouterr().out
    assert code in (0, 1)  # a machine with a broken Hailo stack rightly gives 1
    for line in ("system", "device", "driver", "HailoRT", "python", "packages", "torch"):
        assert f"\n{line}" in f"\n{shown}"


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    run(["doctor", "--json", "-"])
    value = json.loads(capsys.readouterr().out)
    assert value["schema_version"] == 1
    assert value["healthy"] == (not any(finding["severity"] == "error" for finding in value["findings"]))
    assert {"facts", "findings"} <= set(value)
    assert "placement" not in value


def test_with_a_bundle_it_says_where_the_network_belongs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle_with_hefs("hailo8l").save(tmp_path / "dog.fsqb")
    run(["doctor", "--bundle", str(tmp_path / "dog.fsqb"), "--json", "-"])
    value = json.loads(capsys.readouterr().out)
    assert value["placement"]["verdict"] in ("cpu", "npu")
    assert value["placement"]["cpu"]["p99_us"] > 0
    assert any(finding["rule"].startswith("bundle-") for finding in value["findings"])


def test_a_recorded_tree_with_a_fault_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = {"commands": {"hailortcli --version": {"stdout": "HailoRT-CLI version 4.23.0"}}}
    (tmp_path / "system.json").write_text(json.dumps(record))
    bundle_with_hefs("hailo8l").save(tmp_path / "dog.fsqb")
    assert run(["doctor", "--root", str(tmp_path), "--bundle", str(tmp_path / "dog.fsqb")]) == 1
    shown = capsys.readouterr().out
    assert "device-absent" in shown
    assert "fix: lspci -d 1e60:  # after this: power off, reseat" in shown
    assert "placement" not in shown, "another machine cannot be measured here"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    run(["doctor", "--quiet"])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--no-such-flag"], 64),
        (["--root", "nowhere"], 66),
        (["--root", "broken"], 65),
        (["--bundle", "none.fsqb"], 66),
        (["--bundle", "broken/system.json"], 65),
    ],
)
def test_mistakes_are_one_line_and_a_code(
    arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "system.json").write_text("{not json")
    assert run(["doctor", *arguments]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error
    assert len(error.splitlines()) <= 2
