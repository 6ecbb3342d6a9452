"""``fsq-edge run``: stream samples through a bundle, from sensors or recordings to decisions."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from fsq_edge.cli.endings import Endings, ending_signals
from fsq_edge.cli.options import backend_option, default_option, path_option
from fsq_edge.cli.output import Output, output_options
from fsq_edge.cli.run_options import RunOptions, open_alerts, open_metrics, run_workers
from fsq_edge_runtime.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle
    from fsq_edge_runtime.runner import Runner
    from fsq_edge_runtime.session import Session
    from fsq_edge_runtime.sinks import Sink
    from fsq_edge_runtime.sources import Source


class _Closes(Protocol):
    def close(self) -> None: ...


Closable = TypeVar("Closable", bound=_Closes)
_SOURCES = "npz:FILE|csv:FILE|stdin:|udp:HOST:PORT|serial:DEVICE|mqtt://HOST/TOPIC"
_SINKS = "jsonl:FILE|csv:FILE|mqtt://HOST/TOPIC|http:HOST:PORT|influx:PLACE|parquet:DIR|webhook:URL"


@click.command("run")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--source",
    "source_texts",
    required=True,
    multiple=True,
    metavar=_SOURCES,
    help="Read samples from here; may be given more than once.",
)
@click.option(
    "--sink", "sink_texts", multiple=True, default=("jsonl:-",), show_default=True, metavar=_SINKS,
    help="Write decisions there; - is standard output. The http sink serves a page that shows the stream.",
)  # fmt: skip
@backend_option("auto", "Run the network here; auto takes the Hailo device where the bundle fits it, else the CPU.")
@default_option(
    "--pace",
    "fast",
    click.Choice(["fast", "realtime"]),
    "Replay recordings at this pace; realtime also takes standard input as live, with deadlines.",
)
@click.option("--source-rate", type=click.FloatRange(min=0, min_open=True), metavar="HZ",
              help="Nominal rate of the source, in Hz. Default: the model's.")  # fmt: skip
@default_option(
    "--chunk", 1024, click.IntRange(min=1), "Samples of a recording taken at a time; the decisions do not depend on it."
)
@click.option("--latency/--no-latency", default=True,
              help="Write latencies (default); without them equal input gives equal bytes.")  # fmt: skip
@click.option("--scores", is_flag=True, help="Write the probabilities of every class, raw and smoothed.")
@click.option(
    "--stats",
    default=0.0,
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Write the counters every so many seconds while live. Default: 0, never.",
)
@click.option(
    "--overlay", "overlay_texts", multiple=True, metavar="[STREAM=]P.fsqo",
    help="Answer this stream, or all without one of their own, as personalize made it for a wearer; may be given "
    "again. Default: those that bundle install gave the installed BUNDLE.",
)  # fmt: skip
@click.option("--features", is_flag=True,
              help="Write the features of every window, in steps of 1/64, for personalize --log.")  # fmt: skip
@click.option("--teach", is_flag=True,
              help='Take lines such as {"stream": "rex", "teach": "walk"}, which say what the wearer does from now on; '
                   "null fits a head to all that was taught (default: such lines are malformed).")  # fmt: skip
@click.option("--drift/--no-drift", default=None,
              help="Write a drift record when a stream no longer looks as it did (default: where the bundle counts the "
                   "codes of 256 windows or more).")  # fmt: skip
@path_option("--alerts", "alert_file", metavar="FILE",
             help="Raise the alerts of this YAML or JSON file of rules. Default: none.")  # fmt: skip
@click.option("--reload", "reload", is_flag=True,
              help="On SIGHUP read BUNDLE again, without losing a window, instead of ending.")  # fmt: skip
@default_option(
    "--max-wait-ms", 0.0, click.FloatRange(0, 500),
    "Let live samples wait up to so many milliseconds for those of other streams, to answer them as one batch; at most "
    "half the deadline.",
)  # fmt: skip
@default_option(
    "--workers", "1", click.IntRange(1, 64),
    "Answer in so many processes, each its own share of the streams; a file sink gets each worker's number.",
)  # fmt: skip
@click.option("--metrics", metavar="[HOST:]PORT", help="Serve Prometheus metrics at this address. Default: none.")
@output_options
def command(output: Output, **given: Any) -> None:
    """Stream samples through BUNDLE: one record for every window, JSON lines on standard output by default.

    Runs until the sources end, or until SIGTERM, SIGHUP (exit 0) or Ctrl-C (exit 130), which drain what is under way.
    With --reload, SIGHUP reads BUNDLE again.
    Within two seconds the process has ended (exit 69 where something that cannot be interrupted holds it up).
    """
    from fsq_edge_runtime.bundle.bundle import Bundle
    from fsq_edge_runtime.reloading import Reloader
    from fsq_edge_runtime.runner import close_together
    from fsq_edge_runtime.sources import Notices
    from fsq_edge_runtime.sources.notices import tell_first_refusal

    options = RunOptions(**given)
    if output.json_to == "-" and options.writes_standard_output:
        raise UsageError("--json - and a sink on standard output exclude each other", hint="--sink jsonl:FILE")
    bundle, rules = Bundle.open(options.bundle), options.read_rules()
    notices = Notices(lambda line: None if output.quiet else click.echo(f"note: {line}", err=True))
    stop, facts = threading.Event(), {}
    sinks: list[Sink] = []
    reloaders: list[Callable[[], object]] = []  # empty until there is a session to give another bundle
    with ExitStack() as stack:
        endings = stack.enter_context(ending_signals(stop, partial(_reload, reloaders) if options.reload else None))
        sources = [_closing(stack, source) for source in options.open_sources(bundle, notices)]
        if options.workers > 1:
            _share(bundle, options, sources, stop, endings, output, reloaders)
            return
        live = any(source.live for source in sources)
        session = options.open_session(bundle, live)

        def reopen(chosen: str | None) -> Session:
            return options.open_session(Bundle.open(options.bundle), live, chosen)

        reloader = _closing(stack, Reloader(session, reopen))
        reloaders.append(reloader.request)
        if rules is not None:
            rules.check_classes(session.classes)
        if bundle.fingerprint.tells if options.drift is None else options.drift:
            session.watch_drift()
        stack.callback(close_together, sinks)
        for text in options.sink_texts:
            sinks.append(options.open_sink(text, session, live, stop))
        if not output.quiet:
            _say_where(sinks)
        alerts = None if rules is None else open_alerts(rules, sinks, queued=live, stop=stop)
        runner = options.make_runner(session, sources, sinks, alerts, reloader if options.reload else None)
        channels = ", ".join(f"{channel.name} in {channel.unit}" for channel in bundle.preprocess.channels[:12])
        rate_hz = options.source_rate or bundle.preprocess.sample_rate_hz
        tell_first_refusal(session, f"the bundle expects {channels}, at {rate_hz:g} Hz", notices.say)
        if options.metrics is not None:
            sinks.append(open_metrics(options.metrics, runner, session))
            runner.attach(sinks[-1])
        endings.opening = False
        try:
            facts = _run(runner, stop)
        except BrokenPipeError:
            return  # who reads the output has enough, as `head` does; the other sinks have their end
    if facts:  # none where it was told to end while it was being opened
        _report_losses(sinks)
        worker = options.source_texts[0].startswith("pipe:")  # the one that feeds it speaks for all
        _report(facts, None if worker else bundle, options, output)
    if signal.SIGINT in endings.received:
        raise KeyboardInterrupt


def _reload(reloaders: list[Callable[[], object]]) -> None:
    for reload in reloaders:
        reload()


def _share(
    bundle: Bundle,
    options: RunOptions,
    sources: list[Source],
    stop: threading.Event,
    endings: Endings,
    output: Output,
    reloaders: list[Callable[[], object]],
) -> None:
    """Let workers answer, and report what they did together."""
    arguments = options.worker_arguments()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if options.workers > cores and not output.quiet:
        few = "1 core" if cores == 1 else f"{cores} cores"
        click.echo(f"note: {options.workers} workers on {few}: more workers than cores only take memory", err=True)
    endings.opening = False
    facts = run_workers(options.workers, arguments, options.sink_texts, sources, stop, reloaders)
    if facts["workers"]:  # none left counters where who reads the output has enough, as `head` does
        _report(facts, bundle, options, output)
    if signal.SIGINT in endings.received:
        raise KeyboardInterrupt


def _report(facts: Mapping[str, Any], bundle: Bundle | None, options: RunOptions, output: Output) -> None:
    """Say in one line what a run did, why it said nothing where that is so, and write its counters as JSON."""
    if bundle is not None:
        from fsq_edge_runtime.sources.notices import explain_silence

        config = bundle.preprocess
        silent = explain_silence(facts, config.window_samples / config.sample_rate_hz, config.max_gap_ms / 1000.0)
        if silent:
            click.echo(f"warning: {silent}", err=True)
    if not output.quiet and not options.writes_standard_output:
        click.echo(f"note: {summary_line(facts)}", err=True)
    output.write_json({"schema_version": 1, **facts})


def _say_where(sinks: Sequence[Sink]) -> None:
    """Print the address of each page that is served."""
    for sink in sinks:
        if (address := getattr(sink, "address", None)) is not None:
            click.echo(f"note: {address} shows the stream", err=True)


def summary_line(facts: Mapping[str, Any]) -> str:
    """Return what a run did in one line: samples, windows, and how they ended."""
    parts = [
        f"{facts[name]:,} {name}" for name in ("decided", "abstained", "missed") if facts[name] or name == "decided"
    ]
    streams = f" in {facts['streams']:,} streams" if facts["streams"] > 1 else ""
    return f"{facts['received']:,} samples, {facts['windows']:,} windows{streams}: {', '.join(parts)}"


def _closing(stack: ExitStack, opened: Closable) -> Closable:
    stack.callback(opened.close)
    return opened


def _run(runner: Runner, stop: threading.Event) -> dict[str, Any]:
    from fsq_edge_runtime.systemd import notify

    notify("READY=1")
    facts = runner.run(stop)
    notify("STOPPING=1")
    return facts


def _report_losses(sinks: Sequence[Sink]) -> None:
    """Raise for a live sink that could not write to the end: a full disk or a broker costs records, not the stream."""
    for sink in sinks:
        error = getattr(sink, "error", None)
        if error is not None and not isinstance(error, BrokenPipeError):
            lost = sink.counters["errors" if "errors" in sink.counters else "dropped"]
            raise UnavailableError(
                f"{lost} records were not written to {error.filename or sink.name}: {error.strerror}"
            )
