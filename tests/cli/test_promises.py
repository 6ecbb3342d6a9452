"""What a newcomer meets first: help, mistakes with an answer, a full disk, a pipe that closes, a base install."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fsq_edge.cli.main import run
from fsq_edge.data import write_folder
from fsq_edge_compile.checker.rulebook import rulebook
from fsq_edge_compile.checker.rulecard import card_lines, find_rules
from fsq_edge_runtime.bundle.bundle import Bundle
from tests.factories.labelled import flickering_bundle, labelled_dataset, with_provenance

BARE = """
import sys
ABSENT = {"torch", "onnx", "sklearn", "seglearn", "matplotlib", "jinja2", "yaml", "safetensors"}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])
sys.meta_path.insert(0, Absent())
from fsq_edge.cli.main import run
sys.exit(run(sys.argv[1:]))
"""
COMMAND = [sys.executable, "-m", "fsq_edge"]


def error_of(capfd: pytest.CaptureFixture[str]) -> str:
    return capfd.readouterr().err


def test_no_verb_prints_the_help_in_its_lines_and_is_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 64
    shown = error_of(capfd)
    assert shown.startswith("Usage: ")
    assert len([line for line in shown.splitlines() if line.startswith("  ")]) > 15


@pytest.mark.parametrize("words", [["-h"], ["check", "-h"], ["data", "qa", "-h"]], ids=" ".join)
def test_h_is_help(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    assert capfd.readouterr().out.startswith("Usage: ")


def test_a_full_device_ends_in_69_with_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([*COMMAND, "data", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 69
    assert ended.stderr.splitlines()[0] == "error: cannot write the output: No space left on device"
    assert len(ended.stderr.splitlines()) == 2


def test_a_reader_that_leaves_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([*COMMAND, "data", "list"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_encoding_without_the_character_gets_an_escape() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    ended = subprocess.run([*COMMAND, "explain", "Ω.log"], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 66
    assert "\\u03a9.log" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_tune_on_the_base_install_writes_its_bundle(tmp_path: Path) -> None:
    bundle = flickering_bundle()
    dataset = labelled_dataset(bundle)
    write_folder(dataset, tmp_path / "data")
    with_provenance(bundle, dataset, ["4"]).save(tmp_path / "b.fsqb")
    words = ["tune", "b.fsqb", "--recordings", "folder:data", "--out", "t.fsqb", "--quiet"]
    ended = subprocess.run(
        [sys.executable, "-c", BARE, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode in (0, 2), ended.stderr
    assert Bundle.open(tmp_path / "t.fsqb").events is not None


def test_every_rule_is_explained_in_words() -> None:
    for name in rulebook().rules:
        lines = list(card_lines(find_rules(name)[0]))
        assert "{" not in next(line for line in lines if line.startswith("  says:"))


def test_a_misspelt_path_makes_no_folders(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "list", "--json", str(tmp_path / "no/such/x.json")]) == 69
    assert f"hint: mkdir -p {tmp_path / 'no/such'}" in error_of(capfd)
    assert list(tmp_path.iterdir()) == []
    assert run(["data", "list", "--quiet", "--json", str(tmp_path / "one/x.json")]) == 0


def test_binary_data_are_no_log_and_the_hint_names_their_reader(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08\x12\x07\x00pytorch")
    assert run(["explain", str(tmp_path / "m.onnx")]) == 65
    shown = error_of(capfd)
    assert "is not a log" in shown
    assert f"hint: fsq-edge check {tmp_path / 'm.onnx'}" in shown


@pytest.mark.parametrize(
    ("source", "hint"),
    [("wach", "did you mean watch?"), ("data", "did you mean folder:data?"), ("walk.csv", "data import walk.csv")],
)
def test_a_source_written_wrongly_gets_the_right_form(
    source: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(labelled_dataset(flickering_bundle()), tmp_path / "data")
    (tmp_path / "walk.csv").write_text("a,b\n1,2\n")
    assert run(["train", "--data", source, "--out", "run"]) == 64
    assert hint in error_of(capfd)


def test_an_empty_name_between_commas_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--data", "watch", "--test-subjects", "5,,6", "--out", "run"]) == 64
    assert "an empty name between commas" in error_of(capfd)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("training:\n  seed: 1\n\tlr: 2\n", "c.yaml, line 3, column 1: "),
        ("training: [1, 2\n", "c.yaml, line 2, column 1: "),
        ("training:\n  max_epoch: 3\n", "hint: did you mean max_epochs?"),
        ("trainig:\n  seed: 3\n", "hint: did you mean training?"),
    ],
)
def test_a_mistake_in_yaml_names_its_place_or_what_was_meant(
    text: str, wanted: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(text)
    assert run(["train", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run")]) == 65
    shown = error_of(capfd)
    assert wanted in shown
    assert "byte string" not in shown
