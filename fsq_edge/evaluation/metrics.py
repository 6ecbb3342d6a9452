"""The scores of a set of predictions, with n, intervals, baselines, classes, subjects, calibration and codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fsq_edge.data.recording import subject_order
from fsq_edge.evaluation.codes import CodeDictionary, code_dictionary
from fsq_edge.evaluation.intervals import ScoreRanges, score_intervals
from fsq_edge.evaluation.reliability import Reliability, reliability_of, require_probabilities
from fsq_edge_runtime.arrays import FloatArray, Int64Array, IntArray, TextArray
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.scores import confusion, scores_of_tallies, tallies


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class.

    Attributes:
        name: of the class.
        precision: share of its predictions that are right; 0 where it was never predicted.
        recall: share of its windows that were found; 0 where it does not occur.
        f1: harmonic mean of both.
        support: windows of the class.
        predicted: windows that were given its label.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True, slots=True)
class SubjectScore:
    """One subject; F1 is averaged over the classes that the subject shows or is given."""

    subject: str
    n: int
    accuracy: float
    macro_f1: float


@dataclass(frozen=True, slots=True)
class Baseline:
    """What no model at all would score on these windows.

    Attributes:
        accuracy: 0 to 1.
        macro_f1: 0 to 1.
        made: how, in a few words.
    """

    accuracy: float
    macro_f1: float
    made: str


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All scores of N predictions over K classes.

    Attributes:
        classes: K names in the order of the labels.
        n: windows scored.
        accuracy: share of right windows.
        balanced_accuracy: recall averaged over the classes that occur.
        macro_f1: F1 averaged over the classes that occur or were predicted.
        intervals: 95 % bootstrap intervals of the three scores above, and how they were made.
        per_class: K scores.
        per_subject: one a subject.
        confusion: int64 (K, K), truth in rows, prediction in columns.
        majority: always the most frequent class of the true labels, the best constant answer there is.
        stratified: guesses drawn with the class frequencies of the true labels, expected value.
        reliability: calibration of the probabilities.
        codes: the code dictionary, or None where no codes were given.
    """

    classes: tuple[str, ...]
    n: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    intervals: ScoreRanges
    per_class: tuple[ClassScore, ...]
    per_subject: tuple[SubjectScore, ...]
    confusion: Int64Array
    majority: Baseline
    stratified: Baseline
    reliability: Reliability
    codes: CodeDictionary | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values (lists, numbers, text); every number is finite."""
        return {**asdict(self), "confusion": self.confusion.tolist()}


def evaluate_predictions(
    probabilities: FloatArray,
    labels: IntArray,
    subjects: TextArray,
    classes: Sequence[str],
    codes: IntArray | None = None,
    n_codes: int | None = None,
    *,
    seed: int = 0,
) -> Evaluation:
    """Score predictions.

    Args:
        probabilities: float32 (N, K), rows that sum to 1. Logits and labels are refused.
        labels: int (N,), the true classes.
        subjects: str (N,), who each window is from.
        classes: K names.
        codes: int (N,), FSQ code of each window, or None.
        n_codes: size of the code book; needed with ``codes``.
        seed: of the bootstrap.

    Raises:
        DataError: no window at all, or a label that is not a class.
        ValueError: arrays that disagree in length, probabilities that are none, codes out of range.

    Source: precision, recall and F1 as scikit-learn defines them, 0 where nothing can be divided.
    """
    names = tuple(classes)
    _check(np.asarray(labels), np.asarray(subjects), names)
    truth = np.asarray(labels, np.int64)
    p = require_probabilities(np.asarray(probabilities), len(names))
    if len(p) != len(truth):
        raise ValueError(f"{len(p)} rows of probabilities for {len(truth)} labels")
    predicted = p.argmax(axis=1)
    counts = confusion(truth, predicted, len(names))
    hits, support, given = tallies(counts)
    accuracy, balanced, macro = scores_of_tallies(tallies(counts))
    return Evaluation(
        classes=names,
        n=len(truth),
        accuracy=float(accuracy),
        balanced_accuracy=float(balanced),
        macro_f1=float(macro),
        intervals=score_intervals(truth, predicted, np.asarray(subjects), len(names), seed=seed),
        per_class=tuple(_class_score(name, *row) for name, *row in zip(names, hits, support, given, strict=True)),
        per_subject=_per_subject(truth, predicted, np.asarray(subjects), len(names)),
        confusion=counts,
        majority=majority_baseline(support, names),
        stratified=stratified_baseline(support),
        reliability=reliability_of(p, truth),
        codes=None if codes is None else _dictionary(np.asarray(codes), truth, names, n_codes),
    )


def majority_baseline(support: IntArray, classes: Sequence[str]) -> Baseline:
    """Return the score of always answering the most frequent class; ``support`` (K,) counts the true labels.

    Example:
        >>> majority_baseline(np.array([6, 2, 2]), ("rest", "walk", "run")).accuracy
        0.6
    """
    top, n = int(np.argmax(support)), int(support.sum())
    accuracy = float(support[top] / n)
    occurring = int((support > 0).sum())
    return Baseline(accuracy, 2 * accuracy / (1 + accuracy) / occurring, f"always {classes[top]!r}")


def stratified_baseline(support: IntArray) -> Baseline:
    """Return the expected score of guesses drawn with the class frequencies; ``support`` (K,) counts true labels.

    With share s of a class, its precision and recall both tend to s, and so does its F1.
    """
    share = support[support > 0] / support.sum()
    return Baseline(float((share**2).sum()), float(share.mean()), "guesses with the class frequencies, expected value")


def _class_score(name: str, hits: int, support: int, given: int) -> ClassScore:
    return ClassScore(
        name=name,
        precision=float(hits / given) if given else 0.0,
        recall=float(hits / support) if support else 0.0,
        f1=float(2 * hits / (support + given)) if support + given else 0.0,
        support=int(support),
        predicted=int(given),
    )


def _per_subject(
    truth: Int64Array, predicted: Int64Array, subjects: TextArray, n_classes: int
) -> tuple[SubjectScore, ...]:
    scores = []
    for name in sorted({str(subject) for subject in subjects}, key=subject_order):
        rows = subjects == name
        accuracy, _, macro = scores_of_tallies(tallies(confusion(truth[rows], predicted[rows], n_classes)))
        scores.append(SubjectScore(name, int(rows.sum()), float(accuracy), float(macro)))
    return tuple(scores)


def _dictionary(codes: IntArray, truth: IntArray, names: tuple[str, ...], n_codes: int | None) -> CodeDictionary:
    if n_codes is None:
        raise ValueError("n_codes is needed with codes")
    return code_dictionary(codes, truth, names, n_codes)


def _check(truth: IntArray, subjects: TextArray, classes: tuple[str, ...]) -> None:
    if truth.ndim != 1 or truth.dtype.kind not in "iu":
        raise ValueError(f"labels must be integers of shape (N,), got {truth.dtype} {truth.shape}")
    if subjects.shape != truth.shape:
        raise ValueError(f"{len(subjects)} subjects for {len(truth)} labels")
    if len(truth) == 0:
        raise DataError("no window to score", hint="the split is empty: name other test subjects")
    low, high = int(truth.min()), int(truth.max())
    if low < 0 or high >= len(classes):
        raise DataError(
            f"unknown class: label {low if low < 0 else high}, the model knows {len(classes)} classes",
            hint=f"the classes are {', '.join(classes)}",
        )
