"""``fsq-edge run --workers N``: this process reads the sources, and N others answer."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsq_edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from fsq_edge_runtime.sources import Source

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
    count: int, arguments: Sequence[str], sink_texts: Sequence[str], sources: Sequence[Source], stop: threading.Event
) -> dict[str, Any]:
    """Run until the sources end or ``stop`` is set; return the counters of all workers together.

    Args:
        count: workers.
        arguments: of ``run`` that every worker is given: the bundle and options, without sources and sinks.
        sink_texts: as given.
        sources: opened; read here.
        stop: ends the run.

    Raises:
        UsageError: a sink that several processes cannot share.
        BackendError: a worker ended with an error.
        FsqEdgeError: a source failed for good.
    """
    from fsq_edge_runtime.gateway import END_S, WorkerPool, add_facts, feed

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

        pool = WorkerPool(count, command)
        try:
            feed(pool, sources, stop)
        finally:
            pool.end(END_S if stop.is_set() else None)
        return add_facts([json.loads(path.read_text()) for path in results if path.exists()], sources)
