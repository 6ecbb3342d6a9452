"""A gateway on all cores: this process reads the sources, and workers answer, each its own share of the streams.

A stream belongs to one worker for ever, by a checksum of its name, so that every stream has one grid, one chain and one
order. Workers are whole processes of ``fsq-edge run`` behind a pipe; they end when the pipe is closed.
"""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.sources.base import Chunk, Source, worker_of
from fsq_edge_runtime.sources.parsing import DEFAULT_STREAM
from fsq_edge_runtime.sources.pipe import append_chunk

PIPE_BYTES: Final = 1 << 20  # half a minute of a hundred sensors at 50 Hz: a worker that starts loses nothing
GATHER_BYTES: Final = 1 << 15  # of recordings, written together: this process must leave the cores to the workers
READY_POLL_S: Final = 0.05
FLUSH_S: Final = 0.05  # what was gathered waits no longer
END_S: Final = 1.5  # for workers to drain; a stop must not take longer than two seconds
MAX_WORKERS: Final = 64


class _Lane:
    """The way to one worker.

    Attributes:
        lock: held by whoever writes.
        pipe: the end for writing, which does not block; None once it is closed.
        ready: the end of another pipe, which can be read when the worker can answer.
        process: the worker.
        waiting: encoded chunks that are not yet in the pipe.
        samples: in them.
    """

    __slots__ = ("lock", "pipe", "process", "ready", "samples", "waiting")

    def __init__(self, number: int, command: Callable[[int, int, int], Sequence[str]]) -> None:
        self.lock = threading.Lock()
        self.waiting, self.samples = bytearray(), 0
        reading, writing = os.pipe()
        self.pipe: int | None = writing
        self.ready, tells = os.pipe()
        _widen(writing)
        os.set_blocking(writing, False)
        try:
            # A group of its own: Ctrl-C ends this process, which closes the pipes, and nothing is answered half.
            arguments, given = command(number, reading, tells), (reading, tells)
            self.process = subprocess.Popen(arguments, pass_fds=given, start_new_session=True)
        finally:
            os.close(reading)
            os.close(tells)

    def close(self) -> None:
        """Let the worker see the end of its samples."""
        pipe, self.pipe = self.pipe, None
        if pipe is not None:
            os.close(pipe)


class WorkerPool:
    """Processes that take chunks from pipes.

    Args:
        count: how many.
        command: the command line of a worker, from its number, the descriptor that it reads, and the one to which it
            writes when it can answer.

    Attributes:
        lost: samples that workers which had ended did not get, by worker.

    Raises:
        OSError: a process cannot be started.
    """

    def __init__(self, count: int, command: Callable[[int, int, int], Sequence[str]]) -> None:
        self._lanes = [_Lane(number, command) for number in range(count)]
        self._deadline: float | None = None
        self.lost = [0] * count

    def wait_ready(self, stop: threading.Event) -> None:
        """Wait until every worker can answer, has ended, or ``stop`` is set: samples read earlier would be late."""
        for lane in self._lanes:
            while not stop.is_set() and not select.select([lane.ready], [], [], READY_POLL_S)[0]:
                continue

    def put(self, chunk: Chunk, *, gather: bool = False) -> None:
        """Hand a chunk to the worker of its stream; waits while that worker's pipe is full.

        Samples for a worker that has ended are counted as ``lost``.

        Args:
            chunk: of any stream.
            gather: let it wait for others, until they fill ``GATHER_BYTES`` or :meth:`flush` is called.
        """
        number = worker_of(chunk.stream, len(self._lanes))
        lane = self._lanes[number]
        with lane.lock:
            append_chunk(lane.waiting, chunk)
            lane.samples += len(chunk.samples)
            if not gather or len(lane.waiting) >= GATHER_BYTES:
                self._write(number)

    def flush(self) -> None:
        """Write what was gathered, as far as the pipes have room; waits for nothing."""
        for number, lane in enumerate(self._lanes):
            if lane.lock.acquire(blocking=False):
                try:
                    self._write(number, wait=False)
                finally:
                    lane.lock.release()

    def failed(self) -> int | None:
        """Return the number of a worker that has ended with an error, if there is one."""
        return next((at for at, lane in enumerate(self._lanes) if lane.process.poll()), None)

    def end(self, within_s: float | None = None) -> None:
        """Close the pipes and wait until the workers have drained; kill those that take longer than ``within_s``.

        Raises:
            BackendError: a worker ended with an error, which it has written to standard error.
        """
        deadline = self._deadline = None if within_s is None else time.monotonic() + within_s
        for number, lane in enumerate(self._lanes):
            with lane.lock:
                self._write(number)
                lane.close()
        for lane in self._lanes:
            try:
                lane.process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                lane.process.kill()
                lane.process.wait()
        faulty = self.failed()
        if faulty is not None:
            code = self._lanes[faulty].process.returncode
            raise BackendError(
                f"worker {faulty} ended with exit code {code}, {sum(self.lost)} samples were lost",
                hint="its own message stands above; without --workers the error is shown in full",
            )

    def _write(self, number: int, *, wait: bool = True) -> None:
        """Write what waits for a worker, whose lock is held; it is lost where that is impossible for good."""
        lane, at = self._lanes[number], 0
        waiting = memoryview(lane.waiting)
        while lane.pipe is not None and at < len(waiting):
            try:
                at += os.write(lane.pipe, waiting[at:])
            except BlockingIOError:
                if not wait:
                    lane.waiting = lane.waiting[at:]
                    return
                select.select([], [lane.pipe], [], READY_POLL_S)
                if self._deadline is not None and time.monotonic() > self._deadline:
                    break
            except BrokenPipeError:
                lane.close()
        if at < len(waiting):
            self.lost[number] += lane.samples
        lane.waiting, lane.samples = bytearray(), 0


def feed(pool: WorkerPool, sources: Sequence[Source], stop: threading.Event) -> None:
    """Read every source on a thread of its own into the pool until all have ended or ``stop`` is set.

    With several sources, samples without a stream id belong to the stream named after their source's number, from 0.

    Raises:
        FsqEdgeError: what a source failed of for good.
        BackendError: a worker ended before the sources.
    """
    pool.wait_ready(stop)
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
        if stop.is_set() or pool.failed() is not None:
            halt.set()
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


def _widen(pipe: int) -> None:
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (AttributeError, OSError):  # not Linux, or above what users may have: a smaller pipe waits more often
        return
