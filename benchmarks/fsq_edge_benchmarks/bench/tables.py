"""What ``fsq-edge bench`` prints: tables that fit 80 columns, and below them what they must be read with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from fsq_edge_benchmarks.bench.result import BenchResult, Comparison, ModeResult, PairResult
from fsq_edge_benchmarks.measure.distribution import RANKS, Distribution, duration
from fsq_edge_benchmarks.measure.percentiles import MINIMUM_SAMPLES

PERCENTILES: Final = ("p50", "p90", "p95", "p99", "p99.9")
BAR_COLUMNS: Final = 16
NONE: Final = "-"
Shown = str | Table | Text


def result_lines(result: BenchResult) -> Iterator[Shown]:
    """Yield what a person wants to see of a result."""
    machine = result.machine
    yield Text(f"{result.bundle.name} on {machine.text()}")
    yield Text(", ".join(f"{name} {version}" for name, version in machine.versions.items()), style="dim")
    yield ""
    yield _columns("latency", ["mode", "backend", *PERCENTILES, "samples"], [_latency(run) for run in result.runs])
    yield from _missing([run.ours for run in result.runs])
    yield ""
    yield _columns(
        "against the bare network, in turns in one process (medians)",
        ["mode", "backend", "ours", "bare", "ratio", "95 %", "windows/s", "valid"],
        [_ratio(run) for run in result.runs],
    )
    yield ""
    for run in result.runs:
        if run.stages:
            yield _stages(run)
            yield ""
    if result.pair:
        yield from _pair(result.pair)
        yield ""
    yield _columns(
        "used meanwhile",
        ["mode", "backend", "CPU", "RSS MB", "deg C", "MHz", "W", "preempted", "spin"],
        [_resources(run) for run in result.runs],
    )
    yield ""
    yield from _remarks(result)
    if result.comparison:
        yield ""
        yield from comparison_lines(result.comparison)


def comparison_lines(comparison: Comparison) -> Iterator[Shown]:
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
    yield _columns(
        f"ratio to the bare network, before and after{limit}",
        ["mode", "backend", "before", "after", "change", "verdict"],
        rows,
    )
    yield from _listed("notes", [("", note) for note in comparison.notes])


def _columns(title: str, names: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 2) -> Table:
    """Return a table whose first ``texts`` columns are words and whose others are numbers; no cell is ever broken."""
    shown = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for at, name in enumerate(names):
        shown.add_column(escape(name), no_wrap=True, justify="left" if at < texts else "right")
    for row in rows:
        shown.add_row(*(escape(cell) for cell in row))
    return shown


def _listed(title: str, rows: Sequence[tuple[str, str]]) -> Iterator[Shown]:
    """Yield a heading and lines of a name and a text, the text wrapped beside the name."""
    if not rows:
        return
    shown = Table.grid(padding=(0, 2))
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for name, text in rows:
        shown.add_row(*([f"  {escape(name)}", escape(text)] if name else [" ", escape(text)]))
    yield Text(title, style="bold")
    yield shown


def _missing(found: Sequence[Distribution]) -> Iterator[Shown]:
    """Yield what n/a means, for the percentiles that it stands for."""
    absent = [name for name in PERCENTILES if any(_value(one, name) is None for one in found)]
    if absent:
        needed = ", ".join(f"{name} {MINIMUM_SAMPLES[RANKS[name]]:,}" for name in absent)
        yield Text(f"n/a: too few samples; needed: {needed}", style="dim")


def _latency(run: ModeResult) -> list[str]:
    return [run.mode, run.backend, *_shown(run.ours), f"{run.ours.samples:,}"]


def _ratio(run: ModeResult) -> list[str]:
    return [
        run.mode,
        run.backend,
        _cell(run.ours, "p50"),
        _cell(run.bare, "p50") if run.bare else NONE,
        f"{run.ratio.value:.2f}" if run.ratio else "n/a",
        f"{run.ratio.low:.2f} to {run.ratio.high:.2f}" if run.ratio else NONE,
        f"{run.windows_per_s:,.0f}" if run.windows_per_s else NONE,
        "yes" if run.valid else "NO",
    ]


def _resources(run: ModeResult) -> list[str]:
    used = run.resources
    return [
        run.mode,
        run.backend,
        duration(run.cpu_us) if run.cpu_us else NONE,
        f"{used.rss_mb:.0f}" if used.rss_mb is not None else NONE,
        f"{used.temperature_c[1]:.0f}" if used.temperature_c else NONE,
        f"{used.clock_mhz[1]:,}" if used.clock_mhz else NONE,
        f"{used.power_w:.1f}" if used.power_w is not None else NONE,
        f"{used.preemptions:,}",
        f"{run.spin.slowdown:.2f} x" if run.spin else NONE,
    ]


def _stages(run: ModeResult) -> Table:
    """Return a run's stages, each with a bar as long as its median; ``total`` is their sum without ingest and sink."""
    medians = {name: found.p50 or 0.0 for name, found in run.stages.items() if name != "total"}
    most = max(medians.values(), default=0.0) or 1.0
    found = list(run.stages.values())
    names = [name for name in PERCENTILES if name == "p50" or any(_value(one, name) is not None for one in found)]
    rows = [
        [stage, *(_cell(one, name) for name in names), "█" * round(BAR_COLUMNS * medians.get(stage, 0.0) / most)]
        for stage, one in run.stages.items()
    ]
    shown = _columns(f"stages of {run.mode} on {run.backend}", ["stage", *names, ""], rows, texts=1)
    shown.columns[-1].justify = "left"
    return shown


