"""Training end to end on a toy set: the run folder, determinism, resume, the refit, spilled samples."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fsq_edge.data import open_dataset
from fsq_edge.training import TrainResult, load_run, train
from fsq_edge.training.record import EpochRecord
from fsq_edge.training.split import WindowSides, cut_sides, open_sides
from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.preprocess import Preprocessor
from tests.factories.training import classify, make_config, make_exercises, write_exercises


@pytest.fixture(scope="module")
def sides() -> WindowSides:
    return cut_sides(make_exercises(), make_config())


@pytest.fixture(scope="module")
def result(sides: WindowSides, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(make_config(), tmp_path_factory.mktemp("run"), sides=sides)


def weights(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "model.safetensors").read_bytes(), (folder / "validated.safetensors").read_bytes()


def without_time(result: TrainResult) -> list[dict[str, object]]:
    return [record.model_dump(exclude={"seconds"}) for record in result.record.history]


def test_the_toy_is_learned_and_its_test_subjects_are_not_seen(result, sides):
    checked = classify(result.model, sides.test, Preprocessor(result.preprocess))
    assert checked.macro_f1 > 0.9
    split = result.record.split
    assert split.test_subjects == ("5", "6")
    assert not {*split.train_subjects, *split.val_subjects} & {"5", "6"}


def test_run_folder_loads_and_its_files_belong_together(result):
    run = load_run(result.folder)
    assert sorted(path.name for path in result.folder.iterdir()) == [
        "model.safetensors", "preprocess.json", "run.json", "tensorboard", "training.log", "validated.safetensors",
    ]  # fmt: skip
    assert run.record == result.record
    frames = torch.randn(5, *run.model.frame_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(run.model(frames).logits, result.model(frames).logits)
    written = json.loads((result.folder / "run.json").read_text())
    assert written["config"]["training"]["weight_decay"] == 0.01  # defaults are written out
    assert "pickle" not in (result.folder / "model.safetensors").read_bytes()[:2000].decode("latin-1")


def test_preprocessing_is_fitted_on_the_training_split_alone(result, sides):
    run = load_run(result.folder)
    windows = sides.train.gather()
    np.testing.assert_allclose(run.preprocess.mean[:6], windows.mean(axis=(0, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(run.preprocess.std[:6], windows.std(axis=(0, 2)), rtol=1e-4)


def test_best_weights_are_those_of_the_best_epoch_and_the_refit_moved_on(result, sides):
    run = load_run(result.folder)
    best = run.history[int(run.metrics["best_epoch"]) - 1]
    again = classify(run.validated().model, sides.val, run.preprocessor)
    assert again.macro_f1 == pytest.approx(best.val_macro_f1)
    assert again.loss == pytest.approx(best.val_loss, abs=1e-4)
    assert best.val_macro_f1 == max(r.val_macro_f1 for r in run.history if r.val_macro_f1 is not None)
    assert [record.val_loss is None for record in run.history] == [False] * 4 + [True] * 4
    model, validated = weights(result.folder)
    assert model != validated


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(result, sides, tmp_path):
    again = train(make_config(training={"deterministic": True}), tmp_path / "a", sides=sides)
    assert weights(again.folder) == weights(result.folder)
    assert without_time(again) == without_time(result)
    other = train(make_config(training={"seed": 1}), tmp_path / "b", sides=sides)
    assert weights(other.folder)[0] != weights(result.folder)[0]


def stop_after(epoch: int) -> Callable[[EpochRecord, int], None]:
    def listen(record: EpochRecord, epochs: int) -> None:
        if record.epoch == epoch:
            raise KeyboardInterrupt

    return listen


@pytest.mark.parametrize("epoch", [1, 4, 5], ids=["early", "before the refit", "in the refit"])
def test_an_interrupted_training_goes_on_to_the_same_bits(result, sides, tmp_path, epoch):
    with pytest.raises(KeyboardInterrupt):
        train(make_config(), tmp_path, sides=sides, progress=stop_after(epoch))
    assert (tmp_path / "checkpoint.safetensors").exists()
    assert not (tmp_path / "run.json").exists()
    again = train(make_config(), tmp_path, sides=sides)
    assert again.resumed_after == epoch
    assert weights(tmp_path) == weights(result.folder)
    assert without_time(again) == without_time(result)
    assert not (tmp_path / "checkpoint.safetensors").exists()
    log = (tmp_path / "training.log").read_text()
    assert all(log.count(f"epoch {number}/8 ") == 1 for number in range(1, 9))


def test_a_checkpoint_of_another_configuration_is_not_resumed(sides, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(make_config(), tmp_path, sides=sides, progress=stop_after(1))
    assert train(make_config(training={"seed": 3, "max_epochs": 1}), tmp_path, sides=sides).resumed_after == 0


def test_a_damaged_checkpoint_is_named(sides, tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\x08" + b"\0" * 40)
    with pytest.raises(DataError, match="not a checkpoint") as caught:
        train(make_config(), tmp_path, sides=sides)
    assert "remove" in caught.value.hint


def test_samples_on_disk_train_to_the_same_bits_as_samples_in_memory(result, sides, tmp_path):
    config = make_config(data={"memory_mb": 0})
    again = train(config, tmp_path, sides=sides)
    assert weights(again.folder) == weights(result.folder)
    assert not list(tmp_path.glob("*.tmp"))


def test_plateau_lowers_the_rate_and_early_stopping_ends_the_first_stage(sides, tmp_path):
    section = {"scheduler_patience": 0, "early_stopping_patience": 2, "max_epochs": 30, "refit_epochs": 0}
    run = train(make_config(training=section), tmp_path, sides=sides).record
    rates = [record.learning_rate for record in run.history]
    assert rates[0] == 0.01
    assert rates == sorted(rates, reverse=True)
    assert len(run.history) == run.metrics["best_epoch"] + 2 < 30
    assert run.model_sha256 == run.validated_sha256


def test_tensorboard_has_every_curve_and_the_confusion_image(result):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(result.folder / "tensorboard")).Reload()
    tags = events.Tags()
    assert {
        "loss/train", "loss/validation", "accuracy/train", "accuracy/validation", "learning_rate",
        "gradient_norm/mean", "codes/usage", "codes/perplexity",
    } <= set(tags["scalars"])  # fmt: skip
    assert len(events.Scalars("loss/train")) == 8
    assert tags["images"] == ["confusion/validation"]


def test_missing_stretches_are_left_out_of_training(tmp_path):
    dataset = make_exercises()
    for recording in dataset.recordings:
        recording.samples[100:140, 2] = np.nan  # longer than max_gap_ms: windows over it are unusable
        recording.samples[300, 1] = np.inf  # a short gap: interpolated
    sides = cut_sides(dataset, make_config())
    result = train(make_config(), tmp_path, sides=sides)
    assert all(np.isfinite(record.train_loss) for record in result.record.history)
    assert classify(result.model, sides.val, Preprocessor(result.preprocess)).label.size < len(sides.val)


def test_one_class_is_refused_before_anything_is_written(tmp_path):
    dataset = make_exercises()
    for recording in dataset.recordings:
        recording.labels[:] = 0
    with pytest.raises(DataError, match="one class"):
        train(make_config(), tmp_path / "run", sides=cut_sides(dataset, make_config()))
    assert not (tmp_path / "run").exists()


def test_a_run_opens_its_own_data_again_and_refuses_others(tmp_path):
    data, _ = write_exercises(tmp_path)
    config = make_config(data={"source": f"folder:{data}"}, training={"max_epochs": 1})
    sides = open_sides(config)
    run = load_run(train(config, tmp_path / "run").folder)
    again = run.windows()
    for ours, theirs in ((sides.train, again.train), (sides.val, again.val), (sides.test, again.test)):
        assert np.array_equal(ours.gather(), theirs.gather())
    description = json.loads((data / "dataset.json").read_text())
    description["recordings"][0]["subject"] = "5"
    (data / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(DataError, match="not the data of this run"):
        run.windows()
    assert open_dataset(f"folder:{data}").subjects


@pytest.mark.parametrize("name", ["model.safetensors", "preprocess.json", "run.json"])
def test_a_foreign_or_missing_file_is_named(result, tmp_path, name):
    folder = tmp_path / "run"
    folder.mkdir()
    for path in result.folder.glob("*.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    content = (folder / name).read_text("latin-1").replace("0.0", "0.1")
    (folder / name).write_bytes(content.encode("latin-1")[:-8] if name != "preprocess.json" else content.encode())
    with pytest.raises(DataError, match=name.split(".")[0]):
        load_run(folder)
    (folder / name).unlink()
    with pytest.raises(MissingInputError):
        load_run(folder)
