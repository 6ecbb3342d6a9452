"""``metrics``: the list, and the files for Grafana and Prometheus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsq_edge.cli.main import run


def test_list_prints_every_metric(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["metrics", "list", "--json", "-"]) == 0
    listed = json.loads(capsys.readouterr().out)["metrics"]
    assert {"name", "type", "labels", "text"} == set(listed[0])
    assert run(["metrics", "list"]) == 0
    assert "fsq_edge_drift_total" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], {"fsq-edge-dashboard.json", "fsq-edge-rules.yml", "fsq-edge-rules-test.yml"}),
        (["--grafana"], {"fsq-edge-dashboard.json"}),
        (["--rules"], {"fsq-edge-rules.yml", "fsq-edge-rules-test.yml"}),
    ],
)
def test_export_writes_what_was_named(words: list[str], names: set[str], tmp_path: Path) -> None:
    assert run(["metrics", "export", *words, str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert run(["metrics", "export", *words, str(tmp_path / "out")]) == 0, "again, over the files"


def test_export_where_it_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["metrics", "export", str(tmp_path / "no" / "such")]) == 69
    (tmp_path / "file").write_text("")
    assert run(["metrics", "export", str(tmp_path / "file")]) == 64
    assert "Traceback" not in capsys.readouterr().err
