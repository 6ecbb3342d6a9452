"""Figures of a report as SVG text for inlining: confusion, classes, learning curves, reliability, a streamed timeline.

Each function returns one ``<svg>`` element. Text and axes are drawn in ``currentColor``, so a page's own text colour
shows through on a light and on a dark ground. Only matplotlib's figure objects are used: no pyplot, no global state.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fsq_edge.evaluation.metrics import Evaluation
from fsq_edge.evaluation.reliability import ReliabilityBin

# Okabe and Ito 2008: told apart with any common colour vision. Black is left out: it vanishes on a dark ground.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A800", "#7F7F7F")
INK = "#010203"  # becomes currentColor; no data colour comes near it
MOST_CLASSES_WITH_NUMBERS = 20  # beyond, the numbers in the cells of a confusion matrix cannot be read

# Any: matplotlib types its parameters by a literal of every name, which differs between releases.
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's size and colour
    "svg.hashsalt": "fsq-edge",  # the same figure gives the same bytes
    "font.size": 9,
    "font.family": "sans-serif",
    "text.parse_math": False,  # a class name may hold a dollar sign
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#88888855",
    "legend.frameon": False,
}


def confusion_matrix_figure(evaluation: Evaluation) -> str:
    """Draw the confusion matrix: shade and percentage are shares of a true class, the count stands below."""
    counts, classes = evaluation.confusion, evaluation.classes
    k = len(classes)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = float(np.clip(0.54 * k + 1.6, 3.2, 11.0))
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(size + 0.6, size)
        axes.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5), aspect="equal")
        for row in range(k):
            for column in range(k):
                shade = float(share[row, column])
                # Squares with alpha, so that an empty cell is the page's own ground.
                axes.add_patch(_square(column, row, PALETTE[0], shade))
                if counts[row, column] and k <= MOST_CLASSES_WITH_NUMBERS:
                    text = f"{100 * shade:.0f} %\n{counts[row, column]}"
                    colour = "white" if shade > 0.55 else INK
                    axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
        axes.set_xticks(range(k), classes, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(k), classes)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        return _svg(figure, f"Confusion matrix of {k} classes")


def per_class_figure(evaluation: Evaluation) -> str:
    """Draw precision, recall and F1 of every class as horizontal bars, with the support beside the name."""
    scores = evaluation.per_class
    at = np.arange(len(scores))
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(6.4, 0.5 * len(scores) + 1.1)
        for offset, name in ((-0.26, "precision"), (0.0, "recall"), (0.26, "f1")):
            values = [getattr(score, name) for score in scores]
            colour = PALETTE[("precision", "recall", "f1").index(name)]
            axes.barh(at + offset, values, height=0.24, color=colour, label="F1" if name == "f1" else name)
        axes.set_yticks(at, [f"{score.name} (n = {score.support})" for score in scores])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        _legend_above(axes, 3)
        return _svg(figure, "Precision, recall and F1 of every class")


def learning_curves_figure(history: Sequence[Mapping[str, float]]) -> str:
    """Draw a training history: losses to the left, scores to the right.

    Args:
        history: one mapping an epoch. Keys that end in ``loss`` are losses; ``accuracy`` and ``macro_f1`` (with or
            without a prefix such as ``val_``) are scores; others are left out. ``epoch`` counts from 1 if missing.
    """
    names = sorted({name for entry in history for name, value in entry.items() if isinstance(value, int | float)})
    losses = [name for name in names if name.endswith("loss")]
    scores = [name for name in names if name.endswith(("accuracy", "macro_f1"))]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.0, 2.9), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axes, chosen, title in ((left, losses, "loss"), (right, scores, "score")):
            for colour, name in zip(PALETTE, chosen, strict=False):
                points = [(entry.get("epoch", i + 1), entry[name]) for i, entry in enumerate(history) if name in entry]
                axes.plot(*zip(*points, strict=True), color=colour, label=name.replace("_", " "), linewidth=1.6)
            axes.set_xlabel("epoch")
            axes.set_ylabel(title)
            axes.grid(visible=True)
            if chosen:
                axes.legend()
        return _svg(figure, "Loss and scores over the epochs of training")


def reliability_figure(evaluation: Evaluation) -> str:
    """Draw the reliability diagram: accuracy against confidence in bins of equal width and of equal mass."""
    result = evaluation.reliability
    with mpl.rc_context(_STYLE):
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
        _legend_above(top, 1)
        width = [part.high - part.low for part in result.equal_width]
        low = [part.low for part in result.equal_width]
        bottom.bar(low, [part.n for part in result.equal_width], width, align="edge", color="#88888888")
        bottom.set(xlabel="confidence", ylabel="windows")
        return _svg(figure, "Reliability diagram: accuracy against confidence")


def timeline_figure(
    decisions: Sequence[Mapping[str, object]],
    truth: Sequence[tuple[float, float, str]],
    classes: Sequence[str],
) -> str:
    """Draw what a stream said against what was so.

    A decision is drawn from its ``t_end``, the moment it can be known, until the next one, at most one hop; windows
    that abstained (label None) stay empty and ``unknown`` is grey.

    Args:
        decisions: mappings with ``t_start``, ``t_end`` (s), ``label`` and ``raw_label`` (text or None), in order.
        truth: (begin s, end s, label) stretches in order.
        classes: K names; they fix the colours.
    """
    colour_of = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(classes)}
    rows = {
        "true": list(truth),
        "window": stretches(decisions, "raw_label"),
        "decision": stretches(decisions, "label"),
    }
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(9.0, 2.3 + 0.2 * ((len(classes) - 1) // 5))
        for at, spans in enumerate(rows.values()):
            for begin, end, label in spans:
                colour = colour_of.get(label, "#88888866")
                axes.broken_barh([(begin, end - begin)], (at - 0.38, 0.76), facecolor=colour, linewidth=0)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel("time (s)")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        shown = [name for name in classes if any(name == label for spans in rows.values() for _, _, label in spans)]
        for name in shown:
            axes.barh(0, 0, color=colour_of[name], label=name)
        if shown:
            _legend_above(axes, 5)
        return _svg(figure, "True and predicted labels over time")


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


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _square(column: int, row: int, colour: str, alpha: float) -> Rectangle:
    return Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, facecolor=colour, alpha=alpha, linewidth=0)


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


def _legend_above(axes: Axes, columns: int) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2, handlelength=1.2)


def _svg(figure: Figure, title: str) -> str:
    """Return the figure as one <svg> element on a transparent ground, with a title for readers of the page aloud."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Text stays text, so a glyph that matplotlib's font lacks is the reader's font's to draw.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    # A viewBox without width and height scales to the column it stands in.
    text = re.sub(r'^<svg ([^>]*?)width="([\d.]+)pt" height="[\d.]+pt"', r'<svg role="img" width="\2pt" \1', text)
    head, rest = text.split(">", 1)
    return f"{head}><title>{title}</title>{rest}".replace(INK, "currentColor")
