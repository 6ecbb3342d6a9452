import json
from pathlib import Path

import pytest

from fsq_edge.cli.main import run
from fsq_edge_runtime import Bundle

KEYS = {"schema_version", "dataset", "split", "n_windows", "accuracy", "macro_f1", "majority_baseline", "int8"}


def test_the_demo_runs_from_recordings_to_a_stream(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--quick", "--out", str(tmp_path / "demo")]) == 0
    out = capfd.readouterr().out
    stages = (
        "data",
        "train",
        "evaluate",
        "export",
        "check",
        "calibrate",
        "int8 preview",
        "bundle",
        "stream",
        "latency",
    )
    places = [out.index(f"s] {stage}") for stage in stages]
    assert places == sorted(places)
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert set(summary) >= KEYS | {"check", "bundle_bytes", "latency_us"}
    assert summary["accuracy"] > 0.7 > summary["majority_baseline"]
    assert summary["int8"]["code_flip_rate"] < 0.2
    assert summary["check"]["verdict"] == "full"
    assert summary["onnx"]["code_mismatch"] == summary["onnx"]["label_mismatch"] == 0
    assert summary["latency_us"]["ratio_p50"] > 1
    assert Bundle.open(tmp_path / "demo" / "watch.fsqb").classes[0] == "pendulum"
    page = (tmp_path / "demo" / "report.html").read_text()
    assert page.count("<svg") == 5
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "A quick run" in page
