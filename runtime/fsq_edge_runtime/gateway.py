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
from fsq_edge_runtime.sources.pipe import encode_chunk

PIPE_BYTES: Final = 1 << 20  # half a minute of a hundred sensors at 50 Hz: a worker that starts loses nothing
READY_POLL_S: Final = 0.05
END_S: Final = 1.5  # for workers to drain; a stop must not take longer than two seconds
MAX_WORKERS: Final = 64


class WorkerPool:
    """Processes that take chunks from pipes.

    Args:
        count: how many.
        command: the command line of a worker, from its number, the descriptor that it reads, and the one to which it
            writes when it can answer.

    Raises:
        OSError: a process cannot be started.
    """

    def __init__(self, count: int, command: Callable[[int, int, int], Sequence[str]]) -> None:
        self._pipes: list[int | None] = []
        self._locks = [threading.Lock() for _ in range(count)]
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ready: list[int] = []
        self.lost = [0] * count
        for number in range(count):
            reading, writing = os.pipe()
            told, tells = os.pipe()
            self._pipes.append(writing)
            self._ready.append(told)
            _widen(writing)
            try:
                # A group of its own: Ctrl-C ends this process, which closes the pipes, and nothing is answered half.
                arguments, given = command(number, reading, tells), (reading, tells)
                process = subprocess.Popen(arguments, pass_fds=given, start_new_session=True)
            finally:
                os.close(reading)
                os.close(tells)
            self._processes.append(process)

    def wait_ready(self, stop: threading.Event) -> None:
        """Wait until every worker can answer, has ended, or ``stop`` is set: samples read earlier would be late."""
        waiting, self._ready = self._ready, []
        for told in waiting:
            while not stop.is_set() and not select.select([told], [], [], READY_POLL_S)[0]:
                continue
            os.close(told)

    def put(self, chunk: Chunk) -> None:
        """Hand a chunk to the worker of its stream; waits while that worker's pipe is full.

        Samples for a worker that has ended are counted as ``lost``.
        """
        number = worker_of(chunk.stream, len(self._pipes))
        data = memoryview(encode_chunk(chunk))
        with self._locks[number]:
            pipe = self._pipes[number]
            try:
                while pipe is not None and data:
                    data = data[os.write(pipe, data) :]
            except BrokenPipeError:
                self._close(number)
            if self._pipes[number] is None:
                self.lost[number] += len(chunk.samples)

    def failed(self) -> int | None:
        """Return the number of a worker that has ended with an error, if there is one."""
        return next((at for at, process in enumerate(self._processes) if process.poll()), None)

    def end(self, within_s: float | None = None) -> None:
        """Close the pipes and wait until the workers have drained; kill those that take longer than ``within_s``.

        Raises:
            BackendError: a worker ended with an error, which it has written to standard error.
        """
        for number, lock in enumerate(self._locks):
            with lock:
                self._close(number)
        deadline = None if within_s is None else time.monotonic() + within_s
        for process in self._processes:
            try:
                process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        faulty = self.failed()
        if faulty is not None:
            code = self._processes[faulty].returncode
            raise BackendError(
                f"worker {faulty} ended with exit code {code}, {sum(self.lost)} samples were lost",
                hint="its own message stands above; without --workers the error is shown in full",
            )

    def _close(self, number: int) -> None:
        pipe, self._pipes[number] = self._pipes[number], None
        if pipe is not None:
            os.close(pipe)


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
                pool.put(chunk if alone else chunk._replace(stream=str(number)))
                if halt.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - raised again by feed(), on the thread that can act on it
            failures.append(error)
            halt.set()

    threads = [threading.Thread(target=read, args=pair, name="source", daemon=True) for pair in enumerate(sources)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and not halt.is_set():
        threads[0].join(0.05) if threads[0].is_alive() else time.sleep(0.05)
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
