"""A benchmark result as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fsq_edge.report.document import Cell, Section, Table
from fsq_edge.report.html import render
from fsq_edge.report.parts import Fact, Picture, Verdict, shown_time
from fsq_edge_benchmarks.bench.charts import distribution_figure, stages_figure
from fsq_edge_benchmarks.bench.result import BenchResult, ModeResult, PairResult
from fsq_edge_benchmarks.bench.tables import bench_sections
from fsq_edge_benchmarks.measure.distribution import duration

METHOD = ("Timed", "Bare", "Notes")  # sections of the terminal that are one on the page


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
    parts = bench_sections(result)
    shared = [
        replace(part, tables=[_without_bars(table) for table in part.tables], figures=pictures.get(part.heading, ()))
        for part in parts
        if part.heading not in METHOD
    ]
    method = "\n\n".join(f"**{part.heading}**\n\n{part.text}" for part in parts if part.heading in METHOD)
    summary = Section("Summary", facts=[_fact(run) for run in result.runs])
    subtitle = f"{result.bundle.name}, {shown_time(result.made)}" + (", quick: few samples" if result.quick else "")
    return render(
        "Benchmark",
        [summary, *shared, Section("How it was measured", method), _machine(result)],
        subtitle=subtitle,
        verdict=_verdict(result),
    )


def _without_bars(table: Table) -> Table:
    """Return a table of stages without its bars of letters, which the page draws as a chart."""
    if table.columns[0] != "stage":
        return table
    return replace(table, columns=table.columns[:-1], rows=[row[:-1] for row in table.rows])


def _verdict(result: BenchResult) -> Verdict:
    """Return whether the runs can be believed and the gate holds, with the first run's cost of a decision."""
    first = result.runs[0]
    cost = f"{first.mode} on {first.backend}: {_fact(first).value}, median {_median(first)}."
    worse = [line for line in result.comparison.lines if line.verdict == "regressed"] if result.comparison else []
    if worse:
        which = ", ".join(f"{line.mode} on {line.backend} {line.change:+.1%}" for line in worse)
        return Verdict("bad", "slower than the baseline", f"{which}. {cost}")
    disturbed = [f"{run.mode} on {run.backend}" for run in result.runs if not run.valid]
    which = "every run" if len(disturbed) == len(result.runs) else ", ".join(disturbed)
    if disturbed:
        return Verdict("warning", "not valid", f"Something disturbed the measurement ({which}), see Validity. {cost}")
    return Verdict("good", "valid", f"Nothing disturbed the measurement. {cost}")


def _fact(run: ModeResult) -> Fact:
    median = _median(run)
    value = f"{run.ratio.value:.2f} × bare" if run.ratio else median
    interval = f"95 % {run.ratio.low:.2f} to {run.ratio.high:.2f}; " if run.ratio else ""
    many = f"; {run.windows_per_s:,.0f} windows/s" if run.windows > 1 and run.windows_per_s else ""
    return Fact(f"{run.mode}, {run.backend}", value, f"{interval}median {median}{many}")


def _median(run: ModeResult) -> str:
    return "n/a" if run.ours.p50 is None else duration(run.ours.p50)


def _distributions(run: ModeResult) -> Picture:
    durations = {"ours": run.ours, **({"bare": run.bare} if run.bare else {})}
    image = distribution_figure(durations, f"Distribution of {run.mode} on {run.backend}")
    marked = any(found.p50 is not None for found in durations.values())
    tail = any(found.p99 is not None for found in durations.values())
    lines = f" Solid lines are medians{', dashed ones p99' if tail else ''}." if marked else ""
    return Picture(image, f"{run.mode} on {run.backend}.{lines}")


def _stages(runs: Sequence[ModeResult]) -> list[Picture]:
    """Draw cold starts apart from the others, which take a thousandth of their time."""
    pictures = []
    for group in ([run for run in runs if run.mode == "cold"], [run for run in runs if run.mode != "cold"]):
        # A stage named `total` is the sum of the others.
        stages = {
            f"{run.mode}, {run.backend}": {name: found for name, found in run.stages.items() if name != "total"}
            for run in group
            if any(found.p50 is not None for found in run.stages.values())
        }
        bare = {f"{run.mode}, {run.backend}": run.bare.p50 if run.bare else None for run in group}
        if stages:
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
        ["Governor", machine.governor or None],
        ["Highest clock", f"{machine.max_mhz:,} MHz" if machine.max_mhz else None],
        ["System", f"{machine.system}, Linux {machine.kernel}, {machine.architecture}"],
        ["Versions", ", ".join(f"{k} {v}" for k, v in {"Python": machine.python, **machine.versions}.items())],
        ["Network", f"{bundle.name}, encoder {bundle.encoder_sha256[:16]}"],
        ["Stream", f"{bundle.channels} channels, {bundle.sample_rate_hz:g} Hz, window {bundle.window_samples}, "
                   f"hop {bundle.hop_samples}" if bundle.hop_samples else None],
    ]  # fmt: skip
    return Section("Machine", tables=[Table(["what", "value"], rows)])
