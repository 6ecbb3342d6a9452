"""What ``fsq-edge bench`` found, as sections that the terminal and the page share; their tables fit 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from fsq_edge.report.document import Cell, Section, Table
from fsq_edge.report.terminal import Shown, section_lines
from fsq_edge_benchmarks.bench.result import BenchResult, Comparison, ModeResult, PairResult
from fsq_edge_benchmarks.measure.distribution import MINIMUM_SAMPLES, RANKS, Distribution, duration

PERCENTILES: Final = tuple(RANKS)
BAR_COLUMNS: Final = 16
RATIO_IS: Final = "ours and the bare network in turns in one process: medians, their ratio with a bootstrap interval"
VALID_IS: Final = (
    "A run is valid when the core was there all the time and as fast at its end as at its beginning, by the process's "
    "CPU time, the kernel's counters and a calibrated loop beside the run."
)


def result_lines(result: BenchResult) -> Iterator[Shown]:
    """Yield what a person wants to see of a result."""
    machine = result.machine
    yield f"{result.bundle.name} on {machine.text()}"
    yield ", ".join(f"{name} {version}" for name, version in machine.versions.items()) + "\n"
    for section in bench_sections(result):
        yield from section_lines(section)


def comparison_lines(comparison: Comparison) -> Iterator[Shown]:
    """Yield what a person wants to see of a comparison."""
    return section_lines(_comparison(comparison))


def bench_sections(result: BenchResult) -> list[Section]:
    """Return the sections of a result, without pictures."""
    runs = result.runs
    needed = ", ".join(f"p{rank:g} {count:,}" for rank, count in MINIMUM_SAMPLES.items())
    missing = f"A dash: too few samples; needed: {needed}"
    reasons = _said(runs, lambda run: run.reasons) or "Nothing disturbed these runs."
    sections = [
        Section("Latency", missing, tables=[_latency(runs), _ratios(runs)]),
        Section("Stages", tables=[_stages(run) for run in runs if run.stages]),
        *([_networks(result, result.small)] if result.small else []),
        *([_pair(result.pair)] if result.pair else []),
        *([_comparison(result.comparison)] if result.comparison else []),
        Section("Resources", tables=[_resources(runs)]),
        Section("Timed", _said(runs, lambda run: [run.sample])),
        Section("Bare", _said(runs, lambda run: [run.bare_is])),
        Section("Notes", _said(runs, lambda run: run.notes)),
        Section("Validity", f"{VALID_IS}\n\n{reasons}"),
        Section("Placement", result.placement),
    ]
    return [section for section in sections if section.text or section.tables]


def _said(runs: Sequence[ModeResult], texts: Callable[[ModeResult], Sequence[str]]) -> str:
    """Return a list of what is said of runs, each text once, behind the runs that it is said of."""
    said: dict[str, list[str]] = {}
    for run in runs:
        for text in texts(run):
            said.setdefault(text, []).append(f"{run.mode} {run.backend}")
    return "\n".join(f"- {', '.join(who)}: {text}" for text, who in said.items())


def _latency(runs: Sequence[ModeResult]) -> Table:
    rows: list[list[Cell]] = []
    for run in runs:
        rows.append([run.mode, run.backend, "ours", *_cells(run.ours)])
        if run.bare:
            rows.append(["", "", "bare", *_cells(run.bare)])
    return Table(["mode", "backend", "", *PERCENTILES, "most", "n"], rows, "latency")


def _ratios(runs: Sequence[ModeResult]) -> Table:
    rows: list[list[Cell]] = [
        [
            run.mode,
            run.backend,
            _text(run.ours.p50),
            _text(run.bare.p50) if run.bare else None,
            f"{run.ratio.value:.2f}" if run.ratio else None,
            f"{run.ratio.low:.2f} to {run.ratio.high:.2f}" if run.ratio else None,
            f"{run.windows_per_s:,.0f}" if run.windows_per_s else None,
            "yes" if run.valid else "NO",
        ]
        for run in runs
    ]
    return Table(["mode", "backend", "ours", "bare", "ratio", "95 %", "windows/s", "valid"], rows, RATIO_IS)


def _networks(result: BenchResult, small: ModeResult) -> Section:
    """Return the bundle's network beside a small one: the microseconds added stay, the ratio depends on the network."""
    own = next(run for run in result.runs if (run.mode, run.backend) == ("single", "onnx"))
    rows: list[list[Cell]] = [
        [
            name,
            _text(run.ours.p50),
            _text(run.bare.p50) if run.bare else None,
            _text(run.added_us.value) if run.added_us else None,
            f"{run.ratio.value:.2f}" if run.ratio else None,
            _ratio_of_p99(run),
            "yes" if run.valid else "NO",
        ]
        for name, run in ((result.bundle.name, own), ("a small network", small))
    ]
    columns = ["network", "ours", "bare", "added", "p50 ratio", "p99 ratio", "valid"]
    return Section("Networks", tables=[Table(columns, rows, "single on onnx, with the same frames: medians")])


