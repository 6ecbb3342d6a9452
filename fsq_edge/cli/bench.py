"""``fsq-edge bench``: latency, throughput, stages and cold start of a bundle, with a baseline gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsq_edge.cli.bench_network import is_network, measure_network, windows_or_file
from fsq_edge.cli.options import F, PartGroup, default_option, names_of, path_option
from fsq_edge.cli.output import Output, need, output_options, write_report
from fsq_edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from fsq_edge_benchmarks.bench.bench import BenchSettings
    from fsq_edge_benchmarks.bench.result import Comparison, Mode
    from fsq_edge_runtime.bundle.bundle import Bundle

DEFAULT = "measure"


class BenchGroup(PartGroup):
    """``bench BUNDLE`` and its named commands: what is no command's name belongs to ``measure``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``measure`` in front of arguments that name no command, ``--help`` among them."""
        if not args or args[0] not in (*self.commands, *self.elsewhere):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


class Measure(click.Command):
    """The command without a name: its usage is that of ``bench``."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Leave out the name, which nobody typed, so that a hint reads ``fsq-edge bench --help``."""
        return super().make_context("", args, parent, **extra)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write ``bench [OPTIONS] BUNDLE`` and the commands that have a name."""
        above = ctx.parent.command_path if ctx.parent else "bench"
        formatter.write_usage(above, " ".join(self.collect_usage_pieces(ctx)))
        formatter.write_usage(f"{above} layers", "[OPTIONS] BUNDLE|MODEL", prefix="       ")
        formatter.write_usage(f"{above} compare", "[OPTIONS] BASELINE CANDIDATE", prefix="       ")


def share(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Read ``10%`` or ``0.1``."""
    if value is None:
        return None
    try:
        found = float(value.removesuffix("%")) / (100.0 if value.endswith("%") else 1.0)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is neither like 10% nor like 0.1", ctx, param) from error
    if not 0.0 <= found < float("inf"):
        raise click.BadParameter(f"{value!r} is not at least 0", ctx, param)
    return found


def _size(name: str, metavar: str, kind: Any, help: str) -> Callable[[F], F]:
    return click.option(name, metavar=metavar, type=kind, help=help)


GATE_EXITS = (
    "Exit codes: 0 good; 1 a ratio grew by more than --max-regress; 2 a gate was asked for, nothing regressed, but a "
    "run was disturbed, so that nothing is proven (--allow-disturbed takes it for good)."
)


@click.group("bench", cls=BenchGroup, elsewhere={"layers": "fsq_edge.cli.layer_cost"})
def command() -> None:
    """Measure a bundle or the layers of its network, or compare two results."""


