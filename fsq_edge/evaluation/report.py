"""The sections of the evaluation report, for Markdown and for HTML."""

from __future__ import annotations

from fsq_edge.evaluation import figures
from fsq_edge.evaluation.metrics import Evaluation
from fsq_edge.evaluation.recommendations import NOTHING, recommendations
from fsq_edge.evaluation.run_evaluation import RunEvaluation
from fsq_edge.evaluation.training_page import configuration_section, history_section
from fsq_edge.report.document import Cell, Section, Table
from fsq_edge.report.parts import Fact, Picture, Verdict, plural, shown_time
from fsq_edge_runtime.scores import Interval

TITLE = "Model Evaluation Report"
MOST_CODES_SHOWN = 20


def sections(evaluated: RunEvaluation) -> list[Section]:
    """Return the sections of the report in order, with figures; ``evaluation.metrics`` of the run leaves some out."""
    wanted = evaluated.run.config.evaluation.metrics
    return [
        configuration_section(evaluated.run),
        _performance(evaluated),
        *([_per_class(evaluated)] if "per_class_accuracy" in wanted else ()),
        _per_subject(evaluated),
        _code_book(evaluated),
        history_section(evaluated.run),
        _data_quality(evaluated),
        Section("Recommendations", "\n".join(f"- {line}" for line in recommendations(evaluated))),
    ]


def verdict_of(scores: Evaluation, who: str, advice: int = 0) -> Verdict:
    """Return what scores say in one line: is it better than a guess, and is there advice?

    Args:
        scores: of the windows.
        who: who was scored, such as ``of subjects 5, 6``.
        advice: lines of recommendations.
    """
    ranges, guess = scores.intervals, scores.majority.accuracy
    word = f"macro-F1 {scores.macro_f1:.3f}"
    reason = (
        f"95 % {_between(ranges.macro_f1)}, on {plural(scores.n, 'window')} {who}. Accuracy {scores.accuracy:.3f}; "
        f"the most frequent class alone reaches {guess:.3f}."
    )
    if ranges.accuracy.low <= guess:
        return Verdict("bad", word, f"Not shown to be better than a guess: {reason}")
    return Verdict(
        "warning" if advice else "good", word, f"{reason} {plural(advice, 'recommendation')}." if advice else reason
    )


def verdict(evaluated: RunEvaluation) -> Verdict:
    """Return the verdict of an evaluation."""
    lines = [line for line in recommendations(evaluated) if line != NOTHING]
    seen = "whose windows chose the epoch" if evaluated.windows.part == "val" else "that training never saw"
    who = f"of {plural(len(evaluated.evaluation.per_subject), 'subject')} {seen}"
    return verdict_of(evaluated.evaluation, who, len(lines))


def subtitle(evaluated: RunEvaluation) -> str:
    """Return the line below the title: which run, which data, which split, when."""
    held_out = evaluated.windows
    return (
        f"Run {evaluated.run.folder.name!r} on {held_out.dataset}, split {held_out.description}; "
        f"{shown_time(evaluated.made)}"
    )


def _performance(evaluated: RunEvaluation) -> Section:
    scores, intervals = evaluated.evaluation, evaluated.evaluation.intervals
    name = {"test": "Test", "val": "Validation"}.get(evaluated.windows.part, "Overall")
    wanted = evaluated.run.config.evaluation.metrics
    facts = [
        *(_accuracy(name, scores) if "accuracy" in wanted else ()),
        Fact("Macro-F1", f"{scores.macro_f1:.4f}", f"95 % {_between(intervals.macro_f1)}"),
        Fact("Calibration Error", f"{scores.reliability.ece:.4f}",
             f"ECE, equal width; {evaluated.uncalibrated.ece:.4f} at temperature 1; "
             f"equal mass {scores.reliability.ece_equal_mass:.4f}"),
        Fact("Brier Score", f"{scores.reliability.brier:.4f}", f"0 to 2; log loss {scores.reliability.log_loss:.4f}"),
    ]  # fmt: skip
    text = f"Intervals: {intervals.made}.\n\n{_temperature_text(evaluated)}"
    matrix = Picture(
        figures.confusion_matrix_figure(scores),
        "Confusion matrix. Shade and percentage are shares of the true class, the count stands below.",
        "confusion_matrix",
    )
    reliability = Picture(
        figures.reliability_figure(scores),
        "Reliability: accuracy against confidence. On the dashed line, confidence can be taken at its word.",
        "reliability",
    )
    pictures = [matrix, reliability] if "confusion_matrix" in wanted else [reliability]
    return Section("Performance Metrics", text, facts, figures=pictures)


