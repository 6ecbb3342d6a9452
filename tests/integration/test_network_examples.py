"""The examples of foreign networks run: from training to decisions, in this process, with few training steps."""

import runpy
import sys
from pathlib import Path

import pytest

from fsq_edge_runtime.bundle.bundle import Bundle

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(("name", "bundle", "kind"), [("own_network", "exercise", "softmax"), ("anomaly",) * 3])
def test_an_example_ends_with_a_bundle_that_answers(name, bundle, kind, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--out", str(tmp_path), "--steps", "120"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert left.value.code == 0, said
    assert "check for hailo8l: full" in said
    assert ("ConvTranspose: conditional" in said) == (name == "anomaly")
    assert Bundle.open(tmp_path / f"{bundle}.fsqb").tail.kind == kind
