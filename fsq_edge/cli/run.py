"""``fsq-edge run``: stream samples through a bundle, from sensors or recordings to decisions."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from fsq_edge.cli.options import default_option
from fsq_edge.cli.output import output_options, write_json
from fsq_edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from fsq_edge_runtime.runner import Runner
    from fsq_edge_runtime.sinks import Sink


class _Closes(Protocol):
    def close(self) -> None: ...


Closable = TypeVar("Closable", bound=_Closes)
_SOURCES = "npz:FILE|csv:FILE|stdin:|udp:HOST:PORT|serial:DEVICE|mqtt://HOST/TOPIC"
_SINKS = "jsonl:FILE|csv:FILE|mqtt://HOST/TOPIC|http:HOST:PORT"


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
@default_option(
    "--backend",
    "auto",
    click.Choice(["auto", "hailo", "onnx", "onnx-int8"]),
    "Run the network here; auto takes the Hailo device where the bundle fits it, else the CPU.",
)
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
@click.option("--drift/--no-drift", default=True,
              help="Write a drift record when a stream no longer looks as it did (default), or never.")  # fmt: skip
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
    drift: bool,
    metrics: str | None,
    json_to: str | None,
    quiet: bool,
) -> None:
    """Stream samples through BUNDLE: one record for every window, JSON lines on standard output by default.

    Runs until the sources end, or until SIGTERM (exit 0) or Ctrl-C (exit 130); both drain what is under way.
    """
    from fsq_edge_runtime.bundle.bundle import Bundle
    from fsq_edge_runtime.runner import Runner
    from fsq_edge_runtime.sinks import open_sink
    from fsq_edge_runtime.sources import Notices, open_source
    from fsq_edge_runtime.sources.silence import explain_silence
    from fsq_edge_runtime.systemd import Watchdog

    if json_to == "-" and any(text in ("jsonl:-", "csv:-") for text in sink_texts):
        raise UsageError("--json - and a sink on standard output exclude each other", hint="--sink jsonl:FILE")
    opened = Bundle.open(bundle)
    notices = Notices(lambda line: None if quiet else click.echo(f"note: {line}", err=True))
    with ExitStack() as stack:
        sources = [
            _closing(stack, open_source(text, opened.preprocess, source_rate_hz=source_rate,
                                        paced=pace == "realtime", chunk=chunk, notices=notices))
            for text in source_texts
        ]  # fmt: skip
        live = any(source.live for source in sources)
        deadline_ms = None if live else 0.0  # a recording is never late
        session = opened.open_session(backend, source_rate_hz=source_rate, deadline_ms=deadline_ms)
        stack.enter_context(session)
        if drift:
            session.watch_drift()
        sinks = [_closing(stack, open_sink(text, latency=latency, scores=scores, queued=live)) for text in sink_texts]
        runner = Runner(session, sources, sinks, opening=session.opening, stats_s=stats, heartbeat=Watchdog().beat)
        if metrics is not None:
            runner.attach(_closing(stack, _open_metrics(metrics, runner)))
        facts = _run(runner)
    config = opened.preprocess
    silent = explain_silence(facts, config.window_samples / config.sample_rate_hz, config.max_gap_ms / 1000.0)
    if silent:
        click.echo(f"warning: {silent}", err=True)
    write_json({"schema_version": 1, **facts}, json_to)


def _open_metrics(text: str, runner: Runner) -> Sink:
    from fsq_edge_runtime.sinks.opening import split_address
    from fsq_edge_runtime.sinks.prometheus import MetricsSink

    return MetricsSink(*split_address(text, text), runner.facts)


def _closing(stack: ExitStack, opened: Closable) -> Closable:
    stack.callback(opened.close)
    return opened


def _run(runner: Runner) -> dict[str, Any]:
    from fsq_edge_runtime.systemd import notify

    stop = threading.Event()
    with _signals(stop) as received:
        notify("READY=1")
        facts = runner.run(stop)
        notify("STOPPING=1")
    if signal.SIGINT in received:
        raise KeyboardInterrupt
    return facts


@contextmanager
def _signals(stop: threading.Event) -> Iterator[set[int]]:
    """Let SIGTERM and SIGINT end the run in good order; a second one is not waited for."""
    received: set[int] = set()

    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        received.add(number)
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