def _accuracy(name: str, scores: Evaluation) -> list[Fact]:
    """Return the facts on accuracy: with its interval, and against what no model at all would score."""
    ranges, gain = scores.intervals, scores.accuracy - scores.majority.accuracy
    return [
        Fact(f"{name} Accuracy", f"{scores.accuracy:.4f}", f"95 % {_between(ranges.accuracy)}, n = {scores.n:,}"),
        Fact("Balanced Accuracy", f"{scores.balanced_accuracy:.4f}", f"95 % {_between(ranges.balanced_accuracy)}"),
        Fact("Improvement", f"{gain:+.4f}", "accuracy over the majority baseline"),
        *(
            Fact(f"{kind} Baseline", f"{base.accuracy:.4f}", f"{base.made}; macro-F1 {base.macro_f1:.4f}")
            for kind, base in (("Majority", scores.majority), ("Stratified", scores.stratified))
        ),
    ]


def _temperature_text(evaluated: RunEvaluation) -> str:
    fitted = evaluated.temperature
    if fitted is None:
        return "Temperature 1: there were no validation windows to fit one on."
    return (
        f"Temperature {fitted.value:.3f}, fitted on the {fitted.n:,} windows of validation subjects "
        f"{', '.join(fitted.groups)} with the best epoch's weights (log loss {fitted.log_loss_before:.4f} to "
        f"{fitted.log_loss_after:.4f} there)."
    )


def _per_class(evaluated: RunEvaluation) -> Section:
    scores = evaluated.evaluation
    table = Table(
        ["class", "precision", "recall", "F1", "support", "predicted"],
        [[s.name, s.precision, s.recall, s.f1, s.support, s.predicted] for s in scores.per_class],
    )
    picture = Picture(figures.per_class_figure(scores), "Precision, recall and F1 of every class.", "per_class")
    return Section("Per-Class Performance", tables=[table], figures=[picture])


def _per_subject(evaluated: RunEvaluation) -> Section:
    table = Table(
        ["subject", "windows", "accuracy", "macro-F1"],
        [[s.subject, s.n, s.accuracy, s.macro_f1] for s in evaluated.evaluation.per_subject],
    )
    return Section("Per-Subject Performance", tables=[table])


def _code_book(evaluated: RunEvaluation) -> Section:
    codes = evaluated.evaluation.codes
    if codes is None:
        return Section("Code Book", "No codes were recorded.")
    facts = [
        Fact("Codes Used", f"{codes.used} of {codes.n_codes}"),
        Fact("Perplexity", f"{codes.perplexity:.1f}", "codes in even use that would be as spread"),
        Fact("Purity", f"{codes.purity:.4f}", "windows that carry their code's most frequent class"),
    ]
    rows: list[list[Cell]] = [
        [str(e.code), e.label, e.purity, e.support, ", ".join(f"{k} {n}" for k, n in e.classes.items())]
        for e in codes.entries[:MOST_CODES_SHOWN]
    ]
    caption = f"The {len(rows)} most frequent codes"
    return Section(
        "Code Book", facts=facts, tables=[Table(["code", "class", "purity", "support", "classes"], rows, caption)]
    )


def _data_quality(evaluated: RunEvaluation) -> Section:
    index, lost = evaluated.windows.index, evaluated.predictions.n_unusable
    shape = f"({evaluated.evaluation.n}, {len(evaluated.run.preprocess.channels)}, {index.window_samples})"
    channels = evaluated.predictions.channels
    quality, training = evaluated.quality, evaluated.run.record.data.quality_score
    findings = [f"- {channel.name}: {channel.finding}." for channel in channels if channel.finding]
    findings += [f"- {line}." for line in quality.lines]
    facts = [
        Fact("QA Status", "findings" if findings or lost else "pass",
             "limits of fsq-edge data qa, and the training split"),
        Fact("Quality Score", f"{quality.quality_score:.1f}",
             "0 to 100; " + ("training data not checked" if training is None else f"training data {training:.1f}")),
        Fact("Data Shape", shape, "windows, channels, samples"),
        Fact("Unusable Windows", f"{lost:,} of {len(index):,}", "values missing beyond repair"),
    ]  # fmt: skip
    text = (
        "Scored windows carry one label and lie inside one recording. Counted but not scored in this part: "
        f"{index.n_mixed:,} windows with more than one label and {index.n_unlabelled:,} without a label."
    )
    table = Table(
        ["channel", "unit", "missing %", "shift", "spread", "clipped %"],
        [[c.name, c.unit, 100 * c.missing, c.shift, c.spread, 100 * c.clipped] for c in channels],
        "Shift and spread in the training split's standard deviation; healthy other subjects stay within 1.5 and "
        "between 0.5 and 2.3",
    )
    return Section("Data Quality", "\n\n".join([text, "\n".join(findings)]), facts, [table])


def _between(interval: Interval) -> str:
    return f"{interval.low:.3f} to {interval.high:.3f}"
