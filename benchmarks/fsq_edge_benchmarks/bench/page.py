"""A benchmark result as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from fsq_edge.report.canvas import INK, PALETTE, STYLE, legend_above, new_figure, svg_text
from fsq_edge.report.document import Cell, Fact, Picture, Section, Table
from fsq_edge.report.html import render
from fsq_edge_benchmarks.bench.result import BenchResult, ModeResult, PairResult
from fsq_edge_benchmarks.bench.tables import bench_sections
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
        axes.set_yticks(range(len(stages)), list(stages))
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value) if value else "0"))
        axes.set_xlabel("medians of the stages, end to end")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
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


def bench_page(result: BenchResult) -> str:
    """Return the page.

    Raises:
        UnavailableError: Jinja2 is not installed.
    """
    pictures = {
        "Latency": [_distributions(run) for run in result.runs],
        "Stages": _stages([run for run in result.runs if run.stages]),
        "Pair": [_pair(result.pair)] if result.pair else [],
    }
    shared = [replace(part, figures=pictures.get(part.heading, ())) for part in bench_sections(result)]
    summary = Section("Summary", facts=[_fact(run) for run in result.runs])
    made = f"{result.bundle.name}, {result.made}" + (", quick: few samples" if result.quick else "")
    disturbed = [f"{run.mode} on {run.backend}" for run in result.runs if not run.valid]
    which = "every run" if len(disturbed) == len(result.runs) else ", ".join(disturbed)
    notice = f"Not valid, because something disturbed the measurement: {which}. See Validity."
    notices = [notice] if disturbed else []
    return render("Benchmark", [summary, *shared, _machine(result)], subtitle=made, notices=notices)


def _fact(run: ModeResult) -> Fact:
    median = "n/a" if run.ours.p50 is None else duration(run.ours.p50)
    value = f"{run.ratio.value:.2f} x bare" if run.ratio else median
    interval = f"95 % {run.ratio.low:.2f} to {run.ratio.high:.2f}; " if run.ratio else ""
    many = f"; {run.windows_per_s:,.0f} windows/s" if run.windows > 1 and run.windows_per_s else ""
    return Fact(f"{run.mode}, {run.backend}", value, f"{interval}median {median}{many}")


def _distributions(run: ModeResult) -> Picture:
    durations = {"ours": run.ours, **({"bare": run.bare} if run.bare else {})}
    image = distribution_figure(durations, f"Distribution of {run.mode} on {run.backend}")
    return Picture(image, f"{run.mode} on {run.backend}. Solid lines are medians, dashed ones p99.")


def _stages(runs: Sequence[ModeResult]) -> list[Picture]:
    """Draw cold starts apart from the others, which take a thousandth of their time."""
    pictures = []
    for group in ([run for run in runs if run.mode == "cold"], [run for run in runs if run.mode != "cold"]):
        # A stage named `total` is the sum of the others.
        stages = {
            f"{run.mode}, {run.backend}": {name: found for name, found in run.stages.items() if name != "total"}
            for run in group
        }
        bare = {f"{run.mode}, {run.backend}": run.bare.p50 if run.bare else None for run in group}
        if group:
            caption = "Medians end to end; the line is the median of the comparison."
            pictures.append(Picture(stages_figure(stages, bare), caption))
    return pictures


def _pair(pair: PairResult) -> Picture:
    sides = {f"A: {pair.a}": pair.a_us, f"B: {pair.b}": pair.b_us}
    return Picture(distribution_figure(sides, "Distributions of the pair"), "Solid: medians; dashed: p99.")


def _machine(result: BenchResult) -> Section:
    machine, bundle = result.machine, result.bundle
    rows: list[list[Cell]] = [
        ["CPU", machine.cpu],
        ["Board", machine.board or None],
        ["Instruction sets", ", ".join(machine.flags) or None],
        ["Cores, memory", f"{machine.cores}, {machine.memory_mb:,} MB{', virtual machine' if machine.virtual else ''}"],
        ["Governor, highest clock", f"{machine.governor or 'not shown'}, {machine.max_mhz or 'not shown'}"],
        ["System", f"{machine.system}, Linux {machine.kernel}, {machine.architecture}"],
        ["Versions", ", ".join(f"{k} {v}" for k, v in {"Python": machine.python, **machine.versions}.items())],
        ["Network", f"{bundle.name}, encoder {bundle.encoder_sha256[:16]}"],
        ["Stream", f"{bundle.channels} channels, {bundle.sample_rate_hz:g} Hz, window {bundle.window_samples}, "
                   f"hop {bundle.hop_samples}" if bundle.hop_samples else None],
    ]  # fmt: skip
    return Section("Machine", tables=[Table(["", "value"], rows)])
