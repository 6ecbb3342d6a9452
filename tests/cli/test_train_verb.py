"""``fsq-edge train``: what it prints, its exit codes, and the short configuration on stored windows."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fsq_edge.cli.main import run
from fsq_edge.data import write_folder
from fsq_edge.data.quality import QualityControl
from fsq_edge.training import load_run
from fsq_edge.training.memory import memory_named
from fsq_edge_runtime.errors import UnavailableError
from tests.factories.training import make_exercises, write_exercises

GOLDEN = Path(__file__).parents[1] / "golden" / "training_config.yaml"


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.strip().splitlines()


def test_trains_and_says_on_what(tmp_path, capsys):
    _, config = write_exercises(tmp_path)
    assert run(["train", str(config), "--epochs", "2", "--seed", "7", "--out", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("torch ")
    assert "CUDA available: " in out
    assert "test 5, 6" in out
    assert "epoch" not in out.splitlines()[3]  # no bar where there is no terminal
    record = load_run(tmp_path / "run").record
    assert record.config.training.seed == 7
    assert len(record.history) == 4


def test_json_is_one_object_and_quiet_is_quiet(tmp_path, capsys):
    _, config = write_exercises(tmp_path)
    words = ["train", str(config), "--epochs", "1", "--out", str(tmp_path / "run")]
    assert run([*words, "--json", "-"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["schema_version"] == 1
    assert summary["epochs"] == 2
    assert 0 <= summary["val_macro_f1"] <= 1
    assert run([*words, "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_the_short_configuration_trains_on_stored_windows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = ["data", "make", "quadruped", "--out", "quadruped_data/processed", "--animals", "3", "--seconds", "60"]
    assert run(made) == 0
    shutil.copy(GOLDEN, tmp_path / "training_config.yaml")
    assert run(["train", "training_config.yaml", "--epochs", "1", "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert "as the data declare it" in out
    assert "cuda was asked for" in out or "CUDA available: yes" in out
    loaded = load_run("run")
    assert loaded.preprocess.frame_shape == (18, 2, 50)
    assert len(loaded.windows().test) == loaded.record.split.n_test > 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--data", "watches"], 64),
        (["--data", "watch", "--test-subjects", "5,99"], 64),
        (["--data", "watch", "--test-subjects", ","], 64),
        (["--data", "watch", "--test-subjects", "5", "--val-subjects", "5"], 64),
        (["--epochs", "0", "--data", "watch"], 64),
        (["--data", "folder:nowhere"], 66),
        (["nowhere.yaml"], 66),
        ([], 64),
    ],
)
def test_mistakes_are_one_line_and_a_hint(words, code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["train", *words, "--out", "run"]) == code
    error, hint = lines(capsys)
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    assert not Path("run").exists()


def test_nan_everywhere_is_bad_data(tmp_path, capsys):
    dataset = make_exercises()
    for recording in dataset.recordings:
        recording.samples[:] = np.nan
    write_folder(dataset, tmp_path / "data")
    assert run(["train", "--data", f"folder:{tmp_path / 'data'}", "--out", str(tmp_path / "run")]) == 65
    assert len(lines(capsys)) == 2
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path, capsys):
    _, config = write_exercises(tmp_path)
    (tmp_path / "file").write_text("")
    assert run(["train", str(config), "--out", str(tmp_path / "file" / "run")]) == 69
    assert len(lines(capsys)) == 2


def test_wrong_channel_count_in_the_configuration_is_bad_data(tmp_path, capsys):
    _, config = write_exercises(tmp_path, model={"input_channels": 9})
    assert run(["train", str(config), "--out", str(tmp_path / "run")]) == 65
    assert "model.input_channels is 9, the data set has 6" in lines(capsys)[0]
    assert not (tmp_path / "run" / "run.json").exists()


def test_strict_mode_refuses_data_with_a_finding_and_the_default_names_it(tmp_path, capsys, monkeypatch):
    data, config = write_exercises(tmp_path)
    dataset = make_exercises()
    for recording in dataset.recordings:
        recording.samples[:, 4] = 0.25
    shutil.rmtree(data)
    write_folder(dataset, data)
    examined, examine = [], QualityControl.validate_dataset
    monkeypatch.setattr(QualityControl, "validate_dataset", lambda *args: examined.append(args) or examine(*args))
    assert run(["train", str(config), "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    assert len(examined) == 1
    assert "data quality: gyro_y" in capsys.readouterr().out
    assert load_run(tmp_path / "run").record.data.quality_findings
    strict = config.read_text().replace("window_samples: 40", "window_samples: 40\n  strict_mode: true")
    config.write_text(strict)
    assert run(["train", str(config), "--out", str(tmp_path / "other")]) == 65
    assert "quality control" in lines(capsys)[0]
    assert not (tmp_path / "other").exists()


def test_a_loss_that_diverges_ends_with_the_setting_to_lower(tmp_path, capsys):
    _, config = write_exercises(tmp_path)
    changed = yaml.safe_load(config.read_text())
    changed.setdefault("training", {}).update(learning_rate=1e9, gradient_clip=None)
    config.write_text(yaml.safe_dump(changed))
    assert run(["train", str(config), "--epochs", "2", "--out", str(tmp_path / "run")]) == 65
    error, hint = lines(capsys)[-2:]
    assert "the loss is" in error
    assert hint == "hint: lower training.learning_rate"


def test_memory_that_ends_is_one_error_that_names_the_batch():
    with pytest.raises(UnavailableError, match="batches of 64 windows") as caught, memory_named(64):
        torch.empty(1 << 46)
    assert "training.batch_size" in (caught.value.hint or "")
    with pytest.raises(RuntimeError, match="another"), memory_named(64):
        raise RuntimeError("another")
