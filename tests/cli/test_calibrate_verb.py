"""``fsq-edge calibrate`` as a user calls it: choose, audit, compare, refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge.data import Channel, Dataset, Recording, write_folder
from fsq_edge.deploy.calibration import calibrate as deploy_calibrate
from fsq_edge_calibration import load_calibration_set
from fsq_edge_compile.build_folder import ExportRecord
from tests.factories.motion import make_motion

MOTION = make_motion(1500)
CLASSES = ("stand", "walk", "trot", "turn")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One recording a subject and class, made of windows end to end, and the model's preprocess.json."""
    place = tmp_path_factory.mktemp("calibrate")
    channels = tuple(Channel(channel.name, channel.unit) for channel in MOTION.preprocess.channels)
    recordings = []
    for subject in np.unique(MOTION.subjects):
        for label, name in enumerate(CLASSES):
            rows = (MOTION.subjects == subject) & (MOTION.labels == label)
            samples = np.ascontiguousarray(MOTION.windows[rows].transpose(0, 2, 1).reshape(-1, 6))
            labels = np.full(len(samples), label, np.int16)
            recordings.append(Recording(f"{subject}-{name}", samples, labels, str(subject), "a"))
    write_folder(
        Dataset("dog", channels, 50.0, CLASSES, tuple(recordings), None, "CC0", "made for a test"), place / "data"
    )
    config = MOTION.preprocess.model_copy(update={"hop_samples": 100})
    (place / "preprocess.json").write_text(config.to_json())
    return place


def calibrate(folder: Path, *words: str) -> int:
    preprocess = str(folder / "preprocess.json")
    return run(["calibrate", f"folder:{folder / 'data'}", "--preprocess", preprocess, *words])


