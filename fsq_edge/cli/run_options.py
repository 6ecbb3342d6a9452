"""What ``fsq-edge run`` was asked for, and the sources, session and sinks that this opens."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsq_edge.cli.options import overlays_by_stream
from fsq_edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from fsq_edge_runtime.alerts import AlertRules, AlertWatch
    from fsq_edge_runtime.bundle.bundle import Bundle
    from fsq_edge_runtime.reloading import Reloader
    from fsq_edge_runtime.runner import Runner
    from fsq_edge_runtime.session import Session
    from fsq_edge_runtime.sinks import Sink
    from fsq_edge_runtime.sources import Notices, Source


_SHARED = ("mqtt", "mqtts", "webhook")  # sinks that several processes may write to as they are
_FILES = ("jsonl", "csv")


def refuse_unshared(options: dict[str, bool]) -> None:
    """Refuse options that need one process.

    Args:
        options: by name, whether it was given.

    Raises:
        UsageError: one of them was.
    """
    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(f"--workers and {given[0]} exclude each other", hint="leave one of them out")


def sink_of(text: str, worker: int) -> str:
    """Return the sink of one worker: a file gets the worker's number before its suffix.

    Raises:
        UsageError: a sink that several processes cannot share.
    """
    kind, _, place = text.partition(":")
    if kind in _SHARED or text == "jsonl:-":
        return text
    if kind in _FILES and place and place != "-":
        path = Path(place)
        return f"{kind}:{path.with_name(f'{path.stem}.{worker}{path.suffix}')}"
    raise UsageError(
        f"--workers cannot share the sink {kind}:",
        hint="jsonl:-, jsonl:FILE, csv:FILE, mqtt://HOST/TOPIC or webhook:URL",
    )


def run_workers(
    count: int,
    arguments: Sequence[str],
    sink_texts: Sequence[str],
    sources: Sequence[Source],
    stop: threading.Event,
    reloaders: list[Callable[[], object]],
) -> dict[str, Any]:
    """Run until the sources end or ``stop`` is set; return the counters of all workers together.

    Args:
        count: workers.
        arguments: of ``run`` that every worker is given: the bundle and options, without sources and sinks.
        sink_texts: as given.
        sources: opened; read here.
        stop: ends the run.
        reloaders: gets what lets the workers read the bundle again.

    Raises:
        UsageError: a sink that several processes cannot share.
        FsqEdgeError: a worker ended with an error, or a source failed for good.
    """
    from fsq_edge_runtime.gateway import END_S, WorkerPool, add_facts, feed
    from fsq_edge_runtime.systemd import Watchdog, notify

    sinks = [[sink_of(text, number) for text in sink_texts] for number in range(count)]
    live = int(any(source.live for source in sources))
    with tempfile.TemporaryDirectory() as folder:
        results = [Path(folder) / f"{number}.json" for number in range(count)]

        def command(number: int, descriptor: int, ready: int) -> list[str]:
            given = [part for text in sinks[number] for part in ("--sink", text)]
            source = [
                "--source",
                f"pipe:{descriptor}?live={live}&ready={ready}",
                "--json",
                str(results[number]),
                "--quiet",
            ]
            return [sys.executable, "-m", "fsq_edge", "run", *arguments, *given, *source]

        pool = WorkerPool(count, command, lambda line: click.echo(line, err=True))
        reloaders.append(pool.reload)
        try:
            feed(pool, sources, stop, Watchdog().beat)
        except KeyboardInterrupt:  # the second one: nobody waits for a worker that hangs
            pool.kill()
            raise
        finally:
            notify("STOPPING=1")
            pool.end(END_S if stop.is_set() else None)
        return add_facts([json.loads(path.read_text()) for path in results if path.exists()], sources)


STANDARD_OUTPUT = ("jsonl:-", "csv:-")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of the verb by their names, whose help says what they are."""

    bundle: Path
    source_texts: tuple[str, ...]
    sink_texts: tuple[str, ...]
    backend: str
    pace: str
    source_rate: float | None
    chunk: int
    latency: bool
    scores: bool
    stats: float
    overlay_texts: tuple[str, ...]
    features: bool
    teach: bool
    drift: bool | None
    alert_file: Path | None
    reload: bool
    max_wait_ms: float
    workers: int
    metrics: str | None

    @property
    def writes_standard_output(self) -> bool:
        """Whether a sink writes there."""
        return bool(set(self.sink_texts) & set(STANDARD_OUTPUT))

    def read_rules(self) -> AlertRules | None:
        """Read the file of ``--alerts``."""
        if self.alert_file is None:
            return None
        from fsq_edge_runtime.alerts import read_rules

        return read_rules(self.alert_file)

    def open_sources(self, bundle: Bundle, notices: Notices) -> Iterator[Source]:
        """Open one source after the other."""
        from fsq_edge_runtime.sources import open_source

        paced, rate = self.pace == "realtime", self.source_rate
        for text in self.source_texts:
            yield open_source(
                text, bundle.preprocess, source_rate_hz=rate, paced=paced, chunk=self.chunk, notices=notices
            )

    def worker_arguments(self) -> list[str]:
        """Return the words of a worker's command line that say how to answer.

        Raises:
            UsageError: an option that workers cannot share.
        """
        given = {
            "--metrics": self.metrics is not None,
            "--alerts": self.alert_file is not None,
            "--stats": self.stats > 0,
        }
        refuse_unshared(given)
        words = [str(self.bundle), "--backend", self.backend, "--latency" if self.latency else "--no-latency"]
        words += [] if self.source_rate is None else ["--source-rate", str(self.source_rate)]
        words += ["--max-wait-ms", str(self.max_wait_ms)]
        flags = {"--scores": self.scores, "--features": self.features, "--teach": self.teach, "--reload": self.reload}
        flags |= {"--drift": self.drift is True, "--no-drift": self.drift is False}
        words += [flag for flag, on in flags.items() if on]
        return words + [part for text in self.overlay_texts for part in ("--overlay", text)]

    def open_session(self, bundle: Bundle, live: bool, backend: str | None = None) -> Session:
        """Open a session with the overlays of the bundle and those that were given; a recording is never late.

        Raises:
            UsageError: ``--features`` with a graph that puts out none.
        """
        if self.features and not bundle.features:
            hint = "fsq-edge export RUN --features, and build the bundle again"
            raise UsageError("the bundle's graph puts out no features", hint=hint)
        return bundle.open_session(
            backend or self.backend,
            source_rate_hz=self.source_rate,
            deadline_ms=None if live else 0.0,
            overlay=self._overlays(bundle) or None,
            keep_features=self.features,
            features=(self.teach and bundle.features > 0) or None,
        )

    def _overlays(self, bundle: Bundle) -> dict[str, Path]:
        if not self.overlay_texts and not self.bundle.is_dir():
            return {}
        from fsq_edge_runtime.personal.installing import installed_overlays

        found = {**installed_overlays(self.bundle, bundle), **overlays_by_stream(self.overlay_texts)}
        return {stream: path for stream, path in found.items() if path is not None}

    def open_sink(self, text: str, session: Session, live: bool, stop: threading.Event) -> Sink:
        """Open one sink; with live samples it has a queue of its own."""
        from fsq_edge_runtime.sinks import open_sink

        return open_sink(
            text,
            latency=self.latency,
            scores=self.scores,
            queued=live,
            stop=stop,
            model=session.bundle.manifest.name,
            classes=session.classes,
            session=session,
        )

    def make_runner(
        self,
        session: Session,
        sources: list[Source],
        sinks: list[Sink],
        alerts: AlertWatch | None,
        reloader: Reloader | None,
    ) -> Runner:
        """Return what answers the sources and writes to the sinks."""
        from fsq_edge_runtime.runner import Runner
        from fsq_edge_runtime.systemd import Watchdog

        return Runner(
            session,
            sources,
            sinks,
            opening=session.opening,
            stats_s=self.stats,
            heartbeat=Watchdog().beat,
            alerts=alerts,
            reloader=reloader,
            teach=self.teach,
            max_wait_s=self.max_wait_ms / 1e3,
        )


def open_alerts(rules: AlertRules, sinks: list[Sink], *, queued: bool, stop: threading.Event) -> AlertWatch:
    """Open what the rules write to, among the other sinks, and return what watches for them."""
    from fsq_edge_runtime.alerts import AlertWatch
    from fsq_edge_runtime.sinks import open_sink
    from fsq_edge_runtime.sinks.delivery import AlertsOnly

    for text in rules.sinks:
        sinks.append(AlertsOnly(open_sink(text, queued=queued, stop=stop)))
    return AlertWatch(rules)


def open_metrics(text: str, runner: Runner, session: Session) -> Sink:
    """Serve the counters of a run at an address."""
    from fsq_edge_runtime.sinks.opening import split_address
    from fsq_edge_runtime.sinks.prometheus import MetricsSink

    deadline_ns = session.settings.deadline_ns(session.bundle.preprocess)
    address, bundle = split_address(text, text), session.bundle.manifest.name
    return MetricsSink(*address, runner.health, bundle=bundle, deadline_s=(deadline_ns or 0) / 1e9)
