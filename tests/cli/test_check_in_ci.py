"""``check`` in a CI job: its forms against public schemas and readers, the gate, the action, the hook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import onnx
import pytest
import yaml

from fsq_edge.cli.main import run
from tests.factories.onnx_graphs import GraphFactory, fsq_model, imu_encoder

ROOT = Path(__file__).parents[2]
# Published by OASIS with the standard (errata 01), its descriptions left out.
SARIF = json.loads((ROOT / "tests/golden/public/sarif-2.1.0.json").read_text())
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of a model that is taken whole, one that is cut and one that is refused."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "models"
    (folder / "deep er").mkdir(parents=True)
    graph = imu_encoder()
    onnx.save(graph.model(graph.last), folder / "full.onnx")  # type: ignore[attr-defined] # the factory's note
    onnx.save(fsq_model(), folder / "deep er" / "cut.onnx")
    odd = GraphFactory("x", [1, 4, 8, 8])
    onnx.save(odd.model(odd.add("Ceil", "x", name="a%,:\x07<b>")), folder / "none.onnx")
    return folder


def output(words: list[str], capsys: Capture) -> tuple[int, str]:
    capsys.readouterr()
    code = run(["check", *words])
    return code, capsys.readouterr().out


@pytest.mark.usefixtures("models")
def test_a_folder_is_judged_whole_and_the_worst_verdict_is_the_exit_code(capsys: Capture) -> None:
    code, text = output(["models"], capsys)
    assert code == 2
    assert "3 models: 1 full, 1 cut, 1 none" in text
    assert output(["models/full.onnx", "models/deep er/cut.onnx"], capsys)[0] == 1
    assert output(["models", "--fix", "x.onnx"], capsys)[0] == 64
    code, text = output(["models", "--json", "-"], capsys)
    assert [model["verdict"] for model in json.loads(text)["models"]] == ["cut", "full", "none"]


def test_an_unreadable_file_hides_no_other(models: Path, capsys: Capture) -> None:
    (models / "bad.onnx").write_bytes(b"junk")
    assert output(["models"], capsys)[0] == 65
    code, text = output(["models", "--format", "json"], capsys)
    assert code == 65
    assert sum("verdict" in model for model in json.loads(text)["models"]) == 3
    assert run(["check", str(models / "deep er" / ".."), "--quiet"]) == 65
    (models / "empty").mkdir()
    assert run(["check", str(models / "empty")]) == 66


def test_sarif_is_valid_by_the_public_schema(models: Path, capsys: Capture) -> None:
    (models / "bad.onnx").write_bytes(b"junk")
    _, text = output(["models", "--format", "sarif"], capsys)
    log = json.loads(text)
    jsonschema.Draft4Validator(SARIF).validate(log)
    results = log["runs"][0]["results"]
    uris = {result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in results}
    assert uris == {"models/deep%20er/cut.onnx", "models/full.onnx", "models/none.onnx"}
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in results)
    assert len(log["runs"][0]["invocations"][0]["toolExecutionNotifications"]) == 1
    assert len({result["partialFingerprints"]["modelRuleNode/v1"] for result in results}) == len(results)


def test_the_public_schema_would_refuse_a_wrong_log() -> None:
    wrong = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [{"level": "bad"}]}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(SARIF).validate(wrong)


@pytest.mark.usefixtures("models")
def test_junit_is_read_by_another_program(capsys: Capture) -> None:
    junitparser = pytest.importorskip("junitparser")
    _, text = output(["models", "--format", "junit"], capsys)
    suites = junitparser.JUnitXml.fromstring(text.encode())
    assert {suite.name: suite.failures > 0 for suite in suites} == {
        "models/deep er/cut.onnx": True, "models/full.onnx": False, "models/none.onnx": True,
    }  # fmt: skip
    assert suites.tests == sum(suite.tests for suite in suites)


@pytest.mark.usefixtures("models")
def test_annotations_stay_on_one_line_and_cannot_be_forged(capsys: Capture) -> None:
    _, text = output(["models/none.onnx", "--format", "github"], capsys)
    lines = text.splitlines()
    assert all(line.startswith(("::error file=models/none.onnx,title=", "::notice file=")) for line in lines)
    assert "a%25,:" in lines[0]  # the message; only a property escapes the colon


@pytest.mark.usefixtures("models")
def test_a_baseline_accepts_what_is_known_and_nothing_new(models: Path, capsys: Capture) -> None:
    assert output(["models", "--fail-on", "error"], capsys)[0] == 1
    assert output(["models/full.onnx", "--fail-on", "warning"], capsys)[0] == 0
    assert output(["models", "--write-baseline", "accepted.json"], capsys)[0] == 0
    value = json.loads(Path("accepted.json").read_text())
    assert value["accepted"][0]["model"] == "models/deep er/cut.onnx"
    value["accepted"][0]["reason"] = "the host does this part"
    Path("accepted.json").write_text(json.dumps(value))
    assert output(["models", "--baseline", "accepted.json"], capsys)[0] == 0
    _, text = output([str(models), "--baseline", "accepted.json", "--format", "sarif"], capsys)
    log: Any = json.loads(text)
    jsonschema.Draft4Validator(SARIF).validate(log)
    justified = [result["suppressions"][0]["justification"] for result in log["runs"][0]["results"]
                 if "suppressions" in result]  # fmt: skip
    assert "the host does this part" in justified
    odd = GraphFactory("x", [1, 4, 8, 8])
    onnx.save(odd.model(odd.add("Floor", "x")), models / "new.onnx")
    code, text = output(["models", "--baseline", "accepted.json"], capsys)
    assert code == 1
    assert "fails: models/new.onnx: error" in text
    (models / "none.onnx").unlink()
    assert "no longer found: models/none.onnx" in output(["models", "--baseline", "accepted.json"], capsys)[1]
    again = ["models", "--baseline", "accepted.json", "--write-baseline", "accepted.json"]
    assert output(again, capsys)[0] == 0
    reasons = {entry["reason"] for entry in json.loads(Path("accepted.json").read_text())["accepted"]}
    assert "the host does this part" in reasons


def test_the_action_is_one_by_the_public_schema_and_its_check_step_runs(models: Path, tmp_path: Path) -> None:
    text = (ROOT / "action.yml").read_text()
    action = yaml.safe_load(text)
    install, check = action["runs"]["steps"]
    # Inputs reach the shell as variables, never as text of the script.
    assert "${{" not in install["run"] + check["run"]
    inputs = {**{name: spec.get("default", "") for name, spec in action["inputs"].items()}, "models": "\nmodels\n"}
    inputs["sarif-file"] = "out.sarif"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for name, expression in check["env"].items():
        environment[name] = inputs[expression.removeprefix("${{ inputs.").removesuffix(" }}")]
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", check["run"]]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert "::error file=models/none.onnx" in ended.stdout
    jsonschema.Draft4Validator(SARIF).validate(json.loads((tmp_path / "out.sarif").read_text()))
    environment["MODELS"] = "models/full.onnx"
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    pytest.importorskip("check_jsonschema")
    words = ["--builtin-schema", "vendor.github-actions", str(ROOT / "action.yml")]
    ended = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *words], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout


def test_the_hook_is_one_by_pre_commit_and_its_entry_runs(models: Path) -> None:
    manifest = ROOT / ".pre-commit-hooks.yaml"
    (hook,) = yaml.safe_load(manifest.read_text())
    program, *words = hook["entry"].split()
    assert program == "fsq-edge"
    assert run([*words, str(models / "full.onnx")]) == 0
    assert run([*words, str(models / "full.onnx"), str(models / "none.onnx")]) == 1
    clientlib = pytest.importorskip("pre_commit.clientlib")
    assert clientlib.load_manifest(manifest)[0]["id"] == "fsq-edge-check"