def _pair(pair: PairResult) -> Iterator[Shown]:
    yield _columns(
        f"A against B, {pair.how}",
        ["", *PERCENTILES, "samples"],
        [["A", *_shown(pair.a_us), f"{pair.a_us.samples:,}"], ["B", *_shown(pair.b_us), f"{pair.b_us.samples:,}"]],
        texts=1,
    )
    low, high = pair.ratio.low, pair.ratio.high
    verdict = "as fast as A" if low <= 1.0 <= high else "slower than A" if low > 1.0 else "faster than A"
    yield Text(f"B / A {pair.ratio.value:.3f} (95 % {low:.3f} to {high:.3f}): B is {verdict}")
    yield from _listed("where", [("A", pair.a), ("B", pair.b), *(("not valid", reason) for reason in pair.reasons)])


def _remarks(result: BenchResult) -> Iterator[Shown]:
    runs = result.runs
    yield from _listed("timed", _by_mode(runs, [run.sample for run in runs]))
    yield from _listed("bare", _by_mode(runs, [run.bare_is for run in runs]))
    shared = list(dict.fromkeys(note for run in runs for note in run.notes if _is_shared(note, runs)))
    own = [(f"{run.mode} {run.backend}", note) for run in runs for note in run.notes if note not in shared]
    yield from _listed("notes", [*own, *(("", note) for note in shared)])
    yield from _listed("not valid", [(f"{run.mode} {run.backend}", why) for run in runs for why in run.reasons])
    yield from _listed("placement", [("", result.placement)] if result.placement else [])


def _is_shared(note: str, runs: Sequence[ModeResult]) -> bool:
    return sum(note in run.notes for run in runs) > 1


def _by_mode(runs: Sequence[ModeResult], texts: Sequence[str]) -> list[tuple[str, str]]:
    """Return what is said of each run, once a mode where it is the same for all its backends."""
    said: dict[str, dict[str, str]] = {}
    for run, text in zip(runs, texts, strict=True):
        said.setdefault(run.mode, {})[run.backend] = text
    lines = []
    for mode, by_backend in said.items():
        if len(set(by_backend.values())) == 1:
            lines.append((mode, next(iter(by_backend.values()))))
        else:
            lines += [(f"{mode} {backend}", text) for backend, text in by_backend.items()]
    return lines


def _shown(durations: Distribution) -> list[str]:
    return [_cell(durations, name) for name in PERCENTILES]


def _cell(durations: Distribution, name: str) -> str:
    value = _value(durations, name)
    return "n/a" if value is None else duration(value)


def _value(durations: Distribution, name: str) -> float | None:
    value: float | None = getattr(durations, name.replace(".", "_"))
    return value
