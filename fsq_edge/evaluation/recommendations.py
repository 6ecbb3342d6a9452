"""What to do next, each line from a rule and with the figure that set it off."""

from __future__ import annotations

import numpy as np

from fsq_edge.evaluation.metrics import Evaluation
from fsq_edge.evaluation.run_evaluation import RunEvaluation
from fsq_edge.report.parts import plural

WEAK_CLASS = 0.10  # F1 this far below the mean
WEAK_SUBJECT = 0.15  # accuracy this far below the mean
POOR_ECE = 0.05
RARE_SHARE = 0.1  # of the support of the most frequent class
LEFT_OUT_SHARE = 0.1
FEW_SUBJECTS = 5
GAP_TO_VALIDATION = 0.10
NOTHING = "Nothing stands out. Check the stream next: windows of changing behaviour are not scored here."
AMBIGUOUS_PURITY, AMBIGUOUS_SHARE = 0.6, 0.02


def recommendations(evaluated: RunEvaluation) -> tuple[str, ...]:
    """Return one sentence for every rule that applies, the gravest first; never empty."""
    scores = evaluated.evaluation
    found = [
        *_against_baseline(scores),
        *_data(evaluated),
        *_validation_gap(evaluated),
        *_subjects(scores),
        *_classes(scores),
        *_codes(scores),
        *_calibration(evaluated),
    ]
    return tuple(found) or (NOTHING,)


def _against_baseline(scores: Evaluation) -> list[str]:
    low = scores.intervals.accuracy.low
    if low > scores.majority.accuracy:
        return []
    return [
        f"The lower end of the accuracy interval ({low:.3f}) does not clear the majority baseline "
        f"({scores.majority.accuracy:.3f}): do not deploy this model; check labels, units and the split first."
    ]


def _validation_gap(evaluated: RunEvaluation) -> list[str]:
    checked = evaluated.run.metrics.get("val_macro_f1")
    if checked is None or checked - evaluated.evaluation.macro_f1 < GAP_TO_VALIDATION:
        return []
    return [
        f"Macro-F1 is {evaluated.evaluation.macro_f1:.3f} here against {checked:.3f} in validation: the subjects "
        "differ more than the validation shows; validate on more of them."
    ]


def _subjects(scores: Evaluation) -> list[str]:
    found = []
    if len(scores.per_subject) < FEW_SUBJECTS:
        found.append(
            f"Only {plural(len(scores.per_subject), 'subject')} scored: hold out at least {FEW_SUBJECTS}, or train one "
            "run for each fold of subjects."
        )
    worst = min(scores.per_subject, key=lambda score: score.accuracy)
    mean = float(np.mean([score.accuracy for score in scores.per_subject]))
    if mean - worst.accuracy > WEAK_SUBJECT:
        found.append(
            f"Subject {worst.subject} reaches {worst.accuracy:.3f}, the mean over subjects is {mean:.3f}: look at how "
            "the sensor was worn there."
        )
    return found


def _classes(scores: Evaluation) -> list[str]:
    found = []
    for k, score in enumerate(scores.per_class):
        if score.support == 0:
            found.append(f"Class {score.name} does not occur in these windows, so nothing is known about it.")
        elif scores.macro_f1 - score.f1 > WEAK_CLASS:
            missed = scores.confusion[k].copy()
            missed[k] = 0
            taken = f", most often taken for {scores.classes[int(missed.argmax())]}" if missed.any() else ""
            found.append(
                f"Class {score.name} has F1 {score.f1:.3f} (recall {score.recall:.3f}{taken}): record more of it, or "
                "ask whether the two can be told apart by motion."
            )
    most = max(score.support for score in scores.per_class)
    rare = [score.name for score in scores.per_class if 0 < score.support < RARE_SHARE * most]
    if rare:
        found.append(f"Rare classes ({', '.join(rare)}): read macro-F1 rather than accuracy, and record more of them.")
    return found


def _codes(scores: Evaluation) -> list[str]:
    if scores.codes is None:
        return []
    found = []
    occurring = sum(score.support > 0 for score in scores.per_class)
    if scores.codes.used < occurring:
        found.append(
            f"{scores.codes.used} codes stand for {occurring} classes: the code book has collapsed; train again with "
            "another seed or a lower learning rate."
        )
    mixed = [
        entry
        for entry in scores.codes.entries
        if entry.purity < AMBIGUOUS_PURITY and entry.support >= AMBIGUOUS_SHARE * scores.n
    ]
    if mixed:
        listed = ", ".join(f"{entry.code} ({' / '.join(list(entry.classes)[:2])})" for entry in mixed[:3])
        found.append(f"Frequent codes that stand for more than one class: {listed}.")
    return found


def _calibration(evaluated: RunEvaluation) -> list[str]:
    found = []
    if evaluated.temperature is None:
        found.append(
            "No validation windows at hand: the temperature is 1 and confidence is unchecked; hold some subjects out."
        )
    elif evaluated.temperature.at_limit:
        found.append(
            f"The temperature ended at its bound ({evaluated.temperature.value:.2f}): the validation windows are too "
            "few or too easy to fit it."
        )
    ece = evaluated.evaluation.reliability.ece
    if ece > POOR_ECE:
        found.append(
            f"The calibration error is {ece:.3f}: set thresholds with fsq-edge tune on recordings of other subjects, "
            "not from confidence alone."
        )
    return found


def _data(evaluated: RunEvaluation) -> list[str]:
    index, predictions = evaluated.windows.index, evaluated.predictions
    found = [f"Channel {channel.name}: {channel.finding}." for channel in predictions.channels if channel.finding]
    lost = predictions.n_unusable
    if lost > LEFT_OUT_SHARE * len(index):
        found.append(f"{lost} of {len(index)} windows have too many missing values to be scored: see fsq-edge data qa.")
    return found
