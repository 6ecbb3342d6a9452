"""Figures of a report as SVG text for inlining: confusion, classes, learning curves, reliability, a streamed timeline.

Each function returns one ``<svg>`` element. Text and axes are drawn in ``currentColor``, so a page's own text colour
shows through on a light and on a dark ground. Only matplotlib's figure objects are used: no pyplot, no global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fsq_edge.evaluation.metrics import Evaluation
from fsq_edge.evaluation.reliability import ReliabilityBin
from fsq_edge.report.canvas import INK, PALETTE, STYLE, legend_above, name_rows, new_figure, svg_text
from fsq_edge.report.palette import class_color, class_hatch
from fsq_edge_runtime.arrays import Float64Array, Int64Array

MOST_CLASSES_WITH_NUMBERS = 20  # beyond, the numbers in the cells of a confusion matrix cannot be read


def confusion_matrix_figure(evaluation: Evaluation) -> str:
    """Draw the confusion matrix: shade and percentage are shares of a true class, the count stands below."""
    counts, classes = evaluation.confusion, evaluation.classes
    k = len(classes)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = float(np.clip(0.6 * k + 1.6, 3.2, 11.0))
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(size + 0.6, size)
        _shade(axes, share)
        if k <= MOST_CLASSES_WITH_NUMBERS:
            _write_counts(axes, counts, share)
        axes.set_xticks(range(k), classes, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(k), classes)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        return svg_text(figure, f"Confusion matrix of {k} classes")


def per_class_figure(evaluation: Evaluation) -> str:
    """Draw precision, recall and F1 of every class as horizontal bars, with the support beside the name."""
    scores = evaluation.per_class
    at = np.arange(len(scores))
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(6.4, 0.5 * len(scores) + 1.1)
        for offset, name in ((-0.26, "precision"), (0.0, "recall"), (0.26, "f1")):
            values = [getattr(score, name) for score in scores]
            color = PALETTE[("precision", "recall", "f1").index(name)]
            axes.barh(at + offset, values, height=0.24, color=color, label="F1" if name == "f1" else name)
        name_rows(axes, at, [f"{score.name} (n = {score.support})" for score in scores], "class")
        axes.set(xlim=(0, 1), xlabel="score, 0 to 1")
        legend_above(axes, 3)
        return svg_text(figure, "Precision, recall and F1 of every class")


def learning_curves_figure(history: Sequence[Mapping[str, float]]) -> str:
    """Draw a training history: losses to the left, scores to the right.

    Args:
        history: one mapping an epoch. Keys that end in ``loss`` are losses; ``accuracy`` and ``macro_f1`` (with or
            without a prefix such as ``val_``) are scores; others are left out. ``epoch`` counts from 1 if missing.
    """
    names = sorted({name for entry in history for name, value in entry.items() if isinstance(value, int | float)})
    losses = [name for name in names if name.endswith("loss")]
    scores = [name for name in names if name.endswith(("accuracy", "macro_f1"))]
    epochs = [entry.get("epoch", i + 1) for i, entry in enumerate(history)]
    validated = [at for at, entry in zip(epochs, history, strict=True) if any(n.startswith("val_") for n in entry)]
    last = max(epochs, default=0)
    refit = max(validated) + 1 if validated and max(validated) < last else None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.0, 2.9), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axes, chosen, title in ((left, losses, "loss"), (right, scores, "score")):
            for color, name in zip(PALETTE, chosen, strict=False):
                points = [(entry.get("epoch", i + 1), entry[name]) for i, entry in enumerate(history) if name in entry]
                axes.plot(
                    *zip(*points, strict=True),
                    color=color,
                    label=name.replace("_", " ").replace("macro f1", "macro-F1"),
                    linewidth=1.6,
                )
            if refit is not None:
                axes.axvspan(refit - 0.5, last + 0.5, color="#7F7F7F", alpha=0.15, linewidth=0, label="refit")
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.set_ylabel(title)
            axes.grid(visible=True)
            if chosen:
                axes.legend()
        return svg_text(figure, "Loss and scores over the epochs of training")


def reliability_figure(evaluation: Evaluation) -> str:
    """Draw the reliability diagram: accuracy against confidence in bins of equal width and of equal mass."""
    result = evaluation.reliability
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.5, 4.5), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
        top.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        _bars(top, result.equal_width)
        filled = [part for part in result.equal_mass if part.n]
        label = f"equal mass, ECE {result.ece_equal_mass:.3f}"
        top.plot(
            [part.confidence for part in filled],
            [part.accuracy for part in filled],
            "o-",
            color=PALETTE[5],
            markersize=3.5,
            linewidth=1.2,
            label=label,
        )
        top.bar(0, 0, color=PALETTE[0], alpha=0.6, label=f"equal width, ECE {result.ece:.3f}")
        top.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
        legend_above(top, 1)
        width = [part.high - part.low for part in result.equal_width]
        low = [part.low for part in result.equal_width]
        bottom.bar(low, [part.n for part in result.equal_width], width, align="edge", color="#88888888")
        bottom.set(xlabel="confidence", ylabel="windows")
        return svg_text(figure, "Reliability diagram: accuracy against confidence")


def timeline_figure(
    decisions: Sequence[Mapping[str, object]],
    truth: Sequence[tuple[float, float, str]],
    classes: Sequence[str],
) -> str:
    """Draw the labels that a stream reported against the true ones.

    A decision is drawn from its ``t_end``, the moment it can be known, until the next one, at most one hop; windows
    that abstained (label None) stay empty and ``unknown`` is grey.

    Args:
        decisions: mappings with ``t_start``, ``t_end`` (s), ``label`` and ``raw_label`` (text or None), in order.
        truth: (begin s, end s, label) stretches in order.
        classes: K names; they fix the colors.
    """
    look: dict[str, dict[str, Any]] = {
        name: {"facecolor": class_color(i), "hatch": class_hatch(i) or None, "edgecolor": "#FFFFFF", "linewidth": 0}
        for i, name in enumerate(classes)
    }
    rows = {
        "true": list(truth),
        "window": stretches(decisions, "raw_label"),
        "decision": stretches(decisions, "label"),
    }
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(9.0, 2.3 + 0.2 * ((len(classes) - 1) // 5))
        for at, spans in enumerate(rows.values()):
            for begin, end, label in spans:
                own = look.get(label, {"facecolor": "#88888866", "linewidth": 0})
                axes.broken_barh([(begin, end - begin)], (at - 0.38, 0.76), **own)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set(xlabel="time, s", ylabel="label")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        shown = [name for name in classes if any(name == label for spans in rows.values() for _, _, label in spans)]
        for name in shown:
            axes.barh(0, 0, label=name, **look[name])
        if shown:
            legend_above(axes, 5)
        return svg_text(figure, "True and predicted labels over time")


def stretches(decisions: Sequence[Mapping[str, object]], key: str) -> list[tuple[float, float, str]]:
    """Return (begin s, end s, label) for the time that each decision stands; equal neighbours are joined.

    Args:
        decisions: as for ``timeline_figure``.
        key: ``label`` or ``raw_label``; None there leaves a hole.
    """
    ends = [_seconds(decision["t_end"]) for decision in decisions]
    steps = [b - a for a, b in pairwise(ends) if b > a]
    hop = float(np.median(steps)) if steps else 0.0
    spans: list[tuple[float, float, str]] = []
    for i, decision in enumerate(decisions):
        label = decision.get(key)
        if label is None:
            continue
        until = min(ends[i + 1], ends[i] + hop * 1.5) if i + 1 < len(ends) else ends[i] + hop
        if spans and spans[-1][2] == label and spans[-1][1] >= ends[i]:
            spans[-1] = (spans[-1][0], until, str(label))
        else:
            spans.append((ends[i], until, str(label)))
    return spans


def _seconds(value: object) -> float:
    if not isinstance(value, int | float):
        raise ValueError(f"a time must be a number of seconds, got {value!r}")  # noqa: TRY004 - a wrong value
    return float(value)


def _shade(axes: Axes, share: Float64Array) -> None:
    """Paint cells (K, K) with shares as opacity, so that an empty cell is the page's own ground."""
    colors = np.empty((*share.shape, 4))
    colors[..., :3] = to_rgb(PALETTE[0])
    colors[..., 3] = share
    axes.imshow(colors, interpolation="none")


def _write_counts(axes: Axes, counts: Int64Array, share: Float64Array) -> None:
    for row, column in np.argwhere(counts):
        shade = float(share[row, column])
        text = f"{100 * shade:.0f} %\n{counts[row, column]}"
        axes.text(column, row, text, ha="center", va="center", color="white" if shade > 0.55 else INK)


def _bars(axes: Axes, bins: Sequence[ReliabilityBin]) -> None:
    filled = [part for part in bins if part.n]
    axes.bar(
        [part.low for part in filled],
        [part.accuracy for part in filled],
        [part.high - part.low for part in filled],
        align="edge",
        color=PALETTE[0],
        alpha=0.6,
        edgecolor="#ffffff88",
    )
