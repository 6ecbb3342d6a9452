"""What training and its verbs write with ``--json``."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from fsq_edge.cli.shapes import Versioned, joined
from fsq_edge.evaluation.codes import CodeDictionary
from fsq_edge.evaluation.intervals import ScoreRanges
from fsq_edge.evaluation.metrics import Baseline, ClassScore, SubjectScore
from fsq_edge.evaluation.reliability import Reliability
from fsq_edge.training.config import TrainConfig
from fsq_edge.training.record import SplitRecord


class Scores(TypedDict):
    """All scores; the fields are those of ``fsq_edge.evaluation.Evaluation``, the truth in rows of the confusion."""

    classes: list[str]
    n: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    intervals: ScoreRanges
    per_class: list[ClassScore]
    per_subject: list[SubjectScore]
    confusion: list[list[int]]
    majority: Baseline
    stratified: Baseline
    reliability: Reliability
    codes: CodeDictionary | None


class Train(Versioned):
    """The run that was trained; ``val_...`` are scores on the validation windows."""

    run: str
    dataset: str
    split: SplitRecord
    parameters: int
    device: str
    processes: int
    epochs: int
    resumed_after: int
    seconds: float
    best_epoch: NotRequired[float]
    val_loss: NotRequired[float]
    val_accuracy: NotRequired[float]
    val_macro_f1: NotRequired[float]


class Fold(TypedDict):
    """One fold on its held-out subjects."""

    run: str
    test_subjects: list[str]
    n_windows: int
    accuracy: float
    macro_f1: float


class Folds(Versioned):
    """``train --folds``: all windows, each scored by the one network that never saw its subject."""

    dataset: str
    n_windows: int
    accuracy: float
    macro_f1: float
    majority_baseline: float
    folds: list[Fold]
    evaluation: Scores


class Intervals(TypedDict):
    """95 % intervals, [low, high], and how they were made."""

    level: float
    made: str
    accuracy: list[float]
    macro_f1: list[float]


class CheckVerdict(TypedDict):
    """The verdict of ``check``; null where it did not run."""

    verdict: str | None


class Summary(Versioned):
    """``summary.json``; what is not known is null, times are in microseconds."""

    dataset: str
    split: str
    n_windows: int
    accuracy: float
    macro_f1: float
    majority_baseline: float
    int8: dict[str, float | None]
    check: CheckVerdict
    bundle_bytes: int | None
    latency_us: dict[str, float | None]
    balanced_accuracy: float
    intervals: Intervals
    majority_macro_f1: float
    n_subjects: int
    ece: float
    brier: float
    temperature: float
    made: str
    test_openings: int
    notices: list[str]


class DemoFacts(TypedDict):
    """How the demo was run, and how far ONNX and torch agree."""

    seed: int
    quick: bool
    arch: str
    onnx: dict[str, float]


class EvaluationScores(TypedDict):
    """The scores in full."""

    evaluation: Scores


class FrontTrial(TypedDict):
    """A trial that no other one beats in every objective."""

    number: int
    values: dict[str, float]
    settings: dict[str, Any]
    config: TrainConfig


class Sweep(Versioned):
    """A search of settings: subjects by role, trials by state, and the share of the variation that settings explain."""

    dataset: str
    held_out: list[str]
    train: list[str]
    validation: list[str]
    objectives: list[str]
    space: dict[str, Any]
    trials: dict[str, int]
    front: list[FrontTrial]
    importance: dict[str, dict[str, float]]


OUTPUTS = {
    "demo": (joined(Summary, DemoFacts),),
    "evaluate": (joined(Summary, EvaluationScores),),
    "sweep": (Sweep,),
    "train": (Train, Folds),
}
