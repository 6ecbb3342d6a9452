"""``fsq-edge evaluate`` on a really trained run, and what it leaves behind."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from fsq_edge.cli.main import run
from fsq_edge.data import write_folder
from fsq_edge.evaluation.recommendations import recommendations
from fsq_edge.evaluation.run_evaluation import evaluate_run, summary, validation_temperature
from fsq_edge.training import Run, load_config, load_run
from fsq_edge_runtime.errors import DataError
from tests.factories.runs import CLASSES, gait_dataset, train_small_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_small_run(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture
def fresh(trained, tmp_path):
    """The same run whose test split nobody has opened."""
    shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("openings.json", "evaluation*"))
    return tmp_path / "run"


def test_the_verb_writes_what_it_promises(fresh, capsys):
    assert run(["evaluate", str(fresh), "--json", "-"]) == 0
    shown = json.loads(capsys.readouterr().out)
    out = fresh / "evaluation"
    names = sorted(path.name for path in out.rglob("*") if path.is_file())
    assert names == [
        "confusion_matrix.svg", "evaluation.html", "evaluation_report.md",
        "learning_curves.svg", "per_class.svg",
        "predictions.npz", "reliability.svg", "summary.json",
    ]  # fmt: skip
    assert '<a href="evaluation/evaluation.html">' in (fresh / "index.html").read_text()
    written = json.loads((out / "summary.json").read_text())
    assert {**written, "evaluation": shown["evaluation"]} == shown
    assert (written["schema_version"], written["dataset"], written["n_windows"]) == (1, "gait", 66)
    assert written["split"] == "by subject, held out 5, 6"
    assert written["int8"] == dict.fromkeys(("accuracy", "macro_f1", "code_flip_rate", "label_change_rate"))
    assert written["check"] == {"verdict": None}
    assert written["bundle_bytes"] is None
    assert set(written["latency_us"]) == {"decision_p50", "decision_p99", "bare_p50", "bare_p99", "ratio_p50"}
    assert written["majority_baseline"] == pytest.approx(1 / 3)
    assert written["test_openings"] == 1


def test_the_predictions_give_the_scores_again(fresh):
    assert run(["evaluate", str(fresh), "--quiet"]) == 0
    written = json.loads((fresh / "evaluation" / "summary.json").read_text())
    with np.load(fresh / "evaluation" / "predictions.npz", allow_pickle=False) as kept:
        predicted, labels = kept["probabilities"].argmax(axis=1), kept["labels"]
        assert tuple(kept["classes"]) == CLASSES
        assert kept["probabilities"].dtype == np.float32
        assert set(kept["subjects"]) == {"5", "6"}
        assert {"s5-rest", "s6-trot"} <= set(kept["recordings"])
        assert kept["starts"].max() == 500
        assert kept["codes"].max() < 240
        assert float(kept["temperature"]) == written["temperature"]
    assert written["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert written["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert written["accuracy"] > 0.6


def test_the_report_has_the_sections_and_an_interval(fresh):
    assert run(["evaluate", str(fresh), "--quiet"]) == 0
    text = (fresh / "evaluation" / "evaluation_report.md").read_text()
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    wanted = ["Model Configuration", "Performance Metrics", "Per-Class Performance", "Data Quality", "Recommendations"]
    assert [heading for heading in headings if heading in wanted] == wanted
    assert re.search(r"\*\*Test Accuracy\*\*: [01]\.\d{4} \(95 % [\d.]+ to [\d.]+, n = 66\)", text)
    assert "says nothing about other subjects" in text
    assert "Majority Baseline" in text
    assert re.search(r"\*\*Quality Score\*\*: [\d.]+ \(0 to 100; training data [\d.]+\)", text)
    for path in re.findall(r"\]\((figures/[^)]+)\)", text):
        assert (fresh / "evaluation" / path).read_text().startswith("<svg")


def test_a_second_look_is_marked_in_every_report(fresh):
    assert run(["evaluate", str(fresh), "--quiet"]) == 0
    assert "Later opening" not in (fresh / "evaluation" / "evaluation_report.md").read_text()
    assert run(["evaluate", str(fresh), "--split", "val", "--quiet"]) == 0
    assert "Later opening" not in (fresh / "evaluation-val" / "evaluation_report.md").read_text()
    assert run(["evaluate", str(fresh), "--quiet"]) == 0
    for name in ("evaluation_report.md", "evaluation.html", "summary.json"):
        assert "opened 2 times" in (fresh / "evaluation" / name).read_text()


def test_validation_scores_are_said_to_be_optimistic(fresh):
    assert run(["evaluate", str(fresh), "--split", "val", "--quiet"]) == 0
    assert "so the scores are optimistic" in (fresh / "evaluation-val" / "evaluation.html").read_text()
    written = json.loads((fresh / "evaluation-val" / "summary.json").read_text())
    assert (written["n_windows"], written["test_openings"]) == (33, 0)
    kept = load_run(fresh).metrics
    assert (written["accuracy"], written["macro_f1"]) == pytest.approx((kept["val_accuracy"], kept["val_macro_f1"]))
    assert not (fresh / "openings.json").exists()


def test_a_random_split_is_marked(fresh, monkeypatch):
    loaded = load_run(fresh)
    sides = loaded.windows()
    split = loaded.record.split.model_copy(update={"kind": "random windows", "description": "FORCED"})
    monkeypatch.setattr(Run, "windows", lambda run: sides)
    forced = replace(loaded, record=loaded.record.model_copy(update={"split": split}))
    assert "Random split" in evaluate_run(forced).notices[0]


def test_the_temperature_comes_from_validation_subjects_alone(fresh):
    loaded = load_run(fresh)
    fitted = validation_temperature(loaded)
    assert fitted is not None
    assert (fitted.groups, fitted.n) == (("4",), 33)
    found = evaluate_run(loaded)
    assert found.temperature == fitted
    assert found.evaluation.reliability.ece != found.uncalibrated.ece
    np.testing.assert_array_equal(
        found.predictions.probabilities().argmax(axis=1), found.predictions.probabilities(fitted.value).argmax(axis=1)
    )


def test_predictions_equal_the_network_window_by_window(fresh):
    loaded = load_run(fresh)
    found = evaluate_run(loaded).predictions
    index = loaded.windows().test
    for row in (0, 17, 65):
        frame = loaded.preprocessor.frames(index.gather(np.array([row])))
        with torch.no_grad():
            output = loaded.model(torch.from_numpy(frame))
        np.testing.assert_allclose(found.logits[row], output.logits[0].numpy(), atol=1e-5)
        assert found.labels[row] == index.label[row]


def test_a_moved_data_set_is_judged_on_the_same_subjects(fresh, tmp_path):
    write_folder(gait_dataset(), tmp_path / "moved")
    assert run(["evaluate", str(fresh), "--data", f"folder:{tmp_path / 'moved'}", "--quiet"]) == 0
    moved = json.loads((fresh / "evaluation" / "summary.json").read_text())
    shutil.rmtree(fresh / "evaluation")
    assert run(["evaluate", str(fresh), "--quiet"]) == 0
    own = json.loads((fresh / "evaluation" / "summary.json").read_text())
    assert (moved["split"], moved["macro_f1"], moved["ece"]) == (own["split"], own["macro_f1"], own["ece"])
    assert (moved["test_openings"], own["test_openings"]) == (1, 2)


def test_data_of_the_same_name_that_split_otherwise_are_refused(fresh, tmp_path, capsys):
    write_folder(gait_dataset(subjects=8), tmp_path / "grown")
    assert run(["evaluate", str(fresh), "--data", f"folder:{tmp_path / 'grown'}"]) == 65
    assert "not the data of this run" in capsys.readouterr().err
    assert not (fresh / "openings.json").exists()


def test_another_data_set_is_judged_whole_with_its_classes_by_name(fresh, tmp_path):
    turned = gait_dataset("other", subjects=2, seed=1)
    swap = {0: 2, 1: 1, 2: 0}
    recordings = tuple(replace(r, labels=np.vectorize(swap.get)(r.labels).astype(np.int16)) for r in turned.recordings)
    write_folder(replace(turned, classes=CLASSES[::-1], recordings=recordings), tmp_path / "other")
    out = tmp_path / "out"
    assert run(["evaluate", str(fresh), "--data", f"folder:{tmp_path / 'other'}", "--out", str(out), "--quiet"]) == 0
    written = json.loads((out / "summary.json").read_text())
    assert (written["dataset"], written["n_windows"], written["test_openings"]) == ("other", 66, 0)
    assert written["accuracy"] > 0.6
    assert "Subjects 1, 2 have the names of training or validation subjects" in written["notices"][0]


def with_first(dataset, **changes):
    return replace(dataset, recordings=(replace(dataset.recordings[0], **changes), *dataset.recordings[1:]))


def broken_data(kind):
    dataset = gait_dataset("other", subjects=3)
    if kind == "nan":
        return replace(
            dataset, recordings=tuple(replace(r, samples=np.full_like(r.samples, np.nan)) for r in dataset.recordings)
        )
    if kind == "class":
        return replace(dataset, classes=("rest", "walk", "fly"))
    if kind == "unit":
        return replace(dataset, channels=(replace(dataset.channels[0], unit="m/s2"), *dataset.channels[1:]))
    return replace(dataset, sample_rate_hz=100.0)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("nan", "NaN or Inf"), ("class", "unknown class 'fly'"), ("unit", "acc_x (m/s2)"), ("rate", "100 samples")],
)
def test_data_that_do_not_fit_are_bad_data_and_open_nothing(fresh, tmp_path, capsys, kind, said):
    write_folder(broken_data(kind), tmp_path / "bad")
    assert run(["evaluate", str(fresh), "--data", f"folder:{tmp_path / 'bad'}"]) == 65
    error = capsys.readouterr().err
    assert said in error
    assert "hint:" in error
    assert "Traceback" not in error
    assert not (fresh / "openings.json").exists()


def test_windows_with_long_gaps_are_counted_and_not_judged(fresh, tmp_path):
    dataset = gait_dataset("other", subjects=3)
    samples = dataset.recordings[0].samples.copy()
    samples[200:260] = np.nan
    write_folder(with_first(dataset, samples=samples), tmp_path / "gap")
    found = evaluate_run(load_run(fresh), source=f"folder:{tmp_path / 'gap'}")
    assert found.predictions.n_unusable == 3
    assert found.evaluation.n == 99 - 3


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["missing"], 66),
        (["RUN", "--split", "train"], 64),
        (["RUN", "--data", "nowhere"], 64),
        (["RUN", "--data", "folder:nowhere"], 66),
        ([], 64),
    ],
)
def test_wrong_calls_end_with_their_code(fresh, capsys, words, code):
    given = [str(fresh) if word == "RUN" else word for word in words]
    assert run(["evaluate", *given]) == code
    assert capsys.readouterr().err.startswith("error: ")
    assert not (fresh / "openings.json").exists()


def test_an_out_that_cannot_be_written_opens_nothing(fresh, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(["evaluate", str(fresh), "--out", str(tmp_path / "file")]) == 69
    assert "cannot write" in capsys.readouterr().err
    assert not (fresh / "openings.json").exists()


def test_without_the_data_of_the_run_the_temperature_is_one_and_the_report_says_so(fresh, tmp_path):
    loaded = load_run(fresh)
    data = loaded.record.data.model_copy(update={"source": f"folder:{tmp_path / 'gone'}"})
    write_folder(gait_dataset("other"), tmp_path / "other")
    moved = replace(loaded, record=loaded.record.model_copy(update={"data": data}))
    found = evaluate_run(moved, source=f"folder:{tmp_path / 'other'}")
    assert (found.temperature, found.temperature_used) == (None, 1.0)
    assert any("temperature is 1" in line for line in recommendations(found))


def test_a_summary_takes_what_others_measured(fresh):
    int8 = {"accuracy": 0.9, "macro_f1": 0.9, "code_flip_rate": 0.02, "label_change_rate": 0.001}
    value = summary(
        evaluate_run(load_run(fresh)), int8=int8, verdict="full", bundle_bytes=7, latency_us={"ratio_p50": 1.2}
    )
    assert value["int8"] == int8
    assert (value["check"], value["bundle_bytes"]) == ({"verdict": "full"}, 7)
    assert (value["latency_us"]["ratio_p50"], value["latency_us"]["bare_p50"]) == (1.2, None)


def test_recommendations_name_what_stands_out(fresh):
    found = evaluate_run(load_run(fresh))
    assert any("Only 2 subjects scored" in line for line in recommendations(found))
    low = replace(found.evaluation.intervals.accuracy, low=0.1)
    intervals = replace(found.evaluation.intervals, accuracy=low)
    worse = replace(found, evaluation=replace(found.evaluation, intervals=intervals))
    assert recommendations(worse)[0].startswith("The lower end of the accuracy interval (0.100)")


@pytest.mark.parametrize(
    ("wanted", "there", "gone"),
    [
        (("accuracy",), "Test Accuracy", ["## Per-Class Performance", "figures/confusion_matrix.svg"]),
        (("confusion_matrix",), "figures/confusion_matrix.svg", ["Test Accuracy", "## Per-Class Performance"]),
        (("per_class_accuracy",), "## Per-Class Performance", ["Test Accuracy", "figures/confusion_matrix.svg"]),
    ],
)
def test_the_configuration_says_which_metrics_the_report_shows(fresh, wanted, there, gone, capsys):
    record = json.loads((fresh / "run.json").read_text())
    record["config"]["evaluation"]["metrics"] = wanted
    (fresh / "run.json").write_text(json.dumps(record))
    assert run(["evaluate", str(fresh), "--quiet"]) == 0
    report = (fresh / "evaluation" / "evaluation_report.md").read_text()
    assert there in report
    assert not [text for text in gone if text in report]
    assert (fresh / "evaluation" / "figures" / "confusion_matrix.svg").exists() == ("confusion_matrix" in wanted)
    assert {"accuracy", "macro_f1"} <= set(json.loads((fresh / "evaluation" / "summary.json").read_text()))


def test_an_unknown_metric_is_refused_before_training(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("evaluation:\n  metrics: [accuracy, auc]\n")
    with pytest.raises(DataError, match=r"evaluation\.metrics"):
        load_config(config)