@command.command(DEFAULT, cls=Measure, epilog=GATE_EXITS)
@click.argument("bundle", metavar="BUNDLE|MODEL|HEF", type=click.Path(path_type=Path))
@click.option(
    "--mode",
    "modes",
    callback=names_of("single", "paced", "offline", "multi", "cold"),
    default="single",
    show_default=True,
    metavar="A,B",
    help="single: the next hop as soon as the last is answered; paced: real time; offline: batches; multi: many "
    "streams; cold: process start to first decision.",
)
@click.option(
    "--backend",
    "backends",
    callback=names_of("onnx", "onnx-int8", "hailo", "fake", "torch"),
    metavar="A,B",
    help="onnx, onnx-int8, hailo, fake (a stand-in device), torch (needs --run). Default: the CPU graphs in the "
    "bundle; onnx of an ONNX file; hailo of a HEF.",
)
@path_option("--run", "run_folder", metavar="RUN", help="Take the network of this training run for the torch backend.")
@click.option(
    "--against",
    metavar="X",
    help="Also race the first backend against another one, another bundle or another checkout of the project, in turns "
    "A B B A.",
)
@click.option("--quick", is_flag=True, help="Take fewer samples: no p99.9, and fewer rounds of everything.")
@_size("--decisions", "N", click.IntRange(1, 1_000_000), "Decisions timed in single mode (default 7,000).")
@_size("--seconds", "S", click.FloatRange(0.1, 3600), "Seconds of stream in paced mode (default: 20 decisions).")
@_size("--streams", "N", click.IntRange(1, 4096), "Streams at once in multi mode (default 64).")
@click.option(
    "--windows",
    metavar="N|FILE",
    callback=windows_or_file,
    help="Windows in a batch in offline mode (default 256). With an ONNX file also: take these windows, npy or npz, as "
    "the network takes them (default: random).",
)
@_size("--starts", "N", click.IntRange(1, 1000), "Process starts timed in cold mode (default 20).")
@path_option("--html", metavar="FILE", help="Write an HTML page with the distributions to this file.")
@path_option("--baseline", metavar="FILE", help="Compare with this result, which an earlier call wrote with --json.")
@default_option(
    "--max-regress",
    "10%",
    None,
    "Largest growth of decision / bare against --baseline before exit 1, such as 10%.",
    callback=share,
    metavar="SHARE",
)
@click.option("--allow-disturbed", is_flag=True, help="Take disturbed runs for good, too.")
@output_options
def measure(
    bundle: Path,
    modes: tuple[Mode, ...],
    backends: tuple[str, ...] | None,
    run_folder: Path | None,
    against: str | None,
    quick: bool,
    html: Path | None,
    baseline: Path | None,
    max_regress: float,
    allow_disturbed: bool,
    output: Output,
    **sizes: Any,
) -> None:
    """Measure BUNDLE, or a network alone, or compare two results that --json wrote.

    Every run times the bare network in the same process, in turns, and prints the ratio: it says more than the
    microseconds of one machine. Percentiles that the number of samples cannot support are a dash. Runs that something
    disturbed are marked as not valid.

    MODEL.onnx and FILE.hef need no bundle: their inference is timed beside a fixed network on this CPU.
    """
    from fsq_edge_benchmarks.bench.bench import BenchSettings, run_bench
    from fsq_edge_benchmarks.bench.comparison import compare
    from fsq_edge_benchmarks.bench.result import BenchResult
    from fsq_edge_benchmarks.bench.tables import result_lines
    from fsq_edge_runtime.bundle.bundle import Bundle

    if html is not None:
        import fsq_edge.report.parts  # noqa: F401 - a device's install has no pages, and no extra that brings them

        need("jinja2", "report")
        need("matplotlib", "report")
    earlier = BenchResult.load(baseline) if baseline else None
    settings = BenchSettings.quick() if quick else BenchSettings()

    def say(what: str) -> None:
        if output.is_terminal:
            output.print(f"measuring {what} ...", style="dim")

    if is_network(bundle):
        result = measure_network(bundle, modes, backends, sizes, settings, against, quick, say)
    else:
        if isinstance(sizes["windows"], Path):
            raise UsageError("a bundle brings its own windows", hint="--windows N is how many are in a batch")
        opened = Bundle.open(bundle)
        chosen = backends or (("onnx", "onnx-int8") if opened.has("encoder-int8") else ("onnx",))
        sized = _sized(settings, opened, sizes)
        result = run_bench(opened, modes, chosen, sized, run=run_folder, against=against, say=say)
    if earlier:
        result = result.model_copy(update={"comparison": compare(earlier, result, max_regress)})
    for line in result_lines(result):
        output.print(line)
    output.write_json(result.to_dict())
    if html is not None:
        from fsq_edge_benchmarks.bench.page import bench_page

        write_report(html, bench_page(result))
        output.say(f"page: {html}")
    if result.comparison:
        _leave(result.comparison, allow_disturbed)


@command.command("compare", epilog=GATE_EXITS)
@click.argument("baseline", type=click.Path(path_type=Path))
@click.argument("candidate", type=click.Path(path_type=Path))
@click.option(
    "--max-regress",
    callback=share,
    metavar="SHARE",
    help="Exit 1 when decision / bare grew by more than this, such as 10% (default: no gate).",
)
@click.option("--allow-disturbed", is_flag=True, help="Take disturbed runs for good, too.")
@output_options
def compare_command(
    baseline: Path, candidate: Path, max_regress: float | None, allow_disturbed: bool, output: Output
) -> None:
    """Compare two results of bench: BASELINE and CANDIDATE, both written with --json."""
    from fsq_edge_benchmarks.bench.comparison import compare
    from fsq_edge_benchmarks.bench.result import BenchResult
    from fsq_edge_benchmarks.bench.tables import comparison_lines

    comparison = compare(BenchResult.load(baseline), BenchResult.load(candidate), max_regress)
    for line in comparison_lines(comparison):
        output.print(line)
    output.write_json(comparison.to_dict())
    if max_regress is not None:
        _leave(comparison, allow_disturbed)


def _sized(settings: BenchSettings, bundle: Bundle, sizes: Mapping[str, Any]) -> BenchSettings:
    """Return the settings with what the options ask for."""
    given = {name: int(size) for name, size in sizes.items() if size is not None and name != "seconds"}
    if (seconds := sizes["seconds"]) is not None:
        config = bundle.preprocess
        given["paced"] = max(1, int(seconds * config.sample_rate_hz / config.hop_samples))
    return replace(settings, **given)


def _leave(comparison: Comparison, allow_disturbed: bool) -> None:
    if comparison.regressed(believe_disturbed=allow_disturbed):
        click.get_current_context().exit(1)
    if not comparison.proves and not allow_disturbed:
        click.get_current_context().exit(2)
