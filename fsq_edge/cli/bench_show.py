"""What ``fsq-edge bench`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.table import Table

from fsq_edge.cli.output import table

if TYPE_CHECKING:
    from fsq_edge_benchmarks.distribution import Distribution
    from fsq_edge_benchmarks.result import BenchResult, Comparison, ModeResult, PairResult

PERCENTILES: Final = ("p50", "p90", "p95", "p99", "p99.9")


def result_lines(result: BenchResult) -> Iterator[str | Table]:
    """Yield what a person wants to see of a result."""
    yield escape(f"{result.bundle.name} on {result.machine.text()}")
    yield ""
    yield table(
        "latency (us) and throughput; n/a (N): a percentile that needs N samples",
        ["mode", "backend", *PERCENTILES, "bare p50", "ratio (95 %)", "windows/s", "CPU us", "samples"],
        [_row(run) for run in result.runs],
    )
    for run in result.runs:
        if run.stages:
            yield ""
            yield _stages(run)
    if result.pair:
        yield ""
        yield from _pair(result.pair)
    yield ""
    for run in result.runs:
        yield from _remarks(run)
    yield escape(f"placement: {result.placement}")
    if result.comparison:
        yield ""
        yield from comparison_lines(result.comparison)


def comparison_lines(comparison: Comparison) -> Iterator[str | Table]:
    """Yield what a person wants to see of a comparison."""
    rows = [
        (
            line.mode,
            line.backend,
            f"{line.before:.3f}",
            f"{line.after:.3f}",
            f"{line.change:+.1%}",
            line.verdict + ("" if line.valid else ", disturbed"),
        )
        for line in comparison.lines
    ]
    limit = "" if comparison.max_regress is None else f", limit {comparison.max_regress:+.0%}"
    yield table(
        f"ratio to the bare network, before and after{limit}",
        ["mode", "backend", "before", "after", "change", "verdict"],
        rows,
    )
    for note in comparison.notes:
        yield escape(f"note: {note}")


def _row(run: ModeResult) -> list[str]:
    return [
        run.mode,
        run.backend,
        *_shown(run.ours),
        run.bare.shown("p50") if run.bare else "-",
        run.ratio.text() if run.ratio else "-",
        f"{run.windows_per_s:,.0f}" if run.windows_per_s else "-",
        f"{run.cpu_us:,.0f}" if run.cpu_us else "-",
        f"{run.ours.samples:,}",
    ]


def _stages(run: ModeResult) -> Table:
    return table(
        f"stages of {run.mode} on {run.backend} (us)",
        ["stage", *PERCENTILES],
        [[stage, *_shown(durations)] for stage, durations in run.stages.items()],
    )


def _pair(pair: PairResult) -> Iterator[str | Table]:
    yield table(
        f"{pair.a} against {pair.b}, {pair.how} (us)",
        ["", *PERCENTILES, "ratio (95 %)"],
        [[pair.a, *_shown(pair.a_us), ""], [pair.b, *_shown(pair.b_us), pair.ratio.text()]],
    )
    if pair.reasons:
        yield f"[yellow]not valid:[/yellow] {escape('; '.join(pair.reasons))}"


def _remarks(run: ModeResult) -> Iterator[str]:
    from fsq_edge_benchmarks.distribution import duration

    name = escape(f"{run.mode} {run.backend}")
    more = ""
    if run.added_us:
        low, high = duration(run.added_us.low), duration(run.added_us.high)
        more = f", {duration(run.added_us.value)} ({low} to {high}) more than"
    yield f"{name}: {escape(run.sample)}{more or '; bare is'} {escape(run.bare_is)}"
    for note in run.notes:
        yield f"{name}: {escape(note)}"
    if run.reasons:
        yield f"[yellow]{name} is not valid:[/yellow] {escape('; '.join(run.reasons))}"


def _shown(durations: Distribution) -> list[str]:
    return [durations.shown(name) for name in PERCENTILES]
