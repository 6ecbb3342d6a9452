"""``train --budget``: the limits are read, honoured, measured once, and written beside the run."""

import json
from pathlib import Path

import pytest

from fsq_edge.cli.main import run
from fsq_edge.deploy import sizing
from fsq_edge.deploy.size_table import SizeBudget, SizeRow, SizeTable
from fsq_edge.training import load_run
from fsq_edge_runtime.errors import UsageError
from tests.factories.training import write_exercises


@pytest.fixture(autouse=True)
def _few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "WIDTHS", (4, 8, 16))
    monkeypatch.setattr(sizing, "BLOCKS", (2, 3))
    monkeypatch.setattr(sizing, "ROUNDS", 20)


def train(folder: Path, budget: str) -> int:
    config = folder / "config.yaml"
    if not config.exists():
        write_exercises(folder)
    return run(["train", str(config), "--epochs", "2", "--budget", budget, "--out", str(folder / "run")])


def table_of(folder: Path) -> SizeTable:
    return SizeTable.load(folder / "run" / "sizes.json")


def test_the_parameters_of_the_trained_network_keep_the_budget(tmp_path, capsys):
    assert train(tmp_path, "params=3k") == 0
    record, table = load_run(tmp_path / "run").record, table_of(tmp_path)
    assert record.parameters == table.choice.params <= 3000
    assert (record.config.model.hidden_dim, record.config.model.blocks) == (
        table.choice.hidden_dim,
        table.choice.blocks,
    )
    assert len(table.rows) == 6
    assert all((row.us is None) == (row.params > 3000) for row in table.rows), "what is too large needs no time"
    assert table.choice.macs == max(row.macs for row in table.rows if row.params <= 3000)
    assert table.made[:2] == "20"
    assert "Python" in table.machine
    assert table.trained_flips is None
    assert "most work within the budget" in capsys.readouterr().out


def test_the_time_chooses_among_measured_sizes(tmp_path, monkeypatch):
    """Times are given here, so that the choice does not depend on the machine: 10 µs a thousand operations."""

    def measure(candidates):
        return [one.row.model_copy(update={"us": one.row.macs / 100}) for one in candidates]

    monkeypatch.setattr(sizing, "_measure", measure)
    assert train(tmp_path, "us=200") == 0
    table = table_of(tmp_path)
    fitting = [row for row in table.rows if row.macs <= 20_000]
    assert 0 < len(fitting) < len(table.rows)
    assert table.choice == max(fitting, key=lambda row: row.macs)


def test_flips_are_measured_before_the_choice_and_after_the_training(tmp_path, monkeypatch, capsys):
    tried, answers = [], iter([0.3, 0.01])

    def trial(config, objectives, progress):
        tried.append((config.model.hidden_dim, config.model.blocks))
        assert config.training.refit_epochs == 0
        return [0.9, next(answers)]

    monkeypatch.setattr(sizing, "run_trial", trial)
    code = train(tmp_path, "params=3k,flips=50%")
    assert code == 0
    table = table_of(tmp_path)
    assert [row.flips for row in table.rows if row.flips is not None] == [0.3], "the first one keeps 50 % already"
    assert table.trained_flips is not None
    assert 0 <= table.trained_flips <= 0.5
    assert tried == [(table.choice.hidden_dim, table.choice.blocks)]
    assert "of the codes flip in the int8 preview" in capsys.readouterr().out


def test_a_network_that_breaks_the_budget_after_training_ends_with_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sizing, "run_trial", lambda *given: [0.9, 0.0])
    monkeypatch.setattr(sizing, "trained_flips", lambda run, seed: 0.2)
    assert train(tmp_path, "params=3k,flips=2%") == 1
    assert table_of(tmp_path).trained_flips == 0.2
    assert "breaks the budget of flips" in capsys.readouterr().err
    assert load_run(tmp_path / "run").record.parameters <= 3000


def test_the_next_size_is_tried_where_one_flips_too_much(tmp_path, monkeypatch):
    answers = iter([0.3, 0.01])
    monkeypatch.setattr(sizing, "run_trial", lambda *given: [0.9, next(answers)])
    monkeypatch.setattr(sizing, "trained_flips", lambda run, seed: 0.01)
    assert train(tmp_path, "params=3k,flips=2%") == 0
    table = table_of(tmp_path)
    fitting = [at for at, row in enumerate(table.rows) if row.params <= 3000]
    assert (table.chosen, table.choice.flips) == (fitting[1], 0.01)


def test_the_same_call_takes_the_table_that_is_there(tmp_path, monkeypatch, capsys):
    assert train(tmp_path, "params=3k") == 0
    before = table_of(tmp_path)

    def measure(candidates):
        raise AssertionError("measured again")

    monkeypatch.setattr(sizing, "_measure", measure)
    assert train(tmp_path, "params=3k") == 0
    assert table_of(tmp_path) == before
    assert "as measured" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="measured again"):
        run_with(tmp_path, "params=2k")


def run_with(folder: Path, budget: str) -> None:
    """Choose in this process, where an error of the test comes through."""
    from fsq_edge.training import load_config
    from fsq_edge.training.split import open_sides

    config = load_config(folder / "config.yaml", {})
    sizing.choose_size(config, open_sides(config), SizeBudget.read(budget), "a machine")


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ("us=0.0001", "the quickest within the other limits takes"),
        ("params=10", "the smallest has"),
        ("us=60,us=70", "'us=70' is no limit, or one too many"),
        ("flips=2", "at most 100 %"),
        ("params=4%", "'params=4%' is no limit"),
        ("flips=200%", "at most 100 %"),
        ("us=0", "above 0"),
        ("quick", "'quick' is no limit"),
    ],
)
def test_what_nothing_can_keep_is_one_line_and_a_hint(budget, says, tmp_path, capsys):
    assert train(tmp_path, budget) == 64
    error, hint = capsys.readouterr().err.strip().splitlines()
    assert says in error
    assert hint.startswith("hint: ")
    assert not (tmp_path / "run" / "sizes.json").exists()


def test_flips_out_of_reach_name_the_least(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sizing, "run_trial", lambda *given: [0.9, 0.25])
    assert train(tmp_path, "flips=2%") == 64
    assert "keeps flips=2.00%: the least is 25.00%" in capsys.readouterr().err


def test_a_budget_is_for_one_network(tmp_path, capsys):
    assert run(["train", "--data", "watch", "--folds", "2", "--budget", "us=60", "--out", str(tmp_path / "r")]) == 64
    assert "one network in one process" in capsys.readouterr().err


def test_limits_are_read():
    assert SizeBudget.read("us=60,params=40k,flips=2%") == SizeBudget(us=60.0, params=40_000, flips=0.02)
    assert SizeBudget.read(" params=1.5M ") == SizeBudget(params=1_500_000)
    row = SizeRow(hidden_dim=8, blocks=2, params=40_000, macs=1, us=60.0)
    assert row.fits(SizeBudget.read("us=60,params=40k"))
    assert not row.model_copy(update={"us": None}).fits(SizeBudget.read("us=60"))
    with pytest.raises(UsageError):
        SizeBudget.read("")


def test_blocks_are_a_setting(tmp_path):
    _, config = write_exercises(tmp_path, model={"blocks": 2})
    assert run(["train", str(config), "--epochs", "1", "--quiet", "--out", str(tmp_path / "run")]) == 0
    loaded = load_run(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"]["model"]["blocks"] == 2
    assert sum(name.endswith("weight") and value.ndim == 4 for name, value in loaded.model.state_dict().items()) == 2
