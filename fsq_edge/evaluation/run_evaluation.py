"""A run scored on held-out windows: predictions, temperature, scores, and what a reader must know about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fsq_edge.data.quality import QualityControl, QualityReport, QualityThresholds
from fsq_edge.data.windows import WindowIndex
from fsq_edge.evaluation.metrics import Evaluation, evaluate_predictions
from fsq_edge.evaluation.openings import Openings, record_opening
from fsq_edge.evaluation.predictions import WindowPredictions, predict
from fsq_edge.evaluation.reliability import Reliability, reliability_of
from fsq_edge.evaluation.scored_windows import Part, ScoredWindows, choose_windows, validation_windows
from fsq_edge.training.run import Run
from fsq_edge_compile.int8.temperature import FittedTemperature, fit_temperature


@dataclass(frozen=True, slots=True, eq=False)
class RunEvaluation:
    """Everything that reports and summaries say about one evaluation.

    Attributes:
        run: the run that was scored.
        windows: those that were scored.
        predictions: logits, codes and where each window lies.
        temperature: fitted on the run's validation subjects, or None where there are none (then it is 1).
        evaluation: scores of the probabilities at that temperature.
        uncalibrated: calibration at temperature 1.
        quality: quality control of the recordings that the windows were cut from.
        openings: looks at the test split so far, or None where this was none.
        made: UTC, ISO 8601.
    """

    run: Run
    windows: ScoredWindows
    predictions: WindowPredictions
    temperature: FittedTemperature | None
    evaluation: Evaluation
    uncalibrated: Reliability
    quality: QualityReport
    openings: Openings | None
    made: str

    @property
    def temperature_used(self) -> float:
        """The temperature of the probabilities."""
        return self.temperature.value if self.temperature else 1.0

    @property
    def notices(self) -> tuple[str, ...]:
        """What every report of this evaluation says first."""
        later = self.openings.notice if self.openings else None
        return (*self.windows.notices, *((later,) if later else ()))


def evaluate_run(run: Run, part: Part = "test", source: str | None = None) -> RunEvaluation:
    """Evaluate the torch model of a run.

    Opening the test split is written down in the run folder before the first score is computed.

    Args:
        run: a loaded run.
        part: ``test`` or ``val`` of the run's split.
        source: another data source, see ``choose_windows``.

    Raises:
        FsqEdgeError: the data are gone, foreign or unusable; the opening cannot be recorded.
    """
    windows = choose_windows(run, part, source)
    temperature = None if windows.validation is None else _fit(run, windows.validation)
    openings = record_opening(run.folder, run.record.model_sha256) if windows.part == "test" else None
    predictions = predict(run.validated() if windows.part == "val" else run, windows.index)
    evaluation = evaluate_predictions(
        predictions.probabilities(temperature.value if temperature else 1.0),
        predictions.labels,
        predictions.subjects,
        run.classes,
        codes=predictions.codes,
        n_codes=run.model.fsq.codes,
    )
    return RunEvaluation(
        run=run,
        windows=windows,
        predictions=predictions,
        temperature=temperature,
        evaluation=evaluation,
        uncalibrated=reliability_of(predictions.probabilities(), predictions.labels),
        quality=_quality(run, windows.index),
        openings=openings,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _quality(run: Run, index: WindowIndex) -> QualityReport:
    limits = QualityThresholds(max_gap_ms=run.preprocess.max_gap_ms)
    return QualityControl(limits, run.config.preprocessing.strict_mode).validate_dataset(index.dataset)


def validation_temperature(run: Run) -> FittedTemperature | None:
    """Fit the temperature on a run's validation windows; None where it has none. The test split is not touched.

    Raises:
        DataError: the run's data are not those it was trained on, or no validation window is usable.
    """
    index = validation_windows(run)
    return None if index is None else _fit(run, index)


def _fit(run: Run, index: WindowIndex) -> FittedTemperature:
    # The refit learns from validation windows, so they are scored by the weights from before it.
    seen = predict(run.validated(), index)
    return fit_temperature(seen.logits, seen.labels, run.record.split.val_subjects)


def summary(
    evaluated: RunEvaluation,
    *,
    int8: dict[str, float] | None = None,
    verdict: str | None = None,
    bundle_bytes: int | None = None,
    latency_us: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Return ``summary.json``.

    Args:
        evaluated: what was found.
        int8: ``accuracy``, ``macro_f1``, ``code_flip_rate``, ``label_change_rate`` of the int8 preview on the same
            windows, where one was made.
        verdict: of the compatibility check, where it ran.
        bundle_bytes: size of the bundle, where there is one.
        latency_us: ``decision_p50``, ``decision_p99``, ``bare_p50``, ``bare_p99``, ``ratio_p50``, where measured.

    Returns:
        Plain JSON values; what is not known is null.
    """
    scores = evaluated.evaluation
    openings = evaluated.openings.openings if evaluated.openings else ()
    intervals = scores.intervals
    return {
        "schema_version": 1,
        "dataset": evaluated.windows.dataset,
        "split": evaluated.windows.description,
        "n_windows": scores.n,
        "accuracy": scores.accuracy,
        "macro_f1": scores.macro_f1,
        "majority_baseline": scores.majority.accuracy,
        "int8": _known(int8, ("accuracy", "macro_f1", "code_flip_rate", "label_change_rate")),
        "check": {"verdict": verdict},
        "bundle_bytes": bundle_bytes,
        "latency_us": _known(latency_us, ("decision_p50", "decision_p99", "bare_p50", "bare_p99", "ratio_p50")),
        "balanced_accuracy": scores.balanced_accuracy,
        "intervals": {
            "level": intervals.level,
            "made": intervals.made,
            "accuracy": [intervals.accuracy.low, intervals.accuracy.high],
            "macro_f1": [intervals.macro_f1.low, intervals.macro_f1.high],
        },
        "majority_macro_f1": scores.majority.macro_f1,
        "n_subjects": len(scores.per_subject),
        "ece": scores.reliability.ece,
        "brier": scores.reliability.brier,
        "temperature": evaluated.temperature_used,
        "made": evaluated.made,
        "test_openings": len(openings),
        "notices": list(evaluated.notices),
    }


def _known(values: dict[str, float] | None, keys: tuple[str, ...]) -> dict[str, float | None]:
    return {**dict.fromkeys(keys), **(values or {})}