def told(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = calibrate(folder, *words, "--json", "-")
    return code, json.loads(capsys.readouterr().out)


def test_a_set_is_chosen_audited_and_written(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target, page = tmp_path / "set.npz", tmp_path / "set.html"
    code, document = told(
        folder, capsys, "--subjects", "s0,s1,s2", "--out", str(target), "--size", "300", "--npy", "--report", str(page)
    )
    assert code == 0
    assert document["passed"] is True
    assert document["found"]["labels"] == dict.fromkeys(sorted(CLASSES), 75)
    assert set(document["found"]["subjects"]) == {"s0", "s1", "s2"}
    assert "counts" not in document["found"]["channels"][0]
    loaded = load_calibration_set(target)
    assert loaded.classes == CLASSES
    assert set(loaded.recording_ids) <= {f"s{s}-{name}" for s in range(3) for name in CLASSES}
    assert np.load(tmp_path / "set.npy").shape == (300, 2, 50, 12)
    assert json.loads((tmp_path / "set.json").read_text())["passed"] is True
    assert page.read_text().count("<svg") == 2


def test_noise_and_layout_are_refused_with_their_names(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "noise.npy", rng.uniform(0, 1, (256, 2, 50, 12)).astype(np.float32))
    np.savez(tmp_path / "nchw.npz", rng.normal(size=(256, 12, 2, 50)).astype(np.float32))
    code, document = told(folder, capsys, "--audit", str(tmp_path / "noise.npy"))
    assert code == 1
    assert document["findings"][0]["rule"] == "noise"
    code, document = told(folder, capsys, "--audit", str(tmp_path / "nchw.npz"))
    assert code == 1
    assert [finding["rule"] for finding in document["findings"]] == ["layout"]


def test_whose_windows_a_bare_array_holds_is_recognised(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = tmp_path / "one.npz"
    assert calibrate(folder, "--subjects", "s1", "--out", str(one), "--npy", "--quiet", "--size", "200") == 0
    code, document = told(folder, capsys, "--audit", str(one.with_suffix(".npy")))
    assert code == 1
    assert [finding["rule"] for finding in document["findings"] if finding["severity"] == "error"] == ["one-subject"]
    assert "of subject s1, training has 5" in document["findings"][0]["message"]
    frames = load_calibration_set(one).frames_nhwc + np.float32(0.01)
    np.savez(
        tmp_path / "named.npz", windows=frames, subjects=np.full(len(frames), "s1"), labels=np.zeros(len(frames), int)
    )
    code, document = told(folder, capsys, "--audit", str(tmp_path / "named.npz"))
    assert {"one-subject", "missing-class"} <= {finding["rule"] for finding in document["findings"]}


def test_a_build_names_its_training_subjects(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = tmp_path / "build"
    build.mkdir()
    said = {"data": {"name": "dog"}, "split": {"train_subjects": ["s0", "s1", "s2"]}}
    (build / "export.json").write_text(ExportRecord(name="dog", provenance=said).to_json())
    code, document = told(folder, capsys, "--out", str(build), "--size", "256")
    assert code == 0
    assert set(document["found"]["subjects"]) == {"s0", "s1", "s2"}
    code, document = told(folder, capsys, "--out", str(build), "--size", "128", "--subjects", "s0")
    assert code == 1
    assert document["findings"][0]["rule"] == "one-subject"
    assert calibrate(folder, "--out", str(build), "--subjects", "s4", "--quiet") == 64


def test_a_refused_choice_is_not_written(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "small.npz"
    assert calibrate(folder, "--size", "20", "--out", str(target), "--quiet") == 1
    assert not target.exists()
    assert calibrate(folder, "--size", "20", "--out", str(target), "--allow-small", "--quiet") == 0
    assert len(load_calibration_set(target)) == 20


def test_two_sets_are_compared(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, other = tmp_path / "a.npz", tmp_path / "b.npz"
    assert calibrate(folder, "--out", str(first), "--size", "256", "--quiet") == 0
    code, document = told(folder, capsys, "--out", str(other), "--method", "extremes", "--against", str(first))
    assert code == 0
    assert len(document["against"]) == 12
    assert all(0 <= row["psi"] < 1 for row in document["against"])
    code, document = told(folder, capsys, "--audit", str(first), "--against", str(first))
    assert {row["psi"] for row in document["against"]} == {0.0}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--size", "300"], 64),
        (["--out", "set.txt"], 64),
        (["--subjects", "s9", "--out", "set.npz"], 64),
        (["--audit", "none.npz"], 66),
        (["--audit", "text.npy"], 65),
        (["--audit", "two.npz"], 65),
        (["--audit", "packed.npz"], 65),
    ],
)
def test_a_users_mistakes_have_their_codes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.npy").write_text("hello")
    np.savez("two.npz", a=np.zeros(3), b=np.zeros(3))
    np.savez_compressed("packed.npz", np.zeros((64, 2, 50, 12), np.float32))
    assert calibrate(folder, *words, "--quiet") == code


def test_a_source_needs_preprocessing_and_a_folder_needs_its_prefix(folder: Path, tmp_path: Path) -> None:
    assert run(["calibrate", f"folder:{folder / 'data'}", "--out", str(tmp_path / "x.npz")]) == 64
    assert run(["calibrate", str(folder / "data"), "--out", str(tmp_path / "x.npz")]) == 66


def test_the_python_call_writes_what_the_verb_writes(folder: Path, tmp_path: Path) -> None:
    by_verb, by_call = tmp_path / "verb.npz", tmp_path / "call.npz"
    assert calibrate(folder, "--out", str(by_verb), "--size", "100", "--seed", "3", "--quiet") == 0
    made = deploy_calibrate(
        f"folder:{folder / 'data'}", by_call, size=100, seed=3, preprocess=folder / "preprocess.json", against=by_verb
    )
    assert made.path == by_call
    assert made.audit.passed
    assert by_call.read_bytes() == by_verb.read_bytes()
    assert by_call.with_suffix(".json").read_bytes() == by_verb.with_suffix(".json").read_bytes()
    assert made.compared is not None
    assert {row.psi for row in made.compared} == {0.0}
