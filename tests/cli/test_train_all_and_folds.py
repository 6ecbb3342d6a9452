"""``train --all-subjects`` and ``train --folds``: the network for the device, and what such a training is worth."""

import json
from pathlib import Path

import pytest

from fsq_edge.cli.main import run
from fsq_edge.data import write_folder
from fsq_edge.training import load_run
from fsq_edge_runtime import Bundle
from tests.factories.labelled import flickering_bundle, labelled_dataset


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    write_folder(labelled_dataset(flickering_bundle()), folder / "data")
    return folder


@pytest.fixture(autouse=True)
def in_the_shelf(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shelf)


def test_all_subjects_are_trained_on_and_the_chain_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--data", "folder:data", "--all-subjects", "--epochs", "1", "--out", "all", "--quiet"]
    assert run(words) == 0
    split = load_run(Path("all")).record.split
    assert sorted((*split.train_subjects, *split.val_subjects)) == ["1", "2", "3", "4"]
    assert (split.test_subjects, split.n_test) == ((), 0)
    assert run(["evaluate", "all", "--quiet"]) == 65
    assert "train --folds K measures such a training" in capfd.readouterr().err
    assert run(["export", "all", "--out", "build", "--quiet"]) == 0


def test_an_export_of_another_run_removes_what_belongs_to_the_one_before() -> None:
    train = ["train", "--data", "folder:data", "--epochs", "1", "--quiet", "--out"]
    assert run([*train, "one"]) == 0
    assert run([*train, "two", "--seed", "5"]) == 0
    assert run(["export", "one", "--out", "shared", "--quiet"]) == 0
    made = {"encoder_int8.onnx", "head_int8.npz", "calibration.npz", "calibration.json"}
    for name in made:
        Path("shared", name).write_bytes(b"made from the graph that is there")
    assert run(["export", "one", "--out", "shared", "--quiet"]) == 0
    assert made <= {path.name for path in Path("shared").iterdir()}
    assert run(["export", "two", "--out", "shared", "--quiet"]) == 0
    assert not made & {path.name for path in Path("shared").iterdir()}


def test_an_export_has_features_unless_they_are_refused_or_too_few() -> None:
    train = ["train", "--data", "folder:data", "--epochs", "1", "--quiet", "--out"]
    Path("narrow.yaml").write_text("model: {hidden_dim: 3}\n")
    assert run([*train, "usual"]) == 0
    assert run([*train, "narrow", "narrow.yaml"]) == 0
    for name, words, wanted in (("usual", [], 64), ("usual", ["--no-features"], 0), ("narrow", [], 0)):
        assert run(["export", name, *words, "--out", "B", "--quiet"]) == 0
        assert run(["bundle", "build", "B", "--out", "b.fsqb", "--quiet"]) == 0
        bundle = Bundle.open(Path("b.fsqb"))
        assert bundle.features == wanted
        assert (bundle.statistics is not None) == (wanted > 0)


def test_every_subject_is_scored_once_by_a_network_that_never_saw_it(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--data", "folder:data", "--folds", "2", "--epochs", "1", "--out", "folds"]
    assert run(words) == 0
    assert "wrote folds/folds.html" in capfd.readouterr().out
    value = json.loads(Path("folds/folds.json").read_text())
    held_out = [subject for fold in value["folds"] for subject in fold["test_subjects"]]
    assert sorted(held_out) == ["1", "2", "3", "4"]
    assert value["n_windows"] == sum(fold["n_windows"] for fold in value["folds"])
    for fold in value["folds"]:
        split = load_run(Path("folds") / fold["run"]).record.split
        assert not set(fold["test_subjects"]) & {*split.train_subjects, *split.val_subjects}
    assert {entry["subject"] for entry in value["evaluation"]["per_subject"]} == {"1", "2", "3", "4"}
    kept = Path("folds/fold-1/model.safetensors").stat().st_mtime_ns
    assert run([*words, "--quiet"]) == 0
    assert Path("folds/fold-1/model.safetensors").stat().st_mtime_ns == kept  # finished folds are not trained again


@pytest.mark.parametrize(
    "words", [["--folds", "2", "--all-subjects"], ["--folds", "2", "--test-subjects", "1"]], ids=" ".join
)
def test_what_excludes_each_other_is_refused(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--data", "folder:data", "--out", "x", *words]) == 64
    assert "give one of" in capfd.readouterr().err
    assert run(["train", "--data", "folder:data", "--out", "x", "--folds", "9"]) == 64
