"""A gateway on all cores: this process reads the sources, and workers answer, each its own share of the streams.

A stream belongs to one worker for ever, by a checksum of its name, so that every stream has one grid, one chain and one
order. Workers are whole processes of ``fsq-edge run`` behind a pipe; they end when the pipe is closed.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from fsq_edge_runtime.gateway_lane import Lane
from fsq_edge_runtime.sources.base import Chunk, Source, worker_of
from fsq_edge_runtime.sources.parsing import DEFAULT_STREAM
from fsq_edge_runtime.sources.pipe import append_chunk
from fsq_edge_runtime.systemd import notify

GATHER_BYTES: Final = 1 << 15  # of recordings, written together: this process must leave the cores to the workers
FLUSH_S: Final = 0.05  # what was gathered waits no longer
END_S: Final = 1.5  # for workers to drain; a stop must not take longer than two seconds


class WorkerPool:
    """Processes that take chunks from pipes.

    Args:
        count: how many.
        command: the command line of a worker, see :class:`~fsq_edge_runtime.gateway_lane.Lane`.
        tell: hears what workers write to standard error, line by line; None writes it there. The error that a worker
            ends with is raised by :meth:`end` instead.

    Raises:
        OSError: a process cannot be started.
    """

    def __init__(
        self,
        count: int,
        command: Callable[[int, int, int], Sequence[str]],
        tell: Callable[[str], object] | None = None,
    ) -> None:
        told = tell or (lambda line: sys.stderr.write(f"{line}\n"))
        self._lanes = [Lane(number, command, told) for number in range(count)]
        self._killed = False

    @property
    def lost(self) -> int:
        """Samples that workers which had ended did not get."""
        return sum(lane.lost for lane in self._lanes)

    def wait_ready(self, stop: threading.Event) -> None:
        """Wait until every worker can answer, has ended, or ``stop`` is set: samples read earlier would be late."""
        for lane in self._lanes:
            lane.wait_ready(stop)

    def put(self, chunk: Chunk, *, gather: bool = False) -> None:
        """Hand a chunk to the worker of its stream; waits while that worker's pipe is full.

        Samples for a worker that has ended are counted as ``lost``.

        Args:
            chunk: of any stream.
            gather: let it wait for others, until they fill ``GATHER_BYTES`` or :meth:`flush` is called.
        """
        lane = self._lanes[worker_of(chunk.stream, len(self._lanes))]
        with lane.lock:
            append_chunk(lane.waiting, chunk)
            lane.samples += len(chunk.samples)
            if not gather or len(lane.waiting) >= GATHER_BYTES:
                lane.write()

    def flush(self) -> None:
        """Write what was gathered, as far as the pipes have room; waits for nothing."""
        for lane in self._lanes:
            if lane.lock.acquire(blocking=False):
                try:
                    lane.write(wait=False)
                finally:
                    lane.lock.release()

    def over(self) -> bool:
        """Return whether a worker has ended, which none does by itself unless it failed, or its reader has gone."""
        return any(lane.process.poll() is not None for lane in self._lanes)

    def reload(self) -> None:
        """Let every worker that can answer read its bundle again."""
        for lane in self._lanes:
            if lane.started:
                lane.process.send_signal(signal.SIGHUP)

    def end(self, within_s: float | None = None) -> None:
        """Close the pipes and wait until the workers have drained; kill those that take longer than ``within_s``.

        Raises:
            FsqEdgeError: a worker ended with an error: its own words where it left any, under its exit code.
        """
        deadline = None if within_s is None else time.monotonic() + within_s
        for lane in self._lanes:
            lane.deadline = deadline
        try:
            for lane in self._lanes:
                with lane.lock:
                    lane.write()
                    lane.close()
            for lane in self._lanes:
                lane.end()
        except KeyboardInterrupt:  # the second one: nobody waits for a worker that hangs
            self.kill()
            raise
        for lane in self._lanes:
            if not self._killed and (failure := lane.failure(self.lost)) is not None:
                raise failure

    def kill(self) -> None:
        """End the workers at once, whatever they still have; :meth:`end` does not call that a failure of theirs."""
        self._killed = True
        for lane in self._lanes:
            lane.process.kill()


def feed(
    pool: WorkerPool,
    sources: Sequence[Source],
    stop: threading.Event,
    heartbeat: Callable[[], object] = lambda: None,
) -> None:
    """Read every source on a thread of its own into the pool until all have ended or ``stop`` is set.

    With several sources, samples without a stream id belong to the stream named after their source's number, from 0.

    ``heartbeat`` is called while this process and every worker live. A worker that ends ends the reading, too;
    :meth:`WorkerPool.end` says what it failed of.

    Raises:
        FsqEdgeError: what a source failed of for good.
    """
    pool.wait_ready(stop)
    if pool.over() or stop.is_set():
        return
    notify("READY=1")
    failures: list[Exception] = []
    halt = threading.Event()

    def read(number: int, source: Source) -> None:
        try:
            for chunk in source.chunks(halt):
                alone = len(sources) == 1 or chunk.stream != DEFAULT_STREAM
                pool.put(chunk if alone else chunk._replace(stream=str(number)), gather=not source.live)
                if halt.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - raised again by feed(), on the thread that can act on it
            failures.append(error)
            halt.set()

    threads = [threading.Thread(target=read, args=pair, name="source", daemon=True) for pair in enumerate(sources)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and not halt.is_set():
        threads[0].join(FLUSH_S) if threads[0].is_alive() else time.sleep(FLUSH_S)
        pool.flush()
        if stop.is_set() or pool.over():
            halt.set()
        else:
            heartbeat()
    if failures:
        raise failures[0]


def add_facts(parts: Sequence[dict[str, Any]], sources: Sequence[Source]) -> dict[str, Any]:
    """Return the counters of a run by what its workers counted: numbers add up, sinks stand one after the other."""
    whole: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if isinstance(value, int) and name != "schema_version":
                whole[name] = whole.get(name, 0) + value
            elif name == "sinks":
                whole["sinks"] = [*whole.get("sinks", []), *value]
    return {**whole, "workers": len(parts), "sources": [dict(source.counters) for source in sources]}