def _ratio_of_p99(run: ModeResult) -> str | None:
    bare = run.bare.p99 if run.bare else None
    return f"{run.ours.p99 / bare:.2f}" if run.ours.p99 and bare else None


def _stages(run: ModeResult) -> Table:
    """Return a run's stages, each with a bar as long as its median; ``total`` is their sum without ingest and sink."""
    medians = {name: found.p50 or 0.0 for name, found in run.stages.items() if name != "total"}
    most = max(medians.values(), default=0.0) or 1.0
    rows: list[list[Cell]] = [
        [stage, *_cells(found), "█" * round(BAR_COLUMNS * medians.get(stage, 0.0) / most)]
        for stage, found in run.stages.items()
    ]
    return Table(["stage", *PERCENTILES, "most", "n", ""], rows, f"stages of {run.mode} on {run.backend}")


def _pair(pair: PairResult) -> Section:
    low, high = pair.ratio.low, pair.ratio.high
    verdict = "as fast as A" if low <= 1.0 <= high else "slower than A" if low > 1.0 else "faster than A"
    text = [f"B / A {pair.ratio.value:.3f} (95 % {low:.3f} to {high:.3f}): B is {verdict}", ""]
    text += [f"- A: {pair.a}", f"- B: {pair.b}", *(f"- not valid: {reason}" for reason in pair.reasons)]
    rows: list[list[Cell]] = [["A", *_cells(pair.a_us)], ["B", *_cells(pair.b_us)]]
    return Section("Pair", "\n".join(text), tables=[Table(["", *PERCENTILES, "most", "n"], rows, pair.how)])


def _comparison(comparison: Comparison) -> Section:
    rows: list[list[Cell]] = [
        [line.mode, line.backend, line.before, line.after, f"{line.change:+.1%}",
         line.verdict + ("" if line.valid else ", disturbed")]
        for line in comparison.lines
    ]  # fmt: skip
    limit = "" if comparison.max_regress is None else f", limit {comparison.max_regress:+.0%}"
    caption = f"ratio to the bare network, before and after{limit}"
    table = Table(["mode", "backend", "before", "after", "change", "verdict"], rows, caption)
    return Section("Comparison", "\n".join(f"- {note}" for note in comparison.notes), tables=[table])


def _resources(runs: Sequence[ModeResult]) -> Table:
    columns = ["mode", "backend", "CPU", "RSS MB", "°C", "MHz", "W", "preempted", "spin"]
    rows: list[list[Cell]] = []
    for run in runs:
        used = run.resources
        rows.append(
            [
                run.mode,
                run.backend,
                _text(run.cpu_us),
                None if used.rss_mb is None else f"{used.rss_mb:.0f}",
                _change(used.temperature_c),
                _change(used.clock_mhz),
                None if used.power_w is None else f"{used.power_w:.1f}",
                used.preemptions,
                None if run.spin is None else f"{run.spin.slowdown:.2f} x",
            ]
        )
    return Table(columns, rows, "used meanwhile, CPU time a window; spin: the loop beside the run, against a calm one")


def _cells(found: Distribution) -> list[Cell]:
    """Return durations as text; what the samples do not support is None, which is shown as a dash."""
    values: list[float | None] = [getattr(found, name.replace(".", "_")) for name in PERCENTILES]
    return [*map(_text, values), duration(found.maximum), found.samples]


def _text(us: float | None) -> str | None:
    return None if us is None else duration(us)


def _change(pair: tuple[float, float] | None) -> str | None:
    return None if pair is None else f"{pair[0]:g}-{pair[1]:g}"
