"""Scores against scikit-learn and against cases worked out by hand."""

import json

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    classification_report,
    confusion_matrix,
    f1_score,
)

from fsq_edge.evaluation import evaluate_predictions
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tail import softmax

CLASSES = ("stand", "walk", "trot", "jump")


def drawn(n=400, seed=0, subjects=6):
    rng = np.random.default_rng(seed)
    labels = rng.choice(len(CLASSES), size=n, p=[0.5, 0.3, 0.15, 0.05])
    logits = rng.normal(size=(n, len(CLASSES)))
    logits[np.arange(n), labels] += 1.5
    return softmax(logits.astype(np.float32)), labels, rng.integers(1, subjects + 1, n).astype(str)


def certain(predicted):
    return np.eye(len(CLASSES), dtype=np.float32)[predicted]


def test_scores_equal_scikit_learn():
    probabilities, labels, subjects = drawn()
    predicted = probabilities.argmax(axis=1)
    found = evaluate_predictions(probabilities, labels, subjects, CLASSES)
    report = classification_report(labels, predicted, target_names=CLASSES, output_dict=True)
    assert found.n == 400
    assert found.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    np.testing.assert_array_equal(found.confusion, confusion_matrix(labels, predicted))
    for score in found.per_class:
        expected = report[score.name]
        assert (score.precision, score.recall, score.f1) == pytest.approx(
            (expected["precision"], expected["recall"], expected["f1-score"])
        )
        assert score.support == expected["support"]
    for score in found.per_subject:
        rows = subjects == score.subject
        assert score.n == rows.sum()
        assert score.accuracy == pytest.approx(accuracy_score(labels[rows], predicted[rows]))
        assert score.macro_f1 == pytest.approx(f1_score(labels[rows], predicted[rows], average="macro"))


def test_a_class_that_neither_occurs_nor_is_predicted_does_not_dilute_the_mean():
    labels = np.array([0, 0, 1, 1])
    found = evaluate_predictions(certain([0, 0, 1, 0]), labels, np.full(4, "a"), CLASSES)
    assert found.macro_f1 == pytest.approx(f1_score(labels, [0, 0, 1, 0], average="macro"))
    assert found.balanced_accuracy == pytest.approx(0.75)
    assert (found.per_class[3].support, found.per_class[3].f1) == (0, 0.0)


def test_windows_count_alike_however_they_are_spread_over_subjects():
    # 90 right of one subject, 10 wrong of another: 0.9, not the mean of 1.0 and 0.0.
    labels = np.zeros(100, np.int64)
    predicted = np.r_[np.zeros(90, int), np.ones(10, int)]
    found = evaluate_predictions(certain(predicted), labels, np.r_[np.full(90, "a"), np.full(10, "b")], CLASSES)
    assert found.accuracy == pytest.approx(0.9)
    assert [score.accuracy for score in found.per_subject] == [1.0, 0.0]


def test_labels_that_were_argmaxed_already_are_refused():
    probabilities, labels, subjects = drawn()
    with pytest.raises(ValueError, match="not labels"):
        evaluate_predictions(probabilities.argmax(axis=1), labels, subjects, CLASSES)


def test_logits_are_refused():
    probabilities, labels, subjects = drawn()
    with pytest.raises(ValueError, match="softmax"):
        evaluate_predictions(np.log(probabilities), labels, subjects, CLASSES)


@pytest.mark.parametrize(
    "broken", [np.full((4, 4), np.nan), np.full((4, 3), 1 / 3), np.full((3, 4), 0.25), np.full((4, 4), 0.3)]
)
def test_what_is_no_probability_or_does_not_fit_is_refused(broken):
    with pytest.raises(ValueError):
        evaluate_predictions(broken, np.zeros(4, np.int64), np.full(4, "a"), CLASSES)


def test_majority_baseline_equals_scikit_learn_and_is_not_one_over_the_classes():
    probabilities, labels, subjects = drawn()
    found = evaluate_predictions(probabilities, labels, subjects, CLASSES).majority
    dummy = DummyClassifier(strategy="most_frequent").fit(labels[:, None], labels).predict(labels[:, None])
    assert found.accuracy == pytest.approx(accuracy_score(labels, dummy))
    assert found.macro_f1 == pytest.approx(f1_score(labels, dummy, average="macro"))
    assert found.accuracy > 1.5 / len(CLASSES)
    assert found.made == "always 'stand'"


