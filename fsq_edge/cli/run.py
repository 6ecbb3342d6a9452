"""``fsq-edge run``: stream samples through a bundle, from sensors or recordings to decisions."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from fsq_edge.cli.endings import ending_signals
from fsq_edge.cli.options import backend_option, default_option, overlays_by_stream, path_option
from fsq_edge.cli.output import Output, output_options
from fsq_edge.cli.run_workers import refuse_unshared, run_workers
from fsq_edge_runtime.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from fsq_edge_runtime.alerts import AlertRules, AlertWatch
    from fsq_edge_runtime.bundle.bundle import Bundle
    from fsq_edge_runtime.reloading import Reloader
    from fsq_edge_runtime.runner import Runner
    from fsq_edge_runtime.session import Session
    from fsq_edge_runtime.sinks import Sink


class _Closes(Protocol):
    def close(self) -> None: ...


STANDARD_OUTPUT = ("jsonl:-", "csv:-")
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
    "--workers", "1", click.IntRange(1, 64),
    "Answer in so many processes, each its own share of the streams; a file sink gets each worker's number.",
)  # fmt: skip
@click.option("--metrics", metavar="[HOST:]PORT", help="Serve Prometheus metrics at this address. Default: none.")
@output_options
def command(
    bundle: Path,
    source_texts: tuple[str, ...],
    sink_texts: tuple[str, ...],
    backend: str,
    pace: str,
    source_rate: float | None,
    chunk: int,
    latency: bool,
    scores: bool,
    stats: float,
    overlay_texts: tuple[str, ...],
    features: bool,
    teach: bool,
    drift: bool | None,
    alert_file: Path | None,
    reload: bool,
    workers: int,
    metrics: str | None,
    output: Output,
) -> None:
    """Stream samples through BUNDLE: one record for every window, JSON lines on standard output by default.

    Runs until the sources end, or until SIGTERM, SIGHUP (exit 0) or Ctrl-C (exit 130), which drain what is under way.
    With --reload, SIGHUP reads BUNDLE again.
    Within two seconds the process has ended (exit 69 where something that cannot be interrupted holds it up).
    """
    from fsq_edge_runtime.bundle.bundle import Bundle
    from fsq_edge_runtime.reloading import Reloader
    from fsq_edge_runtime.runner import Runner, close_together
    from fsq_edge_runtime.sinks import open_sink
    from fsq_edge_runtime.sources import Notices, open_source
    from fsq_edge_runtime.sources.silence import explain_silence
    from fsq_edge_runtime.systemd import Watchdog

    if output.json_to == "-" and set(sink_texts) & set(STANDARD_OUTPUT):
        raise UsageError("--json - and a sink on standard output exclude each other", hint="--sink jsonl:FILE")
    opened = Bundle.open(bundle)
    drift = opened.fingerprint.tells if drift is None else drift
    rules = None if alert_file is None else _read_rules(alert_file)
    notices = Notices(lambda line: None if output.quiet else click.echo(f"note: {line}", err=True))
    stop = threading.Event()
    facts: dict[str, Any] = {}
    with ExitStack() as stack:
        reloader: Reloader | None = None

        def reload_bundle() -> None:
            if reloader is not None:
                reloader.request()

        endings = stack.enter_context(ending_signals(stop, reload_bundle if reload else None))
        sources = [
            _closing(stack, open_source(text, opened.preprocess, source_rate_hz=source_rate,
                                        paced=pace == "realtime", chunk=chunk, notices=notices))
            for text in source_texts
        ]  # fmt: skip
        if workers > 1:
            given = {"--metrics": metrics is not None, "--reload": reload, "--alerts": alert_file is not None}
            refuse_unshared({**given, "--stats": stats > 0})
            arguments = [str(bundle), "--backend", backend, "--latency" if latency else "--no-latency"]
            arguments += [] if source_rate is None else ["--source-rate", str(source_rate)]
            flags = {"--scores": scores, "--features": features, "--teach": teach, "--drift": drift}
            flags["--no-drift"] = not drift
            arguments += [flag for flag, on in flags.items() if on]
            arguments += [part for text in overlay_texts for part in ("--overlay", text)]
            endings.opening = False
            shared = run_workers(workers, arguments, sink_texts, sources, stop)
            if not output.quiet and not set(sink_texts) & set(STANDARD_OUTPUT):
                click.echo(f"note: {summary_line(shared)}", err=True)
            output.write_json({"schema_version": 1, **shared})
            if signal.SIGINT in endings.received:
                raise KeyboardInterrupt
            return
        live = any(source.live for source in sources)
        deadline_ms = None if live else 0.0  # a recording is never late

        def open_session(read: Bundle, chosen: str | None) -> Session:
            overlays = _overlays(overlay_texts, bundle, read) if overlay_texts or bundle.is_dir() else {}
            _require_features(features, read)
            return read.open_session(
                chosen or backend,
                source_rate_hz=source_rate,
                deadline_ms=deadline_ms,
                overlay=overlays or None,
                keep_features=features,
                features=(teach and read.features > 0) or None,
            )

        session = open_session(opened, None)
        reloader = _closing(stack, Reloader(session, lambda chosen: open_session(Bundle.open(bundle), chosen)))
        if rules is not None:
            rules.check_classes(session.classes)
        if drift:
            session.watch_drift()
        sinks: list[Sink] = []
        stack.callback(close_together, sinks)
        for text in sink_texts:
            sinks.append(
                open_sink(
                    text,
                    latency=latency,
                    scores=scores,
                    queued=live,
                    stop=stop,
                    model=opened.manifest.name,
                    classes=session.classes,
                    session=session,
                )
            )
        if not output.quiet:
            _say_where(sinks)
        alerts = None if rules is None else _open_alerts(rules, sinks, queued=live, stop=stop)
        runner = Runner(
            session,
            sources,
            sinks,
            opening=session.opening,
            stats_s=stats,
            heartbeat=Watchdog().beat,
            alerts=alerts,
            reloader=reloader if reload else None,
            teach=teach,
        )
        if metrics is not None:
            sinks.append(_open_metrics(metrics, runner, session))
            runner.attach(sinks[-1])
        endings.opening = False
        try:
            facts = _run(runner, stop)
        except BrokenPipeError:
            return  # who reads the output has enough, as `head` does; the other sinks have their end
    if signal.SIGINT in endings.received:
        raise KeyboardInterrupt
    if not facts:  # told to end while it was being opened
        return
    _report_losses(sinks)
    config = opened.preprocess
    silent = explain_silence(facts, config.window_samples / config.sample_rate_hz, config.max_gap_ms / 1000.0)
    if silent:
        click.echo(f"warning: {silent}", err=True)
    if not output.quiet and not set(sink_texts) & set(STANDARD_OUTPUT):
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


def _read_rules(path: Path) -> AlertRules:
    from fsq_edge_runtime.alerts import read_rules

    return read_rules(path)


def _open_alerts(rules: AlertRules, sinks: list[Sink], *, queued: bool, stop: threading.Event) -> AlertWatch:
    """Open what the rules write to, among the other sinks, and return what watches for them."""
    from fsq_edge_runtime.alerts import AlertWatch
    from fsq_edge_runtime.sinks import open_sink
    from fsq_edge_runtime.sinks.chosen import AlertsOnly

    for text in rules.sinks:
        sinks.append(AlertsOnly(open_sink(text, queued=queued, stop=stop)))
    return AlertWatch(rules)


def _overlays(texts: Sequence[str], place: Path, bundle: Bundle) -> dict[str, Path]:
    """Return the overlays by stream: those that were installed with the bundle, then those that were given."""
    from fsq_edge_runtime.personal.installing import installed_overlays

    given = overlays_by_stream(texts)
    found = {**installed_overlays(place, bundle), **given}
    return {stream: path for stream, path in found.items() if path is not None}


def _require_features(wanted: bool, bundle: Bundle) -> None:
    if wanted and not bundle.features:
        raise UsageError(
            "the bundle's graph puts out no features", hint="fsq-edge export RUN --features, and build the bundle again"
        )


def _open_metrics(text: str, runner: Runner, session: Session) -> Sink:
    from fsq_edge_runtime.sinks.opening import split_address
    from fsq_edge_runtime.sinks.prometheus import MetricsSink

    deadline_ns = session.settings.deadline_ns(session.bundle.preprocess)
    address, bundle = split_address(text, text), session.bundle.manifest.name
    return MetricsSink(*address, runner.health, bundle=bundle, deadline_s=(deadline_ns or 0) / 1e9)


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
    """Raise for a live sink that could not write to the end: a full disk costs records, not the stream."""
    for sink in sinks:
        error = getattr(sink, "error", None)
        if error is not None and not isinstance(error, BrokenPipeError):
            lost = sink.counters["errors"]
            raise UnavailableError(
                f"{lost} records were not written to {error.filename or sink.name}: {error.strerror}"
            )
