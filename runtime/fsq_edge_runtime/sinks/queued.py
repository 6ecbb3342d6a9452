"""A slow sink behind a bounded queue: sensing never waits for a disk, a pipe or a network."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

from fsq_edge_runtime.sinks.base import Sink
from fsq_edge_runtime.stream.records import Record

_log = logging.getLogger("fsq_edge_runtime.sinks")
CLOSE_TIMEOUT_S = 0.8


class QueuedSink:
    """Writes to another sink on a thread of its own.

    When the queue is full the oldest record makes way: the newest wins. A record that cannot be written is counted
    and given up, the first with a line in the log; a reader that went away (a closed pipe) ends the run.

    Args:
        sink: the slow sink; closed with this one.
        limit: records in the queue.

    Attributes:
        counters: the sink's own, and ``dropped``, ``errors``.
        error: the last error of writing, or None.
    """

    def __init__(self, sink: Sink, limit: int = 10_000) -> None:
        self.name, self._sink = sink.name, sink
        self.counters = sink.counters
        self.counters.update(dropped=0, errors=0)
        self.error: OSError | None = None
        self._limit = limit
        self._queue: deque[Record] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name=f"sink {self.name}", daemon=True)
        self._thread.start()

    def write(self, record: Record) -> None:
        """Put a record into the queue; never blocks.

        Raises:
            BrokenPipeError: whoever read the sink's output has gone.
        """
        if isinstance(self.error, BrokenPipeError):
            raise self.error
        with self._changed:
            self._queue.append(record)
            if len(self._queue) > self._limit:
                self._queue.popleft()
                self.counters["dropped"] += 1
            self._changed.notify()

    @property
    def waiting(self) -> int:
        """Records in the queue."""
        return len(self._queue)

    def close(self) -> None:
        """Write what is queued for at most ``CLOSE_TIMEOUT_S``; what is left then is dropped."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            self.counters["dropped"] += len(self._queue)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closing:
                    self._changed.wait()
                if not self._queue:
                    break
                record = self._queue.popleft()
            try:
                self._sink.write(record)
            except OSError as error:
                if self.error is None and not isinstance(error, BrokenPipeError):
                    where = error.filename or self.name
                    _log.warning("warning: %s: %s; records are lost until it can be written", where, error.strerror)
                self.error = error
                self.counters["errors"] += 1
                time.sleep(0.01)  # a full disk must not cost a whole core
        self._sink.close()
