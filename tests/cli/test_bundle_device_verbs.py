"""``fsq-edge bundle`` add-hef, sign, verify, install, rollback as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsq_edge.cli.main import run
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.testing.hef_writer import TensorSpec, write_hef
from tests.factories.build_folders import random_build
from tests.factories.bundles import random_bundle
from tests.factories.golden_bundle import KEY, public_key

FITTING = {
    "inputs": (TensorSpec("input_layer1", (2, 50, 12), -5.0, 5.0, original_names=("conv",)),),
    "outputs": (TensorSpec("fc1", (3,), -1.0, 1.0, original_names=("tanh",)),),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from cryptography.hazmat.primitives import serialization as form

    monkeypatch.chdir(tmp_path)
    random_bundle().save(tmp_path / "dog.fsqb")
    write_hef(tmp_path / "dog.hef", arch="hailo8l", **FITTING)
    pem = KEY.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    (tmp_path / "key.pub").write_bytes(public_key())
    return tmp_path


def test_the_life_of_a_bundle(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bundle", "add-hef", "dog.fsqb", "dog.hef", "--out", "two.fsqb"]) == 0
    assert run(["bundle", "sign", "two.fsqb", "--key", "key.pem"]) == 0
    assert run(["bundle", "verify", "two.fsqb", "--key", "key.pub"]) == 0
    assert "signature good" in capsys.readouterr().out
    assert run(["bundle", "install", "dog.fsqb", "dest", "--backend", "onnx", "--quiet"]) == 0
    assert run(["bundle", "install", "two.fsqb", "dest", "--backend", "onnx", "--key", "key.pub", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["selftest"]["code_agreement"] == 1.0
    assert Bundle.open("dest").hef_architectures == ("hailo8l",)
    assert run(["bundle", "inspect", "dest"]) == 0
    assert "signed (not checked: no --key)" in capsys.readouterr().out
    assert run(["bundle", "rollback", "dest"]) == 0
    assert Bundle.open("dest").hef_architectures == ()


def test_the_folder_form_can_be_changed_too(folder: Path) -> None:
    Bundle.open("dog.fsqb").save(folder / "dog")
    assert run(["bundle", "add-hef", "dog", "dog.hef", "--quiet"]) == 0
    assert Bundle.open("dog").hef_architectures == ("hailo8l",)
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_build_checks_the_graph_and_the_calibration_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random_build(folder / "build", windows=64)
    assert run(["bundle", "build", "build", "--out", "made.fsqb", "--arch", "hailo8"]) == 0
    assert Bundle.open("made.fsqb").manifest.check == {"hailo8": "full"}
    random_build(folder / "few", windows=20)
    capsys.readouterr()
    assert run(["bundle", "build", "few", "--out", "few.fsqb"]) == 1
    assert "not built" in capsys.readouterr().out
    assert not (folder / "few.fsqb").exists()
    assert run(["bundle", "build", "few", "--out", "few.fsqb", "--force", "a trial", "--quiet"]) == 0
    assert Bundle.open("few.fsqb").manifest.forced == ("the calibration audit refuses the set: a trial",)


def test_compile_and_plan(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random_build(folder / "build", windows=64)
    assert run(["compile", "build", "--arch", "hailo8", "--plan", "plan", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["arch"], report["check"], report["end_nodes"]) == ("hailo8", "full", ["tanh"])
    assert sorted(path.name for path in (folder / "plan").iterdir())[:3] == ["README.md", "SHA256SUMS", "calib.npy"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["bundle", "verify", "none.fsqb"], 66),
        (["bundle", "verify", "key.pem"], 65),
        (["bundle", "verify", "dog.fsqb", "--key", "key.pub"], 65),
        (["bundle", "verify", "dog.fsqb", "--key", "key.pem"], 65),
        (["bundle", "sign", "dog.fsqb", "--key", "key.pub"], 65),
        (["bundle", "sign", "dog.fsqb"], 64),
        (["bundle", "add-hef", "dog.fsqb", "none.hef"], 66),
        (["bundle", "add-hef", "dog.fsqb", "key.pem"], 65),
        (["bundle", "add-hef", "dog.fsqb", "dog.hef", "--arch", "hailo8"], 64),
        (["bundle", "install", "dog.fsqb", "."], 64),
        (["bundle", "install", "dog.fsqb", "dest", "--backend", "hailo"], 69),
        (["bundle", "install", "dog.fsqb", "dest", "--backend", "gpu"], 64),
        (["bundle", "rollback", "dest"], 66),
        (["compile", "none", "--arch", "hailo8", "--plan", "p"], 66),
        (["compile", ".", "--arch", "hailo8", "--plan", "p"], 66),
        (["compile", ".", "--arch", "hailo9", "--plan", "p"], 64),
        (["compile", ".", "--arch", "hailo8", "--plan", "p", "--dfc-python", "python3"], 64),
        (["compile", ".", "--arch", "hailo8", "--time-limit", "0"], 64),
    ],
)
def test_mistakes_are_one_line_and_a_code(
    arguments: list[str], code: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in folder.iterdir())
    assert run(arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error
    assert len(error.splitlines()) <= 2
    assert sorted(path.name for path in folder.iterdir()) == before, "nothing half-written"


@pytest.mark.parametrize(
    "words",
    [
        ["bundle", "add-hef", "dog.fsqb", "dog.hef", "--out", "taken/two.fsqb"],
        ["bundle", "sign", "dog.fsqb", "--key", "key.pem", "--out", "taken/two"],
        ["bundle", "verify", "dog.fsqb", "--json", "taken/out.json"],
        ["hef", "inspect", "dog.hef", "--json", "taken/out.json"],
        ["bundle", "install", "dog.fsqb", "taken/dest", "--backend", "onnx"],
    ],
)
def test_a_place_that_cannot_be_written_is_one_line(
    folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "taken").write_text("a file where a folder is needed")
    before = (folder / "dog.fsqb").read_bytes()
    assert run([*words, "--quiet"]) == 69
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 2
    assert error[0].startswith("error: cannot ")
    assert "taken" in error[0]
    assert error[1].startswith("hint: ")
    assert (folder / "dog.fsqb").read_bytes() == before
