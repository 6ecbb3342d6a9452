"""Figures of a benchmark as SVG text: distributions on a logarithmic axis, and where a decision spends its time."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from fsq_edge.report.canvas import INK, PALETTE, STYLE, legend_above, name_rows, new_figure, svg_text
from fsq_edge_benchmarks.measure.distribution import Distribution, duration

MARKED = ("p50", "p99")


def distribution_figure(durations: Mapping[str, Distribution], title: str) -> str:
    """Draw histograms over a logarithmic axis, each as shares of its samples, with the median and the p99 marked.

    Args:
        durations: name -> distribution, at most as many as the palette has colours.
        title: for readers of the page aloud.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(8.0, 2.7)
        for colour, (name, found) in zip(PALETTE, durations.items(), strict=False):
            edges, shares = found.edges(), 100 * np.asarray(found.counts) / found.samples
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35)
            axes.stairs(shares, edges, color=colour, linewidth=1.2, label=_label(name, found))
            _mark(axes, found, colour)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("time of one sample, logarithmic")
        axes.set_ylabel("% of samples")
        axes.set_ylim(0, None)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        legend_above(axes, 2)
        return svg_text(figure, title)


def stages_figure(stages: Mapping[str, Mapping[str, Distribution]], bare: Mapping[str, float | None]) -> str:
    """Draw the median of every stage, end to end, one bar a run, and the bare network's median as a line across it.

    Args:
        stages: run -> stage -> distribution.
        bare: run -> median of the bare network in microseconds, or None.
    """
    names = list(dict.fromkeys(stage for found in stages.values() for stage in found))
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(8.0, 0.5 * len(stages) + 1.3)
        for at, (run, found) in enumerate(stages.items()):
            left = 0.0
            for stage, durations in found.items():
                median = durations.p50 or 0.0
                axes.barh(at, median, 0.6, left, color=PALETTE[names.index(stage) % len(PALETTE)], alpha=0.85)
                left += median
            if (network := bare.get(run)) is not None:
                axes.vlines(network, at - 0.42, at + 0.42, color=INK, linewidth=1.6)
        for stage in names:
            axes.barh(0, 0, color=PALETTE[names.index(stage) % len(PALETTE)], label=stage)
        axes.vlines([], 0, 0, color=INK, linewidth=1.6, label="bare network")
        name_rows(axes, range(len(stages)), list(stages), "run")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value) if value else "0"))
        axes.set_xlabel("medians of the stages, end to end")
        legend_above(axes, 5)
        return svg_text(figure, "Median of every stage")


def _label(name: str, found: Distribution) -> str:
    marks = [f"{mark} {duration(value)}" for mark in MARKED if (value := getattr(found, mark)) is not None]
    return f"{name}: {', '.join([*marks, f'n = {found.samples:,}'])}"


def _mark(axes: Axes, found: Distribution, colour: str) -> None:
    for name, style in zip(MARKED, ("-", (0, (4, 3))), strict=True):
        value: float | None = getattr(found, name)
        if value is not None:
            axes.axvline(value, color=colour, linewidth=1.0, linestyle=style)
