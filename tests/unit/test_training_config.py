"""The configuration: the short form loads as it is, flags win, mistakes are named."""

from pathlib import Path

import pytest

from fsq_edge.training import TrainConfig, load_config
from fsq_edge.training.split import source_of
from fsq_edge_runtime.errors import DataError, MissingInputError, UsageError

GOLDEN = Path(__file__).parents[1] / "golden" / "training_config.yaml"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_the_short_form_loads_and_means_what_it_says():
    config = load_config(GOLDEN)
    assert source_of(config.data) == "folder:quadruped_data/processed"
    assert (config.model.input_channels, config.model.hidden_dim, config.model.num_classes) == (9, 128, 10)
    assert config.model.fsq_levels == (8, 6, 5)
    assert config.training.schedule_used == "plateau"
    assert (config.training.scheduler_patience, config.training.scheduler_factor) == (10, 0.5)
    assert (config.training.max_epochs, config.training.early_stopping_patience) == (300, 30)
    assert (config.training.learning_rate, config.training.gradient_clip) == (0.001, 1.0)
    assert config.training.device == "cuda"
    assert config.preprocessing.rows == 2
    assert config.evaluation.metrics == ("accuracy", "per_class_accuracy", "confusion_matrix")


def test_an_empty_file_is_the_recipe_and_survives_json(tmp_path):
    config = load_config(written(tmp_path, ""))
    assert config == TrainConfig() == load_config(None)
    assert TrainConfig.from_json(config.to_json()) == config
    assert config.training.schedule_used == "one-cycle"


def test_flags_win_and_none_is_no_flag(tmp_path):
    path = written(tmp_path, "training:\n  seed: 3\n  max_epochs: 5\ndata:\n  test_subjects: [5, horse]\n")
    config = load_config(path, {"training": {"seed": 9, "max_epochs": None}, "data": {"source": "watch"}})
    assert (config.training.seed, config.training.max_epochs) == (9, 5)
    assert config.data.test_subjects == (5, "horse")
    assert config.data.source == "watch"


def test_exponents_without_a_dot_are_numbers(tmp_path):
    assert load_config(written(tmp_path, "training:\n  learning_rate: 3e-3\n")).training.learning_rate == 0.003


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trainig:\n  seed: 1\n", "trainig"),
        ("training:\n  sed: 1\n", "training.sed"),
        ("training:\n  seed: one\n", "training.seed"),
        ("training:\n  batch_size: 1\n", "training.batch_size"),
        ("training: 5\n", "training"),
        ("preprocessing:\n  window_samples: 101\n", "multiple of the fold"),
        ("schema_version: 2\n", "schema"),
        ("- a\n", "sections"),
        ("a: [\n", "not valid YAML"),
        ("when: 2026-01-01\n", "JSON"),
        ("x: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
    ],
)
def test_mistakes_are_named(tmp_path, text, expected):
    with pytest.raises(DataError, match=expected) as caught:
        load_config(written(tmp_path, text))
    assert "\n" not in caught.value.message


def test_a_missing_file_is_missing_input(tmp_path):
    with pytest.raises(MissingInputError):
        load_config(tmp_path / "none.yaml")


def test_stored_windows_of_two_folders_are_refused():
    config = load_config(None, {"data": {"train_path": "a/X_train_x.npy", "val_path": "b/X_val_x.npy"}})
    with pytest.raises(UsageError, match="2 folders"):
        source_of(config.data)
    with pytest.raises(UsageError, match="no data source"):
        source_of(TrainConfig().data)
