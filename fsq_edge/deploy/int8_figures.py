"""Figures of calibration and int8 as SVG text: ranges and histograms of channels, layer errors, flips, rungs."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from fsq_edge.report.canvas import PALETTE, STYLE, legend_above, name_rows, new_figure, svg_text
from fsq_edge_calibration import Distribution
from fsq_edge_calibration.distribution import shares
from fsq_edge_compile.int8.layer_errors import LayerError, short_name
from fsq_edge_compile.parity.ladder import LadderReport

TRAINING, SET = PALETTE[0], PALETTE[5]
QUANTILES = (0.001, 0.25, 0.75, 0.999)
MAX_CODES_SHOWN = 120
PANELS_A_ROW = 4


def channel_range_figure(training: Distribution, found: Distribution) -> str:
    """Draw, for every channel, extremes (line), 99.8 % (bar) and middle half (thick bar) of training and set."""
    count = len(training.channels)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(7.2, 0.42 * count + 1.0)
        for offset, color, name, described in ((-0.17, TRAINING, "training", training), (0.17, SET, "set", found)):
            spans = described.quantiles(QUANTILES)
            at = np.arange(count) + offset
            axes.hlines(
                at, [c.low for c in described.channels], [c.high for c in described.channels], color=color, lw=1
            )
            axes.barh(at, spans[:, 3] - spans[:, 0], 0.2, spans[:, 0], color=color, alpha=0.45, label=name)
            axes.barh(at, spans[:, 2] - spans[:, 1], 0.28, spans[:, 1], color=color)
        name_rows(axes, range(count), [channel.name for channel in training.channels], "channel")
        axes.set_xlabel("training sigmas")
        legend_above(axes, 2)
        return svg_text(figure, "Range of every channel, training and calibration set")


def channel_histogram_figure(training: Distribution, found: Distribution) -> str:
    """Draw the histogram of every channel, training filled and the set as a line."""
    count = len(training.channels)
    rows = -(-count // PANELS_A_ROW)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 1.8 * rows + 0.4), layout="constrained")
        panels = figure.subplots(rows, PANELS_A_ROW, squeeze=False).ravel()
        for panel, usual, now in zip(panels, training.channels, found.channels, strict=False):
            centres = np.linspace(-training.clip_sigma, training.clip_sigma, len(usual.counts))
            a = np.asarray(usual.counts) / max(sum(usual.counts), 1)
            b = np.asarray(now.counts) / max(sum(now.counts), 1)
            panel.fill_between(centres, a, color=TRAINING, alpha=0.4, lw=0.9)
            panel.plot(centres, b, color=SET, lw=0.9)
            panel.set_title(usual.name, fontsize=9)
            panel.set_yticks([])
            panel.set(xlabel="training sigmas", ylabel="density")
        for panel in panels[count:]:
            panel.set_visible(False)
        return svg_text(figure, "Histogram of every channel, training and calibration set")


def code_figure(training: Distribution, found: Distribution) -> str:
    """Draw the share of every code, most frequent in training first."""
    usual, now = shares(training.codes), shares(found.codes)
    order = sorted(usual, key=lambda code: -usual[code])[:MAX_CODES_SHOWN]
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(8.0, 2.6)
        axes.bar(range(len(order)), [usual[code] for code in order], 0.9, color=TRAINING, alpha=0.5, label="training")
        axes.plot(range(len(order)), [now.get(code, 0.0) for code in order], ".", ms=4, color=SET, label="set")
        axes.set_xlabel(f"codes, most frequent first ({len(usual)} occur in training)")
        axes.set_ylabel("share of windows")
        legend_above(axes, 2)
        return svg_text(figure, "FSQ codes, training and calibration set")


def layer_figure(errors: Sequence[LayerError]) -> str:
    """Draw the signal-to-noise ratio of every rounded tensor: alone, and of the network up to it."""
    at = np.arange(len(errors))
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(7.2, 0.42 * len(errors) + 1.0)
        axes.barh(at - 0.18, [error.own_snr_db for error in errors], 0.32, color=TRAINING, label="rounded alone")
        activations = [place for place, error in enumerate(errors) if error.kind == "activation"]
        so_far = [errors[place].snr_db for place in activations]
        axes.barh(np.asarray(activations) + 0.18, so_far, 0.32, color=SET, label="int8 network up to here")
        name_rows(axes, at, [f"{short_name(error.layer)} {error.kind}" for error in errors], "tensor")
        axes.set_xlabel("signal to rounding error, dB (more is better)")
        legend_above(axes, 2)
        return svg_text(figure, "Rounding error of every layer")


def flip_figure(rates: Sequence[float], levels: Sequence[int]) -> str:
    """Draw the share of windows whose digit flips, per FSQ dimension."""
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(1.1 * len(rates) + 1.6, 2.8)
        bars = axes.bar(range(len(rates)), [100 * rate for rate in rates], 0.6, color=TRAINING)
        axes.bar_label(bars, [f"{100 * rate:.2f} %" for rate in rates], padding=2)
        axes.set_xticks(range(len(rates)), [f"{place}\n{level} levels" for place, level in enumerate(levels)])
        axes.set_xlabel("FSQ dimension")
        axes.set_ylabel("digits that flip, %")
        axes.margins(y=0.15)
        return svg_text(figure, "Flips per FSQ dimension")


def rung_figure(ladder: LadderReport) -> str:
    """Draw code agreement above and macro-F1 with its interval below, rung by rung, each with its own gate."""
    rungs = [rung for rung in ladder.rungs if not rung.skipped]
    at = np.arange(len(rungs))
    scored = [rung.macro_f1 for rung in rungs if rung.macro_f1 is not None]
    both = len(scored) == len(rungs) and bool(rungs)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.2 * len(rungs) + 2.2, 4.2 if both else 2.4), layout="constrained")
        panels = figure.subplots(2 if both else 1, 1, sharex=True, squeeze=False)[:, 0]
        panels[0].plot(at, [100 * (rung.code_agreement or 0) for rung in rungs], "o-", color=TRAINING)
        panels[0].axhline(100 * ladder.gates.min_code_agreement, color=SET, lw=1, ls="--")
        panels[0].set_ylabel("codes that agree, %")
        if both:
            values = np.asarray([[score.value, score.low, score.high] for score in scored]) * 100
            spread = np.abs(values[:, 1:] - values[:, :1]).T
            panels[1].errorbar(at, values[:, 0], spread, fmt="s", color=TRAINING, capsize=3)
            panels[1].axhline(values[0, 0] - ladder.gates.max_drop_points, color=SET, lw=1, ls="--")
            panels[1].set_ylabel("macro-F1, %")
        for panel in panels:
            panel.grid(axis="y")
        panels[-1].set_xticks(at, [rung.name for rung in rungs])
        panels[-1].set_xlabel("rung")
        return svg_text(figure, "Parity ladder")