def test_stratified_baseline_is_what_drawn_guesses_tend_to():
    labels = np.repeat(np.arange(4), [5000, 3000, 1500, 500])
    found = evaluate_predictions(certain(labels), labels, np.full(len(labels), "a"), CLASSES).stratified
    guesses = [
        DummyClassifier(strategy="stratified", random_state=seed).fit(labels, labels).predict(labels)
        for seed in range(20)
    ]
    assert found.accuracy == pytest.approx(np.mean([accuracy_score(labels, guess) for guess in guesses]), abs=0.005)
    macro = np.mean([f1_score(labels, guess, average="macro") for guess in guesses])
    assert found.macro_f1 == pytest.approx(macro, abs=0.01)


def test_an_unknown_class_is_bad_data():
    with pytest.raises(DataError, match="unknown class: label 4, the model knows 4") as caught:
        evaluate_predictions(certain([0, 1]), np.array([0, 4]), np.full(2, "a"), CLASSES)
    assert caught.value.exit_code == 65
    with pytest.raises(DataError, match="label -1"):
        evaluate_predictions(certain([0, 1]), np.array([-1, 0]), np.full(2, "a"), CLASSES)


def test_no_window_is_bad_data():
    with pytest.raises(DataError, match="no window"):
        evaluate_predictions(np.empty((0, 4)), np.empty(0, np.int64), np.empty(0, np.str_), CLASSES)


def test_labels_must_be_whole_numbers_and_as_many_as_subjects():
    with pytest.raises(ValueError, match="integers"):
        evaluate_predictions(certain([0]), np.array([0.0]), np.full(1, "a"), CLASSES)
    with pytest.raises(ValueError, match="2 subjects for 1 labels"):
        evaluate_predictions(certain([0]), np.array([0]), np.full(2, "a"), CLASSES)


def test_subjects_are_listed_in_the_order_of_their_numbers():
    labels = np.zeros(3, np.int64)
    found = evaluate_predictions(certain(labels), labels, np.array(["10", "9", "2"]), CLASSES)
    assert [score.subject for score in found.per_subject] == ["2", "9", "10"]


def test_to_dict_is_plain_finite_json():
    probabilities, labels, subjects = drawn()
    found = evaluate_predictions(probabilities, labels, subjects, CLASSES, codes=labels * 3, n_codes=240)
    value = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert value["confusion"] == found.confusion.tolist()
    assert value["classes"] == list(CLASSES)
    assert value["per_class"][1]["name"] == "walk"
    assert value["intervals"]["made"].startswith("percentile bootstrap over 6 subjects")
    assert value["codes"]["used"] == 4


def test_codes_become_a_dictionary():
    labels = np.array([0, 0, 0, 1, 1, 2])
    codes = np.array([7, 7, 7, 7, 3, 3])
    found = evaluate_predictions(certain(labels), labels, np.full(6, "a"), CLASSES, codes=codes, n_codes=240).codes
    assert found is not None
    assert (found.n_codes, found.used, found.purity) == (240, 2, pytest.approx(4 / 6))
    first, second = found.entries
    assert (first.code, first.label, first.purity, first.support) == (7, "stand", 0.75, 4)
    assert first.classes == {"stand": 3, "walk": 1}
    assert (second.code, second.label, second.classes) == (3, "walk", {"walk": 1, "trot": 1})
    share = np.array([4, 2]) / 6
    assert found.perplexity == pytest.approx(np.exp(-(share * np.log(share)).sum()))


def test_a_huge_code_book_costs_nothing():
    labels = np.zeros(3, np.int64)
    codes = np.array([0, 2**50, 2**50])
    found = evaluate_predictions(certain(labels), labels, np.full(3, "a"), CLASSES, codes=codes, n_codes=2**60).codes
    assert found is not None
    assert [entry.code for entry in found.entries] == [2**50, 0]


@pytest.mark.parametrize("codes", [np.array([0, 240]), np.array([-1, 0]), np.array([0.0, 1.0]), np.array([0])])
def test_codes_out_of_range_or_of_another_kind_are_refused(codes):
    with pytest.raises(ValueError, match="code"):
        evaluate_predictions(certain([0, 1]), np.array([0, 1]), np.full(2, "a"), CLASSES, codes=codes, n_codes=240)


def test_codes_need_the_size_of_the_book():
    with pytest.raises(ValueError, match="n_codes"):
        evaluate_predictions(certain([0]), np.array([0]), np.full(1, "a"), CLASSES, codes=np.array([0]))
