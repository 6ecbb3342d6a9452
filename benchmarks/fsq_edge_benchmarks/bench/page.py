"""A benchmark result as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fsq_edge.report.document import Cell, Fact, Picture, Section, Table
from fsq_edge.report.html import render
from fsq_edge_benchmarks.bench.charts import distribution_figure, stages_figure
from fsq_edge_benchmarks.bench.modes.stages import NOTE
from fsq_edge_benchmarks.bench.result import BenchResult, Comparison, ModeResult, PairResult
from fsq_edge_benchmarks.measure.distribution import RANKS, Distribution, duration
from fsq_edge_benchmarks.measure.percentiles import MINIMUM_SAMPLES
from fsq_edge_benchmarks.measure.ratio import interval_text

PERCENTILES = tuple(RANKS)
STAGES_ARE = NOTE.removeprefix("stages: ").replace("total", "Total", 1) + "."


def bench_page(result: BenchResult) -> str:
    """Return the page.

    Raises:
        UnavailableError: Jinja2 is not installed.
    """
    needed = ", ".join(f"p{rank:g} {count:,}" for rank, count in MINIMUM_SAMPLES.items())
    sections = [
        Section("Summary", facts=[_fact(run) for run in result.runs]),
        Section(
            "Latency",
            f"A percentile is shown where the samples support it at 99 % confidence ({needed}), else a dash. "
            "The ratio is the median of ours over the median of the comparison, both taken in turns in one process; "
            "its interval is a bootstrap over blocks of neighbouring samples.",
            tables=[_latency(result.runs)],
            figures=[_distributions(run) for run in result.runs],
        ),
        *_stages(result.runs),
        *([_pair(result.pair)] if result.pair else []),
        *([_comparison(result.comparison)] if result.comparison else []),
        Section("Validity", _validity(result)),
        Section("Resources", "\n".join(_notes(result)), tables=[_resources(result.runs)]),
        _machine(result),
    ]
    made = f"{result.bundle.name}, {result.made}" + (", quick: few samples" if result.quick else "")
    disturbed = [f"{run.mode} on {run.backend}" for run in result.runs if not run.valid]
    which = "every run" if len(disturbed) == len(result.runs) else ", ".join(disturbed)
    notice = f"Not valid, because something disturbed the measurement: {which}. See Validity."
    return render("Benchmark", sections, subtitle=made, notices=[notice] if disturbed else [])


def _fact(run: ModeResult) -> Fact:
    median = "n/a" if run.ours.p50 is None else duration(run.ours.p50)
    value = f"{run.ratio.value:.2f} x bare" if run.ratio else median
    interval = f"95 % {run.ratio.low:.2f} to {run.ratio.high:.2f}; " if run.ratio else ""
    many = f"; {run.windows_per_s:,.0f} windows/s" if run.windows > 1 and run.windows_per_s else ""
    return Fact(f"{run.mode}, {run.backend}", value, f"{interval}median {median}{many}")


def _latency(runs: Sequence[ModeResult]) -> Table:
    rows: list[list[Cell]] = []
    for run in runs:
        rows.append([run.mode, run.backend, "ours", *_cells(run.ours), interval_text(run.ratio) if run.ratio else None])
        if run.bare:
            rows.append(["", "", "bare", *_cells(run.bare), ""])
    return Table(["mode", "backend", "", *PERCENTILES, "maximum", "samples", "ratio (95 %)"], rows)


def _distributions(run: ModeResult) -> Picture:
    durations = {"ours": run.ours, **({"bare": run.bare} if run.bare else {})}
    image = distribution_figure(durations, f"Distribution of {run.mode} on {run.backend}")
    sides = f"Ours: {run.sample}. Bare: {run.bare_is}."
    caption = f"{run.mode} on {run.backend}. {sides} Solid lines are medians, dashed ones p99."
    return Picture(image, caption, f"{run.mode}_{run.backend}")


def _stages(runs: Sequence[ModeResult]) -> Iterator[Section]:
    staged = {f"{run.mode}, {run.backend}": run for run in runs if run.stages}
    if not staged:
        return
    # A stage named `total` is the sum of the others.
    stages = {name: {k: v for k, v in run.stages.items() if k != "total"} for name, run in staged.items()}
    rows: list[list[Cell]] = [
        [name, stage, *_cells(found)] for name, run in staged.items() for stage, found in run.stages.items()
    ]
    groups = [{name for name in staged if name.startswith("cold")}, {n for n in staged if not n.startswith("cold")}]
    figures = [
        Picture(
            stages_figure(
                {name: stages[name] for name in staged if name in group},
                {name: run.bare.p50 if run.bare else None for name, run in staged.items()},
            ),
            "Medians end to end; the line is the median of the comparison.",
        )
        for group in groups
        if group
    ]
    text = STAGES_ARE if any(NOTE in run.notes for run in staged.values()) else ""
    table = Table(["run", "stage", *PERCENTILES, "maximum", "samples"], rows)
    yield Section("Stages", text, tables=[table], figures=figures)


def _pair(pair: PairResult) -> Section:
    facts = [
        Fact(f"{pair.b} over {pair.a}", f"{pair.ratio.value:.3f} x", f"95 % {interval_text(pair.ratio)}; {pair.how}")
    ]
    rows: list[list[Cell]] = [[name, *_cells(found)] for name, found in _sides(pair).items()]
    table = Table(["", *PERCENTILES, "maximum", "samples"], rows)
    picture = Picture(distribution_figure(_sides(pair), "Distributions of the pair"), "Solid: medians; dashed: p99.")
    text = "\n".join(f"- not valid: {reason}" for reason in pair.reasons)
    return Section("Pair", text, facts, [table], [picture])


def _sides(pair: PairResult) -> dict[str, Distribution]:
    return {f"A: {pair.a}": pair.a_us, f"B: {pair.b}": pair.b_us}


def _comparison(comparison: Comparison) -> Section:
    rows: list[list[Cell]] = [
        [
            line.mode,
            line.backend,
            line.before,
            line.after,
            f"{line.change:+.1%}",
            line.verdict,
            "yes" if line.valid else "no",
        ]
        for line in comparison.lines
    ]
    limit = comparison.max_regress
    text = "\n".join(
        [f"Ratios before and after{'' if limit is None else f'; they may grow by {limit:.0%}'}.", ""]
        + [f"- {note}" for note in comparison.notes]
    )
    return Section(
        "Comparison",
        text,
        tables=[Table(["mode", "backend", "before", "after", "change", "verdict", "undisturbed"], rows)],
    )


def _validity(result: BenchResult) -> str:
    text = (
        "A run is valid when the core was there all the time and as fast at its end as at its beginning, by the "
        "process's CPU time, the kernel's counters and a calibrated loop beside the run."
    )
    reasons = [f"- {run.mode}, {run.backend}: {'; '.join(run.reasons)}" for run in result.runs if run.reasons]
    return f"{text}\n\n" + ("\n".join(reasons) or "Nothing disturbed these runs.")


def _resources(runs: Sequence[ModeResult]) -> Table:
    columns = ["mode", "backend", "CPU a window", "windows/s", "RSS MB", "degrees C", "MHz", "W", "preempted", "spin"]
    rows: list[list[Cell]] = []
    for run in runs:
        used = run.resources
        rows.append(
            [
                run.mode,
                run.backend,
                None if run.cpu_us is None else duration(run.cpu_us),
                None if run.windows_per_s is None else f"{run.windows_per_s:,.0f}",
                None if used.rss_mb is None else f"{used.rss_mb:.0f}",
                _change(used.temperature_c),
                _change(used.clock_mhz),
                None if used.power_w is None else f"{used.power_w:.2f}",
                used.preemptions,
                None if run.spin is None else f"{run.spin.slowdown:.2f} x calm",
            ]
        )
    return Table(columns, rows, "A dash: not readable on this machine")


def _notes(result: BenchResult) -> Iterator[str]:
    for run in result.runs:
        yield from (f"- {run.mode}, {run.backend}: {note}" for note in run.notes if note != NOTE)
    if result.placement:
        yield f"- placement: {result.placement}"


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
                   f"hop {bundle.hop_samples}"],
    ]  # fmt: skip
    return Section("Machine", tables=[Table(["", "value"], rows)])


def _cells(found: Distribution) -> list[Cell]:
    """Return durations as text; what the samples do not support is None, which the page shows as a dash."""
    values: list[float | None] = [getattr(found, name.replace(".", "_")) for name in PERCENTILES]
    shown = [None if value is None else duration(value) for value in values]
    return [*shown, duration(found.maximum), f"{found.samples:,}"]


def _change(pair: tuple[float, float] | None) -> str | None:
    return None if pair is None else f"{pair[0]:g} to {pair[1]:g}"
